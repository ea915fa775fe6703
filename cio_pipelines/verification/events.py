"""Events of a run that were accepted, looked for in their people's activities."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from cio_pipelines.customerio import AppClient, NotFound, PersonIdentifiers
from cio_pipelines.sync.key import RunKey
from cio_pipelines.sync.state import accepted_events, sync_acks, sync_plan
from cio_pipelines.verification.comparing import Compared, Expected, same_value
from cio_pipelines.verification.people import parts
from cio_pipelines.verification.reading import members_of
from cio_pipelines.warehouse import WarehouseConnection
from cio_pipelines.warehouse import functions as fn
from cio_pipelines.warehouse.functions import UtcTimestamp

SHOWN = timedelta(days=30)
"""Activities are shown for about so long (a third party's word; nothing is documented)."""
_ACTIVITIES = 500
"""Of one person and one name that are looked through; what may lie beyond is not called missing."""
_MISSING = Compared({"": "event_missing"})

_DAY = sa.cast(sync_plan.c.source_updated_at, sa.Date)


@dataclass(frozen=True, slots=True)
class AcceptedEvents:
    """Events that a run was accepted for."""

    connection: WarehouseConnection
    run: RunKey
    sent_at: int

    @property
    def _all(self) -> sa.Select[Any]:
        plan = sync_plan.c
        return (
            sa.select(plan.event_id, plan.person_id, plan.attributes)
            .select_from(sync_plan.join(sync_acks, sync_acks.c.event_id == plan.event_id))
            .where(self.run.owns(sync_plan), self.run.owns(sync_acks))
        )

    @property
    def _accepted(self) -> sa.Select[Any]:
        """Those that can be looked for: their payloads are not erased, and Customer.io still shows them."""
        shown = datetime.fromtimestamp(self.sent_at, UTC) - SHOWN
        plan = sync_plan.c
        is_shown = plan.source_updated_at >= sa.literal(shown, UtcTimestamp)
        return self._all.where(plan.attributes.is_not(None), is_shown)

    def count(self) -> int:
        """How many there are."""
        return int(self.connection.scalar(sa.select(sa.func.count()).select_from(self._all.subquery())))

    def too_old(self) -> int:
        """How many cannot be looked for."""
        shown = sa.select(sa.func.count()).select_from(self._accepted.subquery())
        return self.count() - int(self.connection.scalar(shown))

    def sample(self, number: int) -> list[Expected]:
        """Up to `number` of them, drawn by a hash of run and id; first those that were lost before."""
        lot = fn.hash_text(sync_plan.c.event_id.concat(sa.literal(self.run.run_id, sa.String)))
        drawn = self._accepted.order_by(sa.case((sync_plan.c.why == "unapplied", 0), else_=1), lot)
        return [_expected(row) for row in self.connection.rows(drawn.limit(number))]

    def named(self, people: Collection[str]) -> list[Expected]:
        """Those of these people."""
        found: list[Expected] = []
        for part in parts(people):
            rows = self.connection.rows(self._accepted.where(sync_plan.c.person_id.in_(part)))
            found += [_expected(row) for row in rows]
        return found


def _expected(row: sa.Row[Any]) -> Expected:
    sent: dict[str, Any] = json.loads(row.attributes, parse_float=Decimal)
    return Expected(row.person_id, sent["attributes"], sent["timestamp"], row.event_id, sent["name"].strip())


async def read_events(client: AppClient, expected: Sequence[Expected]) -> dict[str, Compared]:
    """Which of these events their people's activities do not have. Raises CustomerIOError."""
    groups: dict[tuple[str, str], list[Expected]] = {}
    for each in expected:
        groups.setdefault((each.person_id, each.name), []).append(each)
    found = await asyncio.gather(*(_missing(client, *of, group) for of, group in groups.items()))
    return {event_id: _MISSING for missing in found for event_id in missing}


async def _missing(client: AppClient, person_id: str, name: str, events: Sequence[Expected]) -> list[str]:
    wanted = list(events)
    activities = client.person_activities(PersonIdentifiers(id=person_id), type="event", name=name)
    looked_at = 0
    try:
        async with aclosing(activities) as found:
            async for activity in found:
                looked_at += 1
                match = next((each for each in wanted if _is(each, activity)), None)
                if match is not None:
                    wanted.remove(match)
                if not wanted or looked_at == _ACTIVITIES:
                    break
    except NotFound:
        return [each.event_id for each in wanted]
    return [] if looked_at == _ACTIVITIES else [each.event_id for each in wanted]


def _is(event: Expected, activity: Mapping[str, Any]) -> bool:
    """Whether an activity is the event: activities do not bear the event's own id."""
    if str(activity.get("timestamp")) != str(event.sent_at):
        return False
    data = members_of(activity.get("data"))
    sent = event.attributes or {}
    return all(same_value(name, value, data.get(name)) for name, value in sent.items())


def standing_events(
    connection: WarehouseConnection, run: RunKey, events: Collection[str]
) -> Iterator[sa.Row[Any]]:
    """Their planned operation, if it is still by this run that they count as accepted."""
    plan = sync_plan.c
    for part in parts(events):
        days = sa.select(sa.func.min(_DAY), sa.func.max(_DAY)).where(
            run.owns(sync_plan), plan.event_id.in_(part)
        )
        first, last = connection.rows(days)[0]
        if first is None:
            continue
        yield from connection.rows(
            sa.select(
                *(plan.person_id, plan.event_id, plan.operation, plan.attributes_hash, plan.attempts),
                _DAY.label("day"),
            )
            .select_from(sync_plan.join(accepted_events, accepted_events.c.event_id == plan.event_id))
            .where(
                run.owns(sync_plan),
                plan.event_id.in_(part),
                run.wrote(accepted_events),
                accepted_events.c.occurred_on >= sa.literal(first),
                accepted_events.c.occurred_on <= sa.literal(last),
            )
        )


def disclaim_events(run: RunKey, rows: Sequence[sa.Row[Any]]) -> list[sa.Executable]:
    """Statements after which these do not count as accepted."""
    return [
        accepted_events.delete().where(
            run.wrote(accepted_events),
            accepted_events.c.event_id.in_(part),
            accepted_events.c.occurred_on >= sa.literal(min(row.day for row in rows)),
            accepted_events.c.occurred_on <= sa.literal(max(row.day for row in rows)),
        )
        for part in parts({row.event_id for row in rows})
    ]
