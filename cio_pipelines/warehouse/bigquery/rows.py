"""Rows of our own tables on their way into BigQuery: what their columns are there and in Parquet."""

# the client and its dialect carry few types
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from google.cloud import bigquery

from cio_pipelines.warehouse.functions import UtcTimestamp


def is_temporary(table: sa.Table) -> bool:
    """All tables of this project have a schema, but those that live as long as a connection."""
    return table.schema is None


def schema_of(table: sa.Table, names: Sequence[str], dialect: sa.Dialect) -> list[bigquery.SchemaField]:
    return [bigquery.SchemaField(name, str(table.c[name].type.compile(dialect=dialect))) for name in names]


def typed(table: sa.Table, rows: pa.Table) -> pa.Table:
    """Rows in the types of the table's columns, so that the file says what BigQuery shall make of them."""
    columns = {name: _cast(rows.column(name), arrow_type(table.c[name].type)) for name in rows.column_names}
    return pa.table(columns)


def _cast(column: Any, to: pa.DataType) -> Any:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_timestamp(to) and column.type.tz is None:
        column = column.cast(pa.timestamp("us"))  # without a zone it is UTC
    return column.cast(to)


def arrow_type(kind: sa.types.TypeEngine[Any]) -> pa.DataType:
    """The Arrow type of a column of our own tables. Raises ValueError for one that none of them has."""
    if isinstance(kind, UtcTimestamp):
        return pa.timestamp("us", "UTC")
    if isinstance(kind, sa.Boolean):
        return pa.bool_()
    if isinstance(kind, sa.Integer):
        return pa.int64()
    if isinstance(kind, sa.Float):
        return pa.float64()
    if isinstance(kind, sa.Date):
        return pa.date32()
    if isinstance(kind, sa.String):
        return pa.large_string()
    raise ValueError(f"no rows of type {kind!r} are written")
