"""One rig for every engine: a warehouse of it, a sandbox as Customer.io, and the people sync between them."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import sqlalchemy as sa
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from cio_pipelines.sandbox import SandboxServer
from cio_pipelines.sync.specs import PEOPLE
from cio_pipelines.warehouse import Warehouse, open_warehouse
from cio_pipelines.warehouse.connect import ClientFactory
from cio_pipelines.warehouse.functions import UtcTimestamp
from tests.sync.rig import SyncRig

ENGINES = ("duckdb", "postgresql", "bigquery")
MAY = datetime(2026, 5, 1, 12, tzinfo=UTC)
_numbers = count(1)


def columns(**attributes: sa.types.TypeEngine[Any]) -> tuple[sa.Column[Any], ...]:
    """The columns of a mart with these attributes."""
    return (
        sa.Column("person_id", sa.String),
        sa.Column("updated_at", UtcTimestamp),
        sa.Column("opted_out", sa.Boolean),
        sa.Column("deleted_at", UtcTimestamp),
        *(sa.Column(name, kind) for name, kind in attributes.items()),
    )


def bigquery_client(project: str, endpoint: str) -> ClientFactory:
    """Opens clients of an emulator."""

    @contextmanager
    def client() -> Generator[bigquery.Client]:
        with bigquery.Client(
            project=project,
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": endpoint},
        ) as opened:
            yield opened

    return client


def open_url(url: str, endpoint: str = "") -> Warehouse:
    """The warehouse of a URL; `endpoint` is the emulator's, for BigQuery."""
    if not endpoint:
        return open_warehouse(url, memory_limit="500MB", threads=2)
    project = sa.make_url(url).host or ""
    return open_warehouse(url, bigquery_client=bigquery_client(project, endpoint))


@dataclass
class EngineRig(SyncRig):
    """One warehouse; each rig is a workspace of its own in it."""

    engine_name: str
    url: str
    sandbox: SandboxServer
    endpoint: str = ""
    defaults: dict[str, Any] = field(default_factory=lambda: {"workspace": f"workspace-{next(_numbers)}"})
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self._warehouse = open_url(self.url, self.endpoint)
        self.mart = sa.Table(PEOPLE.table, sa.MetaData(), schema=PEOPLE.schema)

    @property
    def warehouse(self) -> Warehouse:
        return self._warehouse

    @property
    def workspace(self) -> str:
        return self.defaults["workspace"]

    # the mart

    def make_mart(self, people: Sequence[Mapping[str, Any]], **attributes: sa.types.TypeEngine[Any]) -> None:
        """A mart of these columns and rows; who is not said to be updated is since 1 May 2026."""
        self.mart = sa.Table(PEOPLE.table, sa.MetaData(), *columns(**attributes), schema=PEOPLE.schema)
        with self.warehouse.connect() as connection:
            connection.execute(sa.schema.CreateSchema(PEOPLE.schema, if_not_exists=True))
            connection.execute(sa.schema.DropTable(self.mart, if_exists=True))
            connection.execute(sa.schema.CreateTable(self.mart))
        self.add(*people)

    def add(self, *people: Mapping[str, Any]) -> None:
        """More people in the mart."""
        names = [column.name for column in self.mart.columns]
        rows = [{**dict.fromkeys(names), "updated_at": MAY, **person} for person in people]
        if rows:
            self.execute(self.mart.insert().values(rows))

    def change(self, person: str, *, touch: bool = True, **values: Any) -> None:
        """Change a person's row; `touch` moves `updated_at` to a minute later."""
        moved = {"updated_at": MAY + timedelta(minutes=1)} if touch else {}
        self.execute(self.mart.update().where(self.mart.c.person_id == person).values(**values, **moved))

    # statements

    def execute(self, statement: sa.Executable) -> int:
        with self.warehouse.connect() as connection:
            return connection.execute(statement)

    def rows(self, statement: sa.Select[Any]) -> list[tuple[Any, ...]]:
        with self.warehouse.connect() as connection:
            return [tuple(row) for row in connection.rows(statement)]

    def state(self, table: sa.Table, *names: str) -> list[tuple[Any, ...]]:
        """Columns of this workspace's rows of a state table, sorted."""
        chosen = sa.select(*(table.c[name] for name in names)).where(table.c.workspace == self.workspace)
        return sorted(self.rows(chosen), key=repr)


def raw(text: str) -> sa.TextClause:
    """A statement as it is written."""
    return sa.text(text.replace(":", r"\:"))
