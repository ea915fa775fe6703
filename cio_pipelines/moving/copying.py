"""Tables on their way from one warehouse to another: staged in bounded portions, then put in place together.

What is staged when a process is killed is forgotten by the next one, and the target's own tables change in
one transaction at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from cio_pipelines.warehouse import WarehouseConnection, WarehouseError

SCHEMA = "customerio_moving"
"""Schema of tables that are only there while something moves."""

_ROWS_AT_ONCE = 10_000
_PORTION_BYTES = 64_000_000
"""Of Arrow, held and written at once: each is a load job on BigQuery, which allows 1,500 a day and table."""


@dataclass(frozen=True, slots=True)
class Moved:
    """Rows of a table that move.

    Attributes:
        part: what they belong to; a table may have rows of several.
        table: the same on both sides.
        scope: which rows; on the target, those that they replace.
    """

    part: str
    table: sa.Table
    scope: sa.ColumnElement[bool]

    @property
    def staging(self) -> sa.Table:
        """The table that they pass through."""
        return passing_table(f"{self.part}_{self.table.name}", *self.table.columns)

    @property
    def query(self) -> sa.Select[Any]:
        """The rows, with the table's columns in order."""
        return sa.select(*self.table.columns).where(self.scope)

    @property
    def is_any(self) -> sa.Select[Any]:
        """A row, if there is one."""
        return sa.select(sa.literal(1)).select_from(self.table).where(self.scope).limit(1)


def passing_table(name: str, *columns: sa.Column[Any]) -> sa.Table:
    """A table of the schema for moving, with columns of these names and types."""
    return sa.Table(name, sa.MetaData(), *(sa.Column(c.name, c.type) for c in columns), schema=SCHEMA)


def make_empty(connection: WarehouseConnection, table: sa.Table) -> None:
    """Make a table of the schema for moving; what a killed process left in it is forgotten."""
    connection.execute(sa.schema.CreateSchema(SCHEMA, if_not_exists=True))
    connection.execute(sa.schema.DropTable(table, if_exists=True))
    connection.execute(sa.schema.CreateTable(table))


def portions(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Batches put together, so that each portion is worth a load."""
    held: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        held.append(batch)
        size += batch.nbytes
        if size >= _PORTION_BYTES:
            yield pa.Table.from_batches(held)
            held, size = [], 0
    if held:
        yield pa.Table.from_batches(held)


def stage(
    source: WarehouseConnection, target: WarehouseConnection, moved: Moved, beat: Callable[[], None]
) -> int:
    """Copy rows into their staging table; `beat` is called between portions.

    Returns:
        How many there are.

    Raises:
        WarehouseError: another number of rows arrived than left.
    """
    staging = moved.staging
    make_empty(target, staging)
    rows = copy(source, moved.query, target, staging, beat)
    arrived = int(target.scalar(sa.select(sa.func.count()).select_from(staging)))
    if arrived != rows:
        raise WarehouseError(
            f"Of {moved.table.fullname} {rows:,} rows left and {arrived:,} arrived.", "Run the move again."
        )
    return rows


def copy(
    source: WarehouseConnection,
    query: sa.Select[Any],
    target: WarehouseConnection,
    table: sa.Table,
    beat: Callable[[], None],
) -> int:
    """Append the rows of a query to a table elsewhere, portion by portion; returns how many."""
    rows = 0
    for portion in portions(source.batches(query, rows_per_batch=_ROWS_AT_ONCE)):
        target.append(table, portion)
        rows += portion.num_rows
        beat()
    return rows


def put(target: WarehouseConnection, items: Sequence[Moved]) -> None:
    """Put staged rows in place of what is in their scope. In a transaction."""
    for moved in items:
        names = [column.name for column in moved.table.columns]
        staging = moved.staging
        staged = sa.select(*(staging.c[name] for name in names))
        target.execute(moved.table.delete().where(moved.scope))
        target.execute(moved.table.insert().from_select(names, staged))


def forget(target: WarehouseConnection, items: Sequence[Moved]) -> None:
    """Drop the staging tables."""
    for moved in items:
        target.execute(sa.schema.DropTable(moved.staging, if_exists=True))
