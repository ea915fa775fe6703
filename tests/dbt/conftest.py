"""The real dbt on DuckDB files, in this process: starting dbt costs three seconds, a build one."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner

from cio_pipelines.warehouse import open_warehouse
from cio_pipelines.webhooks.tables import prepare_webhooks

PROJECT = Path(__file__).parents[2] / "dbt_project"


@dataclass(frozen=True)
class Outcome:
    """How a dbt command ended: each node's status by its name, and the manifest it wrote."""

    success: bool
    statuses: dict[str, str]
    failures: dict[str, int]
    messages: dict[str, str]
    manifest: dict[str, Any]


Dbt = Callable[..., Outcome]


NO_DATABASE = Path(":memory:")


@pytest.fixture(scope="session")
def dbt(tmp_path_factory: pytest.TempPathFactory) -> Dbt:
    """Runs a dbt command on a DuckDB file: `dbt(database, "build", "--select", …)`.

    The tables of reported events are there, as they are in every run. `project` is another project's folder.
    """
    state = tmp_path_factory.mktemp("dbt")

    def run(database: Path, *arguments: str, project: Path = PROJECT) -> Outcome:
        if database != NO_DATABASE:
            warehouse = open_warehouse(f"duckdb:///{database}", memory_limit="500MB", threads=2)
            with warehouse.connect() as connection:
                prepare_webhooks(connection)
        with pytest.MonkeyPatch.context() as environment, warnings.catch_warnings():
            # dbt's own dependencies warn about each other
            warnings.simplefilter("ignore")
            environment.setenv("DBT_DUCKDB_PATH", str(database))
            environment.setenv("DBT_TARGET_PATH", str(state / "target"))
            environment.setenv("DBT_LOG_PATH", str(state / "logs"))
            where = ["--project-dir", str(project), "--profiles-dir", str(project)]
            done = dbtRunner().invoke(["--quiet", *arguments, *where])
            # it keeps the file open, which nobody else in this process could then open in another manner
            DuckDBConnectionManager.close_all_connections()
        if done.exception is not None:
            raise done.exception
        results: list[Any] = list(getattr(done.result, "results", []))
        return Outcome(
            success=done.success,
            statuses={result.node.name: str(result.status) for result in results},
            failures={result.node.name: result.failures or 0 for result in results},
            messages={result.node.name: result.message or "" for result in results},
            manifest=json.loads((state / "target" / "manifest.json").read_text(encoding="utf-8")),
        )

    return run


def execute(database: Path, *statements: str) -> list[tuple[Any, ...]]:
    """Runs statements on a DuckDB file and returns the rows of the last one."""
    with duckdb.connect(str(database)) as connection:
        rows: list[tuple[Any, ...]] = []
        for statement in statements:
            rows = connection.execute(statement).fetchall()
        return rows
