"""Runs of the real dbt assets on DuckDB files, in ephemeral instances."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from cio_pipelines.dbt import dbt_resource

Run = Callable[..., dg.ExecuteInProcessResult]

MART = dg.AssetKey(["analytics", "customerio_people"])


@dg.asset(deps=[MART])
def follower() -> None:
    """Whatever is made from the mart in the same run."""


@pytest.fixture(scope="session")
def run_dbt() -> Run:
    """Materialises what a selection names of the dbt assets and of `follower`, on a DuckDB file."""
    models = importlib.import_module("cio_pipelines.defs.dbt_models").dbt_models

    def run(database: Path, selection: Any = None) -> dg.ExecuteInProcessResult:
        with pytest.MonkeyPatch.context() as environment, dg.DagsterInstance.ephemeral() as instance:
            environment.setenv("WAREHOUSE_URL", f"duckdb:///{database}")
            return dg.materialize(
                [models, follower],
                selection=selection,
                resources={"dbt": dbt_resource()},
                instance=instance,
                raise_on_error=False,
            )

    return run


def execute(database: Path, *statements: str) -> list[tuple[Any, ...]]:
    """Runs statements on a DuckDB file and returns the rows of the last one."""
    with duckdb.connect(str(database)) as connection:
        rows: list[tuple[Any, ...]] = []
        for statement in statements:
            rows = connection.execute(statement).fetchall()
        return rows


def failure(result: dg.ExecuteInProcessResult, step: str = "dbt_models") -> str:
    """What a failed step says went wrong."""
    data = next(event.step_failure_data for event in result.all_events if event.is_step_failure)
    assert [event.step_key for event in result.all_events if event.is_step_failure] == [step]
    assert data.user_failure_data is not None, data.error
    return data.user_failure_data.description or ""
