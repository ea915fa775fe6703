"""Whose state it is: the workspace and the sync."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa


@dataclass(frozen=True, slots=True)
class SyncKey:
    """The first two columns of every state table."""

    workspace: str
    sync: str

    def owns(self, table: sa.FromClause) -> sa.ColumnElement[bool]:
        """Whether a state row belongs to this workspace and sync."""
        return sa.and_(table.c.workspace == self.workspace, table.c.sync == self.sync)

    def run(self, table: sa.FromClause, run_id: str) -> sa.ColumnElement[bool]:
        """Whether a state row belongs to one run of it."""
        return sa.and_(self.owns(table), table.c.run_id == run_id)

    @property
    def values(self) -> dict[str, Any]:
        return {"workspace": self.workspace, "sync": self.sync}

    @property
    def columns(self) -> list[sa.ColumnElement[Any]]:
        """The two as constants, for INSERT … SELECT."""
        return [sa.literal(self.workspace).label("workspace"), sa.literal(self.sync).label("sync")]
