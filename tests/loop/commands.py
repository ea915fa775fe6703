"""`cio` and its files on one warehouse, and the same on DuckDB to compare with."""

from __future__ import annotations

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

SOURCES = ("app.users", "app.orders")
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


def environment(folder: Path, warehouse_url: str, sandbox: SandboxServer) -> dict[str, str]:
    """The settings of a loop whose files are in a folder."""
    return {
        "WAREHOUSE_URL": warehouse_url,
        "LANDING_URL": f"file://{folder / 'landing'}",
        "CUSTOMERIO_TRACK_URL": sandbox.url,
    }
