"""PostgreSQL behind the `Warehouse` protocol. 16 is the oldest release that it works with.

16 brought `pg_input_is_valid`, the only way to ask whether a text is a number, a moment or JSON without an
error that ends the statement.
"""

# pyarrow carries no types
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any, cast

import psycopg
import pyarrow as pa
import pyarrow.compute
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import NoSuchTableError, SAWarning
from sqlalchemy.pool import NullPool

from cio_pipelines.warehouse.errors import WarehouseBusy, WarehouseUnavailable
from cio_pipelines.warehouse.postgresql.errors import translate_errors
from cio_pipelines.warehouse.protocol import Usage
from cio_pipelines.warehouse.sql import SqlConnection

compute: Any = pyarrow.compute

_LEAST_VERSION = 160_000
_DEFAULTS = {"application_name": "cio_pipelines", "connect_timeout": "15"}
"""Of the connection, where WAREHOUSE_URL does not say otherwise."""

_SORTING_MEMORY = "256MB"
"""Of each sort and hash table of a statement: ids of some three million people."""


class Composite(sa.types.UserDefinedType[Any]):
    """A row type, which SQLAlchemy does not know."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "RECORD"


class PostgreSQLWarehouse:
    """A PostgreSQL database.

    Args:
        url: with `postgresql+psycopg` as its driver, and a database.
    """

    def __init__(self, url: sa.URL) -> None:
        self._url = url
        given = {name: value for name, value in _DEFAULTS.items() if name not in url.query}
        # prepared statements, a pool and TEMPORARY tables get in each other's way behind a pooler
        self._engine = sa.create_engine(
            url.update_query_dict(given),
            poolclass=NullPool,
            connect_args={"prepare_threshold": None},
            execution_options={"preserve_rowcount": True},
        )
        event.listen(self._engine, "connect", self._prepare)

    @property
    def name(self) -> str:
        host = self._url.host or self._url.query.get("host", "localhost")
        port = f":{self._url.port}" if self._url.port else ""
        return f"PostgreSQL database {self._url.database} on {host}{port}"

    @property
    def dialect(self) -> sa.Dialect:
        return self._engine.dialect

    @property
    def usage(self) -> Usage | None:
        return None

    @contextmanager
    def session(self) -> Generator[None]:
        yield  # a server is open by itself

    @contextmanager
    def connect(self) -> Generator[PostgreSQLConnection]:
        with self._open() as connection:
            yield PostgreSQLConnection(connection, self.name, self._open)

    def columns(self, schema: str, table: str) -> dict[str, sa.types.TypeEngine[Any]]:
        with self._open() as connection, translate_errors(self.name), warnings.catch_warnings():
            # of types that it does not know: told apart below
            warnings.simplefilter("ignore", SAWarning)
            try:
                found = sa.inspect(connection).get_columns(table, schema=schema)
            except NoSuchTableError:
                return {}
            rows = _row_columns(connection, schema, table)
            return {
                column["name"]: Composite() if column["name"] in rows else _plain_type(column["type"])
                for column in found
            }

    @contextmanager
    def _open(self) -> Generator[sa.Connection]:
        with translate_errors(self.name):
            connection = self._engine.connect()
        try:
            yield connection
        finally:
            connection.close()

    def _prepare(self, connection: Any, _: object) -> None:
        # SQLAlchemy's wrapper has all that psycopg's connection has
        info: psycopg.ConnectionInfo = connection.info
        if info.server_version < _LEAST_VERSION:
            raise WarehouseUnavailable(
                f"The {self.name} runs release {info.server_version // 10_000}.",
                "Use PostgreSQL 16 or newer.",
            )
        encoding = info.parameter_status("server_encoding")
        if encoding != "UTF8":
            raise WarehouseUnavailable(
                f"The {self.name} keeps texts as {encoding}, which cannot hold everybody's name.",
                "Make a database WITH ENCODING 'UTF8' and name it in WAREHOUSE_URL.",
            )
        # JSON of TIMESTAMPTZ follows the session's zone: pin it, or hashes change with it
        connection.cursor().execute("SET TIME ZONE 'UTC'")
        # casts to text follow these
        connection.cursor().execute("SET DateStyle = 'ISO, YMD'")
        connection.cursor().execute("SET client_encoding = 'UTF8'")
        # What is compared was written a moment ago, so that the server has no statistics of it, expects one
        # row, and goes through it for each row of the other side: 8,000 people took two minutes to sync.
        connection.cursor().execute("SET enable_nestloop = off")
        # a list of ids larger than this is gone through for each row too
        connection.cursor().execute(f"SET work_mem = '{_SORTING_MEMORY}'")
        connection.commit()


class PostgreSQLConnection(SqlConnection):
    """One connection to a PostgreSQL database."""

    def __init__(
        self,
        connection: sa.Connection,
        name: str,
        open_another: Callable[[], AbstractContextManager[sa.Connection]],
    ) -> None:
        super().__init__(connection, name, translate_errors)
        self._open_another = open_another

    def _driver_errors(self) -> tuple[type[Exception], ...]:
        return (psycopg.Error,)

    def execute(self, statement: sa.Executable, parameters: Mapping[str, Any] | None = None) -> int:
        try:
            return super().execute(statement, parameters)
        except WarehouseBusy:
            if self._in_transaction or not isinstance(statement, sa.schema.ExecutableDDLElement):
                raise
        # CREATE … IF NOT EXISTS of two at the same moment collide; now it sees what the other has made
        return super().execute(statement, parameters)

    def batches(
        self,
        statement: sa.Executable,
        parameters: Mapping[str, Any] | None = None,
        *,
        rows_per_batch: int = 50_000,
    ) -> Iterator[pa.RecordBatch]:
        # A connection of its own: a cursor on the server lives in a transaction.
        with translate_errors(self._name), self._open_another() as connection:
            streaming = connection.execution_options(stream_results=True, max_row_buffer=rows_per_batch)
            with closing(streaming.execute(statement, dict(parameters or {}))) as result:
                cursor: Any = result.cursor
                schema = pa.schema([(column.name, _arrow_type(column)) for column in cursor.description])
                for rows in result.partitions(rows_per_batch):
                    columns = zip(zip(*rows, strict=True), schema, strict=True)
                    arrays = [_array(list(values), column.type) for values, column in columns]
                    yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    def append(self, table: sa.Table, rows: pa.Table) -> None:
        preparer = self._connection.dialect.identifier_preparer
        names = ", ".join(preparer.quote(name) for name in rows.column_names)
        copy_in = f"COPY {preparer.format_table(table)} ({names}) FROM STDIN"
        native: Any = self._connection.connection.driver_connection
        with self._step():
            if not self._connection.in_transaction():
                self._connection.begin()  # it does not see what goes past it, and would not commit it
            # Rows as text, each value escaped: of CSV, releases before 18 take a line `\.` for its end even
            # inside quotes, and binary COPY wants the exact width of every number.
            with native.cursor() as cursor, cursor.copy(copy_in) as copy:
                for batch in rows.to_batches(max_chunksize=_ROWS_AT_ONCE):
                    for row in zip(*(_values(column) for column in batch.columns), strict=True):
                        copy.write_row(row)


_ROWS_AT_ONCE = 10_000
_ZERO, _REPLACEMENT = "\0", "\ufffd"

_ARROW_TYPES = {
    "bool": pa.bool_(),
    "int2": pa.int16(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "float4": pa.float32(),
    "float8": pa.float64(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", tz="UTC"),
    "bytea": pa.binary(),
}
_MOST_DIGITS = 38


def _arrow_type(column: psycopg.Column) -> pa.DataType:
    """The Arrow type of a result's column; what Arrow has no equal of is text."""
    if column.type_display.startswith("numeric") and column.precision and column.precision <= _MOST_DIGITS:
        return pa.decimal128(column.precision, column.scale or 0)
    known = psycopg.adapters.types.get(column.type_code)
    is_list = known is not None and known.array_oid == column.type_code
    element = None if known is None else _ARROW_TYPES.get(known.name)
    if is_list:
        return pa.list_(element or pa.string())
    return element or pa.string()


def _array(values: list[Any], kind: pa.DataType) -> pa.Array[Any]:
    if pa.types.is_string(kind):
        values = [None if value is None else str(value) for value in values]
    return cast("pa.Array[Any]", pa.array(values, kind))


def _values(column: pa.Array[Any]) -> list[Any]:
    """An Arrow column's values as COPY takes them.

    PostgreSQL's texts cannot hold the character of code 0: U+FFFD stands in its place.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if pa.types.is_timestamp(kind):
        # a plain timestamp is UTC; the server would overlook a zone
        instant = column if kind.tz is not None else column.cast(pa.timestamp(kind.unit, tz="UTC"))
        column = instant.cast(pa.timestamp("us", tz="UTC"), safe=False).cast(pa.timestamp("us"))
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        column = compute.replace_substring(column, _ZERO, _REPLACEMENT)
    return column.to_pylist()


def _row_columns(connection: sa.Connection, schema: str, table: str) -> set[str]:
    """Names of a table's columns that are of a row type, or arrays of one."""
    query = (
        "SELECT a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
        "JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_type t ON t.oid = a.atttypid "
        "LEFT JOIN pg_type e ON e.typarray = t.oid "
        "WHERE n.nspname = %s AND c.relname = %s AND a.attnum > 0 AND 'c' IN (t.typtype, e.typtype)"
    )
    return {row[0] for row in connection.exec_driver_sql(query, (schema, table))}


def _plain_type(kind: sa.types.TypeEngine[Any]) -> sa.types.TypeEngine[Any]:
    """A type, or what a domain is made of."""
    return getattr(kind, "data_type", kind)
