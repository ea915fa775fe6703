"""The real command in processes of its own, on a small warehouse, with the sandbox as Customer.io."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cio_pipelines.demo import seed
from cio_pipelines.sandbox import SandboxServer
from tests.leaks import leaks, leaks_below

_SHOWS = {"--payload"}
"""Options by which a person asks to see personal data."""
CIO = str(Path(sys.executable).parent / "cio")


@dataclass(frozen=True)
class Ended:
    """How a command ended. `line` is the JSON object of its last line."""

    code: int
    out: str
    err: str

    @property
    def line(self) -> dict[str, Any]:
        return json.loads(self.out.splitlines()[-1])


@dataclass
class Cli:
    """`cio` with an environment of its own."""

    database: Path
    environment: dict[str, str] = field(default_factory=dict[str, str])

    def start(self, *arguments: str, deaf: bool = False) -> subprocess.Popen[str]:
        """Start a command; `deaf` to SIGINT, as a shell starts one in the background."""
        command = ["sh", "-c", 'trap "" INT; exec "$0" "$@"', CIO] if deaf else [CIO]
        return subprocess.Popen(
            [*command, *arguments],
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str) -> Ended:
        return self.finish(self.start(*arguments))

    def finish(self, process: subprocess.Popen[str], seconds: float = 120) -> Ended:
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        if not _SHOWS & set(process.args if isinstance(process.args, list) else ()):
            assert leaks(out + err) == set(), "the command told what it must not tell"
        return Ended(process.returncode, out, err)

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = []
        with duckdb.connect(str(self.database)) as connection:
            for statement in statements:
                rows = connection.execute(statement).fetchall()
        return rows


@pytest.fixture(scope="session")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    database = tmp_path_factory.mktemp("company") / "warehouse.duckdb"
    seed(database, 3_000)
    return database


@pytest.fixture(scope="session")
def dagster_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One instance for all commands of a worker: to make its databases takes seconds.

    In the end there is nothing personal and no secret in any event, log or metadata of all their runs.
    """
    home = tmp_path_factory.mktemp("dagster")
    yield home
    assert leaks_below(home) == {}


@pytest.fixture
def cli(tmp_path: Path, sandbox: SandboxServer, company: Path, dagster_home: Path) -> Cli:
    """`cio` on a company of 3,000 people of which nothing was synced."""
    database = tmp_path / "warehouse.duckdb"
    shutil.copyfile(company, database)
    return Cli(
        database,
        {
            "WAREHOUSE_URL": f"duckdb:///{database}",
            "DAGSTER_HOME": str(dagster_home),
            "LANDING_URL": f"file://{tmp_path / 'landing'}",
            "QUEUE_URL": f"sqlite://{tmp_path / 'queue.sqlite'}",
            "CUSTOMERIO_TRACK_URL": sandbox.url,
        },
    )
