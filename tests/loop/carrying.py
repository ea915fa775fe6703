"""Tables of a DuckDB file, carried into another warehouse as they are."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from cio_pipelines.warehouse import Warehouse, open_warehouse
from cio_pipelines.warehouse.functions import UtcTimestamp


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
        staged = _staged(table)
        texts = [sa.cast(column, staged.c[column.name].type) for column in table.columns]
        with source.connect() as connection:
            batches = list(connection.batches(sa.select(*(each.label(each.clause.name) for each in texts))))
        values = [sa.cast(column, table.c[column.name].type) for column in staged.columns]
        with target.connect() as connection:
            connection.execute(sa.schema.CreateSchema(str(table.schema), if_not_exists=True))
            for each in (table, staged):
                connection.execute(sa.schema.CreateTable(each, if_not_exists=True))
            connection.execute(table.delete())  # views of dbt's hang on it
            connection.append(staged, pa.Table.from_batches(batches))
            connection.execute(table.insert().from_select(list(table.columns.keys()), sa.select(*values)))
            connection.execute(sa.schema.DropTable(staged))


def _staged(table: sa.Table) -> sa.Table:
    """A table beside it in which decimals are texts: not every engine appends them."""
    columns = [
        sa.Column(column.name, sa.String() if isinstance(column.type, sa.Numeric) else column.type)
        for column in table.columns
    ]
    return sa.Table(f"{table.name}_carried", sa.MetaData(), *columns, schema=table.schema)


def _common(kind: sa.types.TypeEngine[Any]) -> sa.types.TypeEngine[Any]:
    if isinstance(kind, sa.Boolean | sa.Date):
        return type(kind)()
    if isinstance(kind, sa.Integer):
        return sa.BigInteger()
    if isinstance(kind, sa.TIMESTAMP | sa.DateTime):
        return UtcTimestamp()
    if isinstance(kind, sa.Numeric):
        return sa.Numeric(kind.precision, kind.scale)
    return sa.String()
