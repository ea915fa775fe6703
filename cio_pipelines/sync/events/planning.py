"""Deciding which events to send: the mart against those that were accepted, set-based, into `sync_plan`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from cio_pipelines.sync.errors import SourceContractError
from cio_pipelines.sync.events.mart import EventMart
from cio_pipelines.sync.key import RunKey
from cio_pipelines.sync.state import accepted_events, dead_letters, open_people, sync_plan
from cio_pipelines.sync.windows import Window
from cio_pipelines.warehouse import WarehouseConnection
from cio_pipelines.warehouse import functions as fn
from cio_pipelines.warehouse.functions import UtcTimestamp

Column = sa.ColumnElement[Any]

TRIGGERING = timedelta(hours=72)
"""Customer.io triggers campaigns by events that are no older (Track API reference, August 2026)."""
_NAMED = 1_000
"""Events that are named in a statement; more are looked up."""


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of the rows that were looked at, see `EventPlan`."""

    extracted: int
    accepted_before: int
    altered: int
    left_alone: int
    estimated_bytes: int | None


@dataclass(frozen=True, slots=True)
class EventPlanner:
    """Writes the plan of one run, which nobody reads before the run is noted as planned."""

    connection: WarehouseConnection
    run: RunKey
    mart: EventMart
    extracted_at: datetime

    @property
    def mine(self) -> Column:
        """Whether a planned operation is of this run."""
        return self.run.owns(sync_plan)

    def plan(self, window: Window) -> Decided:
        """Plan the events of a window that were never accepted, and those that earlier runs left open.

        Raises SourceContractError for null or repeated event ids.
        """
        compared, accepted, dead = self._compared(window)
        extracted, before, altered, left_alone = self._count(compared, accepted, dead)
        waiting = self._state(open_people, "event_id", "attributes_hash", "attempts", "outcome")
        is_late = compared.c.occurred_at < sa.literal(self.extracted_at - TRIGGERING, UtcTimestamp)
        rows = (
            sa.select(
                *self.run.columns,
                compared.c.person_id,
                compared.c.event_id,
                sa.literal("event").label("operation"),
                sa.literal(1).label("phase"),
                sa.case(
                    (waiting.c.outcome == "unapplied", "unapplied"), (is_late, "late"), else_="new"
                ).label("why"),
                compared.c.payload.label("attributes"),
                compared.c.attributes_hash,
                compared.c.occurred_at.label("source_updated_at"),
                sa.func.coalesce(waiting.c.attempts, 0).label("attempts"),
                compared.c.fault_field,
                compared.c.fault_reason,
                sa.literal(self.extracted_at, UtcTimestamp).label("planned_at"),
            )
            .select_from(
                compared.outerjoin(accepted, accepted.c.event_id == compared.c.event_id)
                .outerjoin(dead, _same(dead, compared))
                .outerjoin(waiting, _same(waiting, compared))
            )
            .where(accepted.c.event_id.is_(None), dead.c.event_id.is_(None))
        )
        insertion = sync_plan.insert().from_select([column.name for column in rows.selected_columns], rows)
        estimated = self.connection.estimate(insertion)
        self.connection.execute(insertion)
        moved = 0 if window.is_full else self._drop_moved()
        return Decided(extracted, before + moved, altered + moved, left_alone, estimated)

    def _compared(self, window: Window) -> tuple[sa.Subquery, sa.Subquery, sa.Subquery]:
        """The selected rows, the events accepted on the window's days, and the dead letters."""
        rows = sa.union_all(*(self.mart.candidates(each) for each in self._selection(window))).subquery("m")
        compared = sa.select(rows, fn.hash_text(rows.c.payload).label("attributes_hash")).subquery("mart")
        accepted = self._state(accepted_events, "event_id", "attributes_hash", where=_on_days(window))
        return compared, accepted, self._state(dead_letters, "event_id", "attributes_hash")

    def _selection(self, window: Window) -> list[Column]:
        """Rows in the window, and apart from them what an earlier run left open.

        Apart, since one condition for both would make the engine read the whole mart.
        """
        within = self.mart.within(window)
        if window.is_full:
            return [within]
        open_ids = sa.select(open_people.c.event_id).where(self.run.sync.owns(open_people))
        known = self._named(open_ids)
        if known is None:
            return [within]
        outside = sa.not_(sa.func.coalesce(within, sa.false()))
        return [within, sa.and_(self.mart.event_id.in_(known), outside)]

    def _named(self, ids: sa.Select[Any]) -> list[str] | sa.Select[Any] | None:
        """The ids that a query finds: as constants, which show an engine what to read, unless they are many.

        None when there are none.
        """
        found = [row[0] for row in self.connection.rows(ids.limit(_NAMED + 1))]
        return (ids if len(found) > _NAMED else found) if found else None

    def _count(
        self, compared: sa.Subquery, accepted: sa.Subquery, dead: sa.Subquery
    ) -> tuple[int, int, int, int]:
        """Rows, those accepted before, those of them that changed since, and dead letters."""
        is_altered = accepted.c.attributes_hash != compared.c.attributes_hash
        is_dead = sa.and_(accepted.c.event_id.is_(None), dead.c.event_id.is_not(None))
        counts = sa.select(
            sa.func.count(),
            sa.func.count(compared.c.event_id),
            sa.func.count(sa.distinct(compared.c.event_id)),
            sa.func.count(accepted.c.event_id),
            *(
                sa.func.coalesce(sa.func.sum(sa.case((is_so, 1), else_=0)), 0)
                for is_so in (is_altered, is_dead)
            ),
        ).select_from(
            compared.outerjoin(accepted, accepted.c.event_id == compared.c.event_id).outerjoin(
                dead, _same(dead, compared)
            )
        )
        rows, named, distinct, before, altered, left = (int(n) for n in self.connection.rows(counts)[0])
        column = f"{self.mart.spec.relation}.{self.mart.spec.event_id}"
        if named < rows:
            raise SourceContractError(
                f"{rows - named} rows have a null {column}.",
                "Every event needs an id that is always the same: give these rows one, or leave them out.",
            )
        if distinct < named:
            raise SourceContractError(
                f"{named - distinct} rows repeat a {column} that another row has.",
                "One row an event: remove the duplicates in the mart.",
            )
        return rows, before, altered, left

    def _drop_moved(self) -> int:
        """Take back what was accepted on a day that the window does not have: its `occurred_at` has changed.

        Returns how many there were. Only when something is planned are all accepted ids looked through.
        """
        known = self._named(sa.select(sync_plan.c.event_id).where(self.mine))
        if known is None:
            return 0
        accepted = sa.select(accepted_events.c.event_id).where(
            self.run.sync.owns(accepted_events), accepted_events.c.event_id.in_(known)
        )
        moved = self._named(accepted)
        if moved is None:
            return 0
        condition = sa.and_(self.mine, sync_plan.c.event_id.in_(moved))
        count = self.connection.scalar(sa.select(sa.func.count()).select_from(sync_plan).where(condition))
        self.connection.execute(sync_plan.delete().where(condition))
        return int(count)

    def _state(self, table: sa.Table, *names: str, where: Column | None = None) -> sa.Subquery:
        owned = self.run.sync.owns(table)
        chosen = sa.select(*(table.c[name] for name in names))
        return chosen.where(owned if where is None else sa.and_(owned, where)).subquery()


def _same(row: sa.Subquery, event: sa.Subquery) -> Column:
    """Whether a dead letter or open row is about the same event with the same content."""
    return sa.and_(row.c.event_id == event.c.event_id, row.c.attributes_hash == event.c.attributes_hash)


def _on_days(window: Window) -> Column | None:
    """Whether an event was accepted as one of the window's days, said with constants."""
    if window.start is None or window.end is None:
        return None
    day, last = accepted_events.c.occurred_on, window.end - timedelta(microseconds=1)
    return sa.and_(day >= sa.literal(window.start.date()), day <= sa.literal(last.date()))
