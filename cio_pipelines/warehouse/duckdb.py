"""DuckDB behind the `Warehouse` protocol: one file, one process at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, NoSuchTableError
from sqlalchemy.pool import NullPool

from cio_pipelines.warehouse.errors import (
    WarehouseBusy,
    WarehouseError,
    WarehouseFull,
    WarehouseLocked,
    WarehouseUnavailable,
)
from cio_pipelines.warehouse.merge import Merge
from cio_pipelines.warehouse.protocol import Usage
from cio_pipelines.warehouse.sql import SqlConnection


class DuckDBWarehouse:
    """A DuckDB file.

    Args:
        path: the file; it is created when missing, its folder is not.
        memory_limit: DuckDB's own limit, such as "600MB"; beyond it DuckDB spills to disk beside the file.
        threads: worker threads of DuckDB; None takes one per core.
    """

    def __init__(self, path: Path, *, memory_limit: str | None = None, threads: int | None = None) -> None:
        self.path = path
        config: dict[str, Any] = {"preserve_insertion_order": False}
        if memory_limit:
            config["memory_limit"] = memory_limit
        if threads:
            config["threads"] = threads
        # An idle pooled connection keeps the file locked and locks dbt out: never pool.
        self._engine = sa.create_engine(
            sa.URL.create("duckdb", database=str(path)),
            poolclass=NullPool,
            connect_args={"config": config},
        )
        event.listen(self._engine, "connect", _prepare)

    @property
    def name(self) -> str:
        return f"DuckDB file {self.path}"

    @property
    def dialect(self) -> sa.Dialect:
        return self._engine.dialect

    @property
    def usage(self) -> Usage | None:
        return None

    @contextmanager
    def session(self) -> Generator[None]:
        # Opening the file costs some 12 ms each time; a second connection to an open one costs 1 ms.
        with self._open():
            yield

    @contextmanager
    def connect(self) -> Generator[DuckDBConnection]:
        with self._open() as connection:
            yield DuckDBConnection(connection, self.name, self._open)

    def columns(self, schema: str, table: str) -> dict[str, sa.types.TypeEngine[Any]]:
        with self._open() as connection:
            try:
                found = sa.inspect(connection).get_columns(table, schema=schema)
            except NoSuchTableError:
                return {}
            return {column["name"]: column["type"] for column in found}

    @contextmanager
    def _open(self) -> Generator[sa.Connection]:
        if not self.path.parent.is_dir():
            raise WarehouseUnavailable(
                f"The folder of the {self.name} does not exist.", "Create it, or correct WAREHOUSE_URL."
            )
        with translate_errors(self.name):
            connection = self._engine.connect()
        try:
            yield connection
        finally:
            connection.close()


class DuckDBConnection(SqlConnection):
    """One connection to a DuckDB file."""

    def __init__(
        self,
        connection: sa.Connection,
        name: str,
        open_another: Callable[[], AbstractContextManager[sa.Connection]],
    ) -> None:
        super().__init__(connection, name, translate_errors)
        self._open_another = open_another

    def _driver_errors(self) -> tuple[type[Exception], ...]:
        return (duckdb.Error,)

    def execute(self, statement: sa.Executable, parameters: Mapping[str, Any] | None = None) -> int:
        if not isinstance(statement, Merge):
            return super().execute(statement, parameters)
        with self.transaction():
            return max(super(DuckDBConnection, self).execute(part) for part in statement.parts())

    def batches(
        self,
        statement: sa.Executable,
        parameters: Mapping[str, Any] | None = None,
        *,
        rows_per_batch: int = 50_000,
    ) -> Iterator[pa.RecordBatch]:
        # A connection of its own: the next statement on this one would end the result.
        with translate_errors(self._name), self._open_another() as connection:
            cursor: Any = connection.execute(statement, dict(parameters or {})).cursor
            yield from cursor.to_arrow_reader(rows_per_batch)

    def append(self, table: sa.Table, rows: pa.Table) -> None:
        native: Any = self._connection.connection.driver_connection
        columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in rows.column_names]
        source = sa.table("appended_rows", *columns)
        with self._step():
            native.register("appended_rows", rows)
            try:
                self._connection.execute(table.insert().from_select(rows.column_names, sa.select(source)))
            finally:
                native.unregister("appended_rows")


_NO_ROOM = re.compile(r"No space left|Disk quota|File too large|could not write file|failed to write", re.I)


def _prepare(connection: Any, _: object) -> None:
    # to_json() of TIMESTAMPTZ follows the session's zone: pin it, or hashes change with TZ.
    connection.cursor().execute("SET TimeZone = 'UTC'")
    # In a notebook or `python -c` it would write over whatever goes to standard output.
    connection.cursor().execute("SET enable_progress_bar = false")


@contextmanager
def translate_errors(name: str) -> Generator[None]:
    """Turns DuckDB's errors into ours, without the values that DuckDB quotes in conversion errors."""
    try:
        yield
    except (DBAPIError, duckdb.Error) as error:
        original = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        raise _translated(original, name) from None


def _translated(error: BaseException, name: str) -> WarehouseError:
    text = str(error)
    if "Could not set lock" in text or "being used by another process" in text:
        holder = re.search(r"Conflicting lock is held in (.+?)\. ", text)
        by = f" by {holder.group(1)}" if holder else ""
        return WarehouseLocked(
            f"The {name} is locked{by}.",
            "DuckDB allows one process at a time: close the other program (a SQL client, a running sync), "
            "then run again.",
        )
    # a commit that finds no room is a TransactionException too
    if _NO_ROOM.search(text):
        return WarehouseFull(
            f"There is no room left on the disk of the {name}.",
            "Nothing of the last transaction was kept: free space, then run again.",
        )
    # two threads: one writes what the other does, or closes the file while the other opens it
    if isinstance(error, duckdb.TransactionException) or "Unique file handle conflict" in text:
        return WarehouseBusy(
            f"Another thread of this process was at the {name} at the same moment.",
            "Nothing of this one was kept: run again.",
        )
    if isinstance(error, duckdb.OutOfMemoryException):
        return WarehouseFull(
            f"The {name} reached its memory limit.", "Raise WAREHOUSE_MEMORY_LIMIT, then run again."
        )
    if isinstance(error, duckdb.IOException):
        return WarehouseUnavailable(
            f"The {name} cannot be read or written: {_first_line(text)}",
            "Check that WAREHOUSE_URL names a DuckDB file, and its rights.",
        )
    if isinstance(error, duckdb.CatalogException | duckdb.BinderException):
        return WarehouseError(f"The {name} refused a statement: {_first_line(text)}", "Run `cio doctor`.")
    return WarehouseError(
        f"The {name} failed with {type(error).__name__}.", "Run `cio doctor`; if that passes, report it."
    )


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else "no message"
