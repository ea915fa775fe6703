"""Whose state it is: the workspace and the sync, and of them one run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa


@dataclass(frozen=True, slots=True)
class SyncKey:
    """The first two columns of every state table.

    `subject` is the column by which plan, ledger and letters tell the sync's rows apart: of a person an
    operation in each phase, of an event the one.
    """

    workspace: str
    sync: str
    subject: str = "person_id"

    def subject_of(self, table: sa.FromClause) -> sa.ColumnElement[str]:
        """What a state row is about, by its id."""
        return table.c[self.subject]

    def same(self, row: sa.FromClause, other: sa.FromClause) -> sa.ColumnElement[bool]:
        """Whether two state rows are about one operation."""
        return sa.and_(self.subject_of(row) == self.subject_of(other), row.c.phase == other.c.phase)

    def owns(self, table: sa.FromClause) -> sa.ColumnElement[bool]:
        """Whether a state row belongs to this workspace and sync."""
        return sa.and_(table.c.workspace == self.workspace, table.c.sync == self.sync)

    @property
    def values(self) -> dict[str, Any]:
        return {"workspace": self.workspace, "sync": self.sync}

    @property
    def columns(self) -> list[sa.ColumnElement[Any]]:
        """The two as constants, for INSERT … SELECT."""
        return [sa.literal(self.workspace).label("workspace"), sa.literal(self.sync).label("sync")]


@dataclass(frozen=True, slots=True)
class RunKey:
    """One run of a sync. `date` is the UTC day of its extraction: plans and ledgers are partitioned by it."""

    sync: SyncKey
    run_id: str
    date: date

    def owns(self, table: sa.FromClause) -> sa.ColumnElement[bool]:
        """Whether a row of a plan or ledger belongs to the run; the date keeps other days from being read."""
        return sa.and_(
            self.sync.owns(table), table.c.run_date == sa.literal(self.date), table.c.run_id == self.run_id
        )

    def wrote(self, table: sa.FromClause) -> sa.ColumnElement[bool]:
        """Whether a row of a table that is not divided by run is this run's word."""
        return sa.and_(self.sync.owns(table), table.c.run_id == self.run_id)

    @property
    def values(self) -> dict[str, Any]:
        return {**self.sync.values, "run_id": self.run_id, "run_date": self.date}

    @property
    def columns(self) -> list[sa.ColumnElement[Any]]:
        """The run's columns as constants, for INSERT … SELECT."""
        return [
            *self.sync.columns,
            sa.literal(self.run_id).label("run_id"),
            sa.literal(self.date).label("run_date"),
        ]
