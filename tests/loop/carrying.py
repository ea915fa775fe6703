"""Tables of a DuckDB file, carried into another warehouse as they are."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from cio_pipelines.warehouse import Warehouse, open_warehouse


def described(database: Path, *names: str) -> list[sa.Table]:
    """Tables (`schema.table`) of a DuckDB file, with types that every engine has."""
    warehouse = open_warehouse(f"duckdb:///{database}")
    metadata = sa.MetaData()
    tables: list[sa.Table] = []
    for schema, _, name in (name.partition(".") for name in names):
        columns = warehouse.columns(schema, name)
        assert columns, name
        made = [sa.Column(column, _common(kind)) for column, kind in columns.items()]
        tables.append(sa.Table(name, metadata, *made, schema=schema))
    return tables


def carry(database: Path, target: Warehouse, tables: Iterable[sa.Table]) -> None:
    """Have these tables in the target, with the rows that they have in the DuckDB file."""
    source = open_warehouse(f"duckdb:///{database}")
    for table in tables:
        with source.connect() as connection:
            batches = list(connection.batches(sa.select(table)))
        with target.connect() as connection:
            connection.execute(sa.schema.CreateSchema(str(table.schema), if_not_exists=True))
            connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
            connection.execute(table.delete())  # views of dbt's hang on it
            if batches:
                connection.append(table, pa.Table.from_batches(batches))


def _common(kind: sa.types.TypeEngine[Any]) -> sa.types.TypeEngine[Any]:
    if isinstance(kind, sa.Boolean | sa.Date):
        return type(kind)()
    if isinstance(kind, sa.Integer):
        return sa.BigInteger()
    if isinstance(kind, sa.TIMESTAMP | sa.DateTime):
        return sa.TIMESTAMP()
    if isinstance(kind, sa.Numeric):
        return sa.Numeric(kind.precision, kind.scale)
    return sa.String()
