"""How a run of events ends, and how that is proved: accepted events are remembered for ever."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa

from cio_pipelines.sync.base_commit import BaseCommit, Column, Step
from cio_pipelines.sync.key import RunKey
from cio_pipelines.sync.ledger import Ledger
from cio_pipelines.sync.manners import Manner
from cio_pipelines.sync.state import accepted_events, dead_letters, open_people, sync_acks, sync_plan
from cio_pipelines.warehouse import WarehouseConnection

MOST_DAYS = 3_000
"""Days whose events one statement remembers: each is a partition, of which BigQuery writes 4,000 at most."""

_DAY = sa.cast(sync_plan.c.source_updated_at, sa.Date)


@dataclass(frozen=True, slots=True)
class EventLedger(Ledger):
    """The ledger of one run of events."""

    def _vanished(self, connection: WarehouseConnection) -> Column:
        held = self._held(accepted_events)
        days = _days(connection, self.run)
        if days is not None:
            held = held.where(_between(accepted_events.c.occurred_on, *days))
        # accepted, and not applied as was found out since
        unapplied = [
            sync_acks.c.event_id.not_in(self._held(table).where(column == "unapplied"))
            for table, column in ((open_people, open_people.c.outcome), (dead_letters, dead_letters.c.kind))
        ]
        return sa.and_(self.run.owns(sync_acks), sync_acks.c.event_id.not_in(held), *unapplied)


@dataclass(frozen=True, slots=True)
class EventCommit(BaseCommit):
    """Commits one run of events: those accepted, open ones and dead letters."""

    def steps(self, run: sa.Row[Any], now: Column) -> Sequence[Step]:
        steps: list[Step] = [lambda: self.replace_open(run, now)]
        days = _days(self.connection, self.run)
        if days is None:
            return steps
        accepted = (
            sa.select(
                *self.run.sync.columns,
                sync_plan.c.event_id,
                _DAY.label("occurred_on"),
                sync_plan.c.attributes_hash,
                now.label("accepted_at"),
                sync_plan.c.run_id,
            )
            .select_from(sync_plan.join(sync_acks, self.run.sync.same(sync_acks, sync_plan)))
            .where(self.mine, self.run.owns(sync_acks))
        )
        first, last = days
        while first <= last:
            until = min(last, first + timedelta(days=MOST_DAYS - 1))
            rows = accepted.where(_between(_DAY, first, until))
            steps.append(lambda rows=rows: self.insert(accepted_events, rows))
            first = until + timedelta(days=1)
        return steps


def _days(connection: WarehouseConnection, run: RunKey) -> tuple[date, date] | None:
    """The first and the last day of a plan's events that could be sent; None when it has none."""
    sent = sa.select(sa.func.min(_DAY), sa.func.max(_DAY)).where(
        run.owns(sync_plan), sync_plan.c.fault_field.is_(None)
    )
    first, last = connection.rows(sent)[0]
    return None if first is None else (first, last)


def _between(day: Column, first: date, last: date) -> Column:
    return sa.and_(day >= sa.literal(first), day <= sa.literal(last))


def event_phases(run: RunKey, timestamp: int) -> Sequence[sa.Select[Any]]:
    """The operations of a plan of events, oldest days in no order: each is one of its own."""
    del timestamp  # an event has the time at which it occurred
    plan = sync_plan.c
    payload = plan.attributes.concat(sa.literal(",", sa.String)).label("payload")
    return (
        sa.select(plan.event_id.label("subject"), plan.operation, payload).where(
            run.owns(sync_plan), plan.fault_field.is_(None)
        ),
    )


EVENTS = Manner(event_phases, EventLedger, EventCommit)
