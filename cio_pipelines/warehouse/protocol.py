"""The little that the project needs of a database; `duckdb.py`, `postgresql.py` and `bigquery.py` give it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa
import sqlalchemy as sa


@dataclass(frozen=True, slots=True)
class Usage:
    """What a warehouse's work has cost so far.

    Attributes:
        jobs: queries and loads that were run.
        bytes_billed: of all of them.
        slot_milliseconds: computing time of all of them.
        links: where the last of the jobs can be looked at.
    """

    jobs: int = 0
    bytes_billed: int = 0
    slot_milliseconds: int = 0
    links: tuple[str, ...] = ()


class WarehouseConnection(Protocol):
    """One connection, used by one thread at a time."""

    def execute(self, statement: sa.Executable, parameters: Mapping[str, Any] | None = None) -> int:
        """Run a statement and return the number of rows it changed (-1 where the engine does not say)."""
        ...

    def rows(
        self, statement: sa.Executable, parameters: Mapping[str, Any] | None = None
    ) -> Sequence[sa.Row[Any]]:
        """All rows of a small result."""
        ...

    def scalar(self, statement: sa.Executable, parameters: Mapping[str, Any] | None = None) -> Any:
        """The first column of the first row, None when there is no row."""
        ...

    def batches(
        self,
        statement: sa.Executable,
        parameters: Mapping[str, Any] | None = None,
        *,
        rows_per_batch: int = 50_000,
    ) -> Iterator[pa.RecordBatch]:
        """A result of any size, as Arrow batches of at most `rows_per_batch` rows.

        It is read beside this connection's own work: it sees what was committed before the first batch,
        and nothing of an open transaction.
        """
        ...

    def append(self, table: sa.Table, rows: pa.Table) -> None:
        """Append rows in bulk; columns are matched by name, missing ones are NULL."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """All statements and appends inside take effect together or not at all, when it ends.

        It only writes: what must be known is read before. So an engine may send it as one script, which a
        process that is killed cannot leave half done or hanging. Statements that make tables have no place in
        it. One inside another is part of the outer one.
        """
        ...

    def estimate(self, statement: sa.Executable, parameters: Mapping[str, Any] | None = None) -> int | None:
        """Bytes that a statement would read, at most; None where reading costs nothing."""
        ...


@runtime_checkable
class LineLoads(Protocol):
    """What a connection has besides whose engine reads a bucket itself."""

    def load_lines(self, table: sa.Table, uris: Sequence[str]) -> int:
        """Append the lines of objects, gzip or plain text in UTF-8, by one job: all of them or none.

        Args:
            table: with one column of text. Its rows are lines as they are, without their ends.
            uris: at most 10,000 addresses `gs://bucket/name`.

        Returns:
            How many lines there were.

        Raises:
            LoadRefused: an object is not there, or is not what it should be. The engine does not say which.
        """
        ...


class Warehouse(Protocol):
    """A database that can be opened."""

    @property
    def name(self) -> str:
        """What to call it in messages: no credentials."""
        ...

    @property
    def dialect(self) -> sa.Dialect:
        """The SQLAlchemy dialect that statements are compiled with."""
        ...

    @property
    def usage(self) -> Usage | None:
        """What was done through this object; None for an engine that bills nothing."""
        ...

    def session(self) -> AbstractContextManager[None]:
        """Keeps the database open between the connections taken inside."""
        ...

    def connect(self) -> AbstractContextManager[WarehouseConnection]:
        """A connection; statements outside `transaction()` commit by themselves.

        Raises:
            WarehouseUnavailable: it cannot be opened, or another process has locked it.
        """
        ...

    def columns(self, schema: str, table: str) -> dict[str, sa.types.TypeEngine[Any]]:
        """Column names and types in the table's order; empty when there is no such table or view."""
        ...
