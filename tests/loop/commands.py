"""`cio` and its files on one warehouse, and the same on DuckDB to compare with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from cio_pipelines.sandbox import SandboxServer
from cio_pipelines.settings import load_settings
from cio_pipelines.warehouse import Warehouse
from tests.cli.conftest import Cli
from tests.people.project import read_back

from .carrying import carry, described

ROOT = Path(__file__).parents[2]
SOURCES = ("app.users", "app.orders")
MART = "analytics.customerio_people"
TOLD = ("extracted", "unchanged", "tombstoned", "planned", "operations", "why", "accepted", "rejected", "due")
"""What is told of a sync, alike on every engine."""

BATCH = "/api/v2/batch"


@dataclass
class WarehouseCli(Cli):
    """`cio` on the warehouse that its environment names; `database` holds the application's tables."""

    @property
    def warehouse(self) -> Warehouse:
        return load_settings(self.environment).warehouse()

    def take(self) -> None:
        """Bring the application's tables of `database` into the warehouse."""
        carry(self.database, self.warehouse, described(self.database, *SOURCES))

    def take_mart(self, database: Path) -> None:
        """Bring the mart that dbt made in a DuckDB file into the warehouse."""
        carry(database, self.warehouse, described(database, MART))

    def start_run(self, kind: str, **request: Any) -> subprocess.Popen[str]:
        """Start a Dagster run without dbt's models; see `child.py`."""
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.loop.child"],
            env={**os.environ, **self.environment},
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps({"kind": kind, **request}))
        process.stdin.close()
        process.stdin = None
        return process

    def run(self, kind: str, **request: Any) -> dict[str, Any]:
        """A Dagster run without dbt's models, to its end."""
        ended = self.finish(self.start_run(kind, **request))
        assert ended.code == 0, ended.err
        return {**ended.line, "err": ended.err}

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """All rows of a query, in an order of their own."""
        with self.warehouse.connect() as connection:
            return sorted((tuple(row) for row in connection.rows(sa.text(query))), key=repr)

    def snapshot(self, workspace: str) -> list[tuple[Any, ...]]:
        """What the workspace's snapshot says of everybody, but when and by which run it was written."""
        columns = "person_id, state, attributes_hash, attributes, source_updated_at"
        return self.rows(
            f"select {columns} from customerio_sync.synced_people where workspace = '{workspace}'"
        )


def profiles(sandbox: SandboxServer) -> dict[str, Any]:
    """Everybody's attributes, None for whoever is suppressed."""
    blocked = {str(each["value"]) for each in sandbox.suppressed()}
    return {**dict.fromkeys(blocked), **read_back(sandbox)}


def times_sent(sandbox: SandboxServer, action: str = "identify") -> Counter[str]:
    """How often an operation of each person arrived."""
    return Counter(each["id"] for each in sandbox.operations() if each["action"] == action)


def wait_for_bodies(sandbox: SandboxServer, process: Any, bodies: int, seconds: float = 120) -> None:
    """Wait until a push is in its midst."""
    deadline = time.monotonic() + seconds
    while sandbox.stats()["requests_by_path"].get(BATCH, 0) < bodies:
        assert time.monotonic() < deadline, "the push did not begin"
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def told(line: dict[str, Any]) -> dict[str, Any]:
    """That of what `--json` tells."""
    return {name: line[name] for name in TOLD}


def subscriber(sandbox: SandboxServer) -> str:
    """Somebody who takes marketing messages."""
    people = sandbox.people().items()
    return next(name for name, who in people if who["attributes"].get("marketing_opt_in") is True)


def environment(folder: Path, warehouse_url: str, sandbox: SandboxServer) -> dict[str, str]:
    """The settings of a loop whose files are in a folder."""
    return {
        "WAREHOUSE_URL": warehouse_url,
        "LANDING_URL": f"file://{folder / 'landing'}",
        "QUEUE_URL": f"sqlite://{folder / 'queue.sqlite'}",
        "CUSTOMERIO_TRACK_URL": sandbox.url,
    }
