"""The tries to trigger a broadcast, as the warehouse remembers them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from cio_pipelines.broadcasts.refusals import ErrorLine
from cio_pipelines.broadcasts.specs import BroadcastSpec
from cio_pipelines.broadcasts.state import UNRESOLVED, broadcast_errors, broadcast_triggers
from cio_pipelines.warehouse import WarehouseConnection


@dataclass(frozen=True, slots=True)
class Attempt:
    """A row of `broadcast_triggers`; the columns there say what each member is."""

    day: date
    attempt: int
    key: str
    status: str
    recipients: int
    requested_at: datetime
    run_id: str
    known_people: int = 0
    unsynced: int | None = None
    trigger_id: int | None = None
    adopted: bool = False
    reached: int | None = None
    errors: int = 0
    triggered_at: datetime | None = None
    processed_at: datetime | None = None

    @property
    def is_unresolved(self) -> bool:
        """Whether nobody knows if Customer.io took the request."""
        return self.status in UNRESOLVED


_NAMES = [each.name for each in fields(Attempt)]


@dataclass(frozen=True, slots=True)
class Attempts:
    """Those of one workspace and broadcast, over one connection."""

    connection: WarehouseConnection
    workspace: str
    spec: BroadcastSpec

    def latest(self, day: date) -> Attempt | None:
        """The last try for a day."""
        table = broadcast_triggers
        found = self._of(table.c.day == sa.literal(day), self._owned)
        return max(found, key=lambda each: each.attempt, default=None)

    def unresolved(self) -> list[Attempt]:
        """All tries, of any spec with this broadcast, of which nobody knows what became of them."""
        return self._of(broadcast_triggers.c.status.in_(UNRESOLVED), self._same_broadcast)

    def taken(self) -> set[int]:
        """Numbers of triggers, of any spec with this broadcast, that are some try's already."""
        column = broadcast_triggers.c.trigger_id
        rows = self.connection.rows(sa.select(column).where(self._same_broadcast, column.is_not(None)))
        return {int(row.trigger_id) for row in rows}

    def add(self, attempt: Attempt) -> None:
        """Write down a new try."""
        values = {name: getattr(attempt, name) for name in _NAMES}
        self.connection.execute(
            broadcast_triggers.insert().values(
                workspace=self.workspace,
                broadcast=self.spec.name,
                broadcast_id=self.spec.broadcast_id,
                **values,
            )
        )

    def change(self, attempt: Attempt, **values: Any) -> Attempt:
        """Write down what became of a try; returns it as it is then."""
        self.connection.execute(
            broadcast_triggers.update().where(self._is(broadcast_triggers, attempt)).values(**values)
        )
        return replace(attempt, **values)

    def remove(self, attempt: Attempt) -> None:
        """Forget a try that was never made."""
        self.connection.execute(broadcast_triggers.delete().where(self._is(broadcast_triggers, attempt)))

    def end(self, attempt: Attempt, lines: Sequence[ErrorLine], **values: Any) -> Attempt:
        """Write down what became of a try for good, with its errors; doing it again changes nothing."""
        table = broadcast_errors
        with self.connection.transaction():
            self.connection.execute(table.delete().where(self._is(table, attempt)))
            if lines:
                self.connection.append(table, self._rows(attempt, values.get("trigger_id"), lines))
            return self.change(attempt, errors=len(lines), **values)

    def reasons(self, attempt: Attempt) -> dict[str, int]:
        """How often each reason is among the errors of a try."""
        table = broadcast_errors
        counted = (
            sa.select(table.c.reason, sa.func.count().label("number"))
            .where(self._is(table, attempt))
            .group_by(table.c.reason)
        )
        return {row.reason: int(row.number) for row in self.connection.rows(counted)}

    @property
    def _owned(self) -> sa.ColumnElement[bool]:
        table = broadcast_triggers
        return sa.and_(table.c.workspace == self.workspace, table.c.broadcast == self.spec.name)

    @property
    def _same_broadcast(self) -> sa.ColumnElement[bool]:
        table = broadcast_triggers
        return sa.and_(table.c.workspace == self.workspace, table.c.broadcast_id == self.spec.broadcast_id)

    def _is(self, table: sa.Table, attempt: Attempt) -> sa.ColumnElement[bool]:
        return sa.and_(
            table.c.workspace == self.workspace,
            table.c.broadcast == self.spec.name,
            table.c.day == sa.literal(attempt.day),
            table.c.attempt == attempt.attempt,
        )

    def _of(self, *conditions: sa.ColumnElement[bool]) -> list[Attempt]:
        columns = [broadcast_triggers.c[name] for name in _NAMES]
        rows = self.connection.rows(sa.select(*columns).where(*conditions))
        return [Attempt(*row) for row in rows]

    def _rows(self, attempt: Attempt, trigger_id: int | None, lines: Sequence[ErrorLine]) -> pa.Table:
        number = len(lines)
        return pa.table(
            {
                "workspace": pa.array([self.workspace] * number, pa.string()),
                "broadcast": pa.array([self.spec.name] * number, pa.string()),
                "day": pa.array([attempt.day] * number, pa.date32()),
                "attempt": pa.array([attempt.attempt] * number, pa.int32()),
                "trigger_id": pa.array([trigger_id or attempt.trigger_id] * number, pa.int64()),
                "line": pa.array([line.number for line in lines], pa.int64()),
                "reason": pa.array([line.reason for line in lines], pa.string()),
            }
        )
