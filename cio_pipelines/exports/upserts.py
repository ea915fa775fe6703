"""From staged rows to the newest row of each key, set-based: a load's statements and staging tables.

Which of two rows is newer is decided by the rows and the names of their files alone, never by when they were
loaded: files may come in any order and more than once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from cio_pipelines.exports.datasets import Dataset
from cio_pipelines.exports.tables import export_other
from cio_pipelines.warehouse.functions import UtcTimestamp

Column = sa.ColumnElement[Any]

_NEVER = datetime(1, 1, 1, tzinfo=UTC)
_LEAST = -(2**63)


def _given(table: sa.Table) -> list[sa.Column[Any]]:
    return [column for column in table.columns if column.name != "loaded_at"]


def _passing(name: str, *columns: sa.Column[Any]) -> sa.Table:
    """A temporary table for rows on their way."""
    copies = (sa.Column(column.name, column.type) for column in columns)
    return sa.Table(name, sa.MetaData(), *copies, prefixes=["TEMPORARY"])


staged_other = _passing("staged_other", *_given(export_other))


@dataclass(frozen=True, slots=True)
class Upsert:
    """The statements that bring staged rows of one dataset into its table."""

    dataset: Dataset
    staged: sa.Table = field(init=False)
    newest: sa.Table = field(init=False)

    def __post_init__(self) -> None:
        name, table = self.dataset.name, self.dataset.table
        position = sa.Column("position", sa.BigInteger)
        object.__setattr__(self, "staged", _passing(f"staged_{name}", *_given(table), position))
        found = [self.staged.c[column] for column in (*self.dataset.key, "file", "position")]
        object.__setattr__(self, "newest", _passing(f"newest_{name}", *found))

    def find_newest(self) -> sa.Insert:
        """Which staged rows are newer than all others of their key, staged or in the table, into `newest`."""
        rows, table = self.staged, self.dataset.table
        order = [column.desc() for column in (*self._order(rows), rows.c.position)]
        place = sa.func.row_number().over(
            partition_by=[rows.c[name] for name in self.dataset.key], order_by=order
        )
        # messages are large: only what decides is ranked
        decisive = [*self.dataset.key, *self.dataset.recency, "file_order", "file", "position"]
        ranked = sa.select(*(rows.c[name] for name in decisive), place.label("place")).cte("ranked_rows")
        is_new = table.c.file.is_(None)
        is_newer = _comes_after(self._order(ranked), self._order(table))
        names = [column.name for column in self.newest.columns]
        chosen = (
            sa.select(*(ranked.c[name] for name in names))
            .select_from(ranked.outerjoin(table, self._same_key(ranked, table)))
            .where(ranked.c.place == 1, sa.or_(is_new, is_newer))
        )
        return self.newest.insert().from_select(names, chosen)

    def remove_older(self) -> sa.Delete:
        """Rows of the table that `newest` has a newer one of."""
        table = self.dataset.table
        replaced = sa.select(self.newest.c.file).where(self._same_key(self.newest, table))
        return table.delete().where(replaced.exists())

    def insert_newest(self, loaded_at: datetime) -> sa.Insert:
        """The staged rows that `newest` names into the table."""
        staged, newest = self.staged, self.newest
        names = [column.name for column in _given(self.dataset.table)]
        is_newest = sa.and_(newest.c.file == staged.c.file, newest.c.position == staged.c.position)
        rows = sa.select(*(staged.c[name] for name in names), sa.literal(loaded_at, UtcTimestamp)).where(
            sa.select(newest.c.file).where(is_newest).exists()
        )
        return self.dataset.table.insert().from_select([*names, "loaded_at"], rows)

    def counts(self) -> sa.Select[Any]:
        """By file: `inserted`, which is how many of its rows are in `newest`."""
        file = self.newest.c.file
        return sa.select(file, sa.func.count().label("inserted")).group_by(file)

    def _same_key(self, one: sa.FromClause, other: sa.FromClause) -> Column:
        return sa.and_(*(one.c[name] == other.c[name] for name in self.dataset.key))

    def _order(self, rows: sa.FromClause) -> list[Column]:
        """What tells the newer of two rows of a key, none of it NULL."""
        recency = [sa.func.coalesce(rows.c[name], _floor(rows.c[name])) for name in self.dataset.recency]
        return [*recency, rows.c.file_order, rows.c.file]


def insert_other(loaded_at: datetime) -> sa.Insert:
    """Rows without a place in another table into `export_other`."""
    names = [column.name for column in staged_other.columns]
    rows = sa.select(staged_other, sa.literal(loaded_at, UtcTimestamp))
    return export_other.insert().from_select([*names, "loaded_at"], rows)


def forget_other(files: Sequence[str]) -> sa.Delete:
    """What `export_other` has of files from when they were read before."""
    return export_other.delete().where(export_other.c.file.in_(files))


def present_other(files: Sequence[str]) -> sa.Select[Any]:
    """By file: `present`, which is how many rows `export_other` has of it."""
    file = export_other.c.file
    return sa.select(file, sa.func.count().label("present")).where(file.in_(files)).group_by(file)


def _floor(column: Column) -> Column:
    """What an unknown value of a column counts as: less than all others."""
    if isinstance(column.type, UtcTimestamp):
        return sa.literal(_NEVER, UtcTimestamp)
    return sa.literal(_LEAST, sa.BigInteger)


def _comes_after(one: Sequence[Column], other: Sequence[Column]) -> Column:
    """Whether `one` is greater than `other`, compared member by member."""
    greater = one[0] > other[0]
    if len(one) == 1:
        return greater
    return sa.or_(greater, sa.and_(one[0] == other[0], _comes_after(one[1:], other[1:])))
