"""Questions about what was loaded, which the checks ask."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from cio_pipelines.landing import LandingZone
from cio_pipelines.landing.manifest import (
    LOADED,
    WEBHOOKS,
    failed_entries,
    landed_files,
    loaded_objects,
)
from cio_pipelines.landing.reports import Counts, Unloaded
from cio_pipelines.warehouse import Warehouse
from cio_pipelines.warehouse.functions import UtcTimestamp
from cio_pipelines.warehouse.pruning import on_days
from cio_pipelines.webhooks.layout import place_of
from cio_pipelines.webhooks.objects import Landed
from cio_pipelines.webhooks.reports import Strangers
from cio_pipelines.webhooks.tables import prepare_webhooks, webhook_events

LATEST = 10
"""Days after which Customer.io no longer delivers an event: it gives up after seven."""

_DELIVERIES = sa.table(
    "deliveries", sa.column("person_id"), sa.column("first_event_at", UtcTimestamp()), schema="analytics"
)
_PEOPLE = sa.table("customerio_people", sa.column("person_id"), schema="analytics")


class EventAudit:
    """Looks at a landing zone and at what a warehouse has of it. Every method raises WarehouseError.

    `days` are UTC days of receipt; None means all of them, which reads whole tables.
    """

    def __init__(self, warehouse: Warehouse, zone: LandingZone) -> None:
        self._warehouse = warehouse
        self._zone = zone

    def unloaded(self, days: Iterable[date] | None = None) -> Unloaded:
        """The landed objects against the manifest. Raises LandingUnavailable too."""
        landed = Landed(self._zone)
        wanted = landed.days if days is None else sorted(set(days))
        with self._warehouse.session(), self._warehouse.connect() as connection:
            prepare_webhooks(connection)
            loaded = loaded_objects(connection, WEBHOOKS, wanted)
            failed = failed_entries(connection, WEBHOOKS, wanted)
        files = 0
        unread: list[str] = []
        foreign: list[str] = []
        faults: dict[str, str] = {}
        for item in landed.files(wanted):
            if place_of(item.path) is None:
                foreign.append(item.path)
                continue
            files += 1
            if item.path in failed:
                faults[item.path] = failed[item.path].reason or ""
            elif item.path not in loaded:
                unread.append(item.path)
            elif loaded[item.path].is_other(item):
                faults[item.path] = "it was written anew after it was loaded"
        return Unloaded(files, tuple(unread), faults, tuple(foreign))

    def loaded(self, days: Sequence[date] | None = None) -> Counts:
        """The manifest's sums over objects that were loaded."""
        if days is None:
            return self._counts()
        return self._counts(on_days(landed_files.c.received_date, days))

    def loaded_by(self, run_id: str) -> Counts:
        """The manifest's sums over objects that a run loaded and no later one has read again."""
        return self._counts(landed_files.c.run_id == run_id)

    def events(self) -> int:
        """Rows of the table of events."""
        return int(self._scalar(sa.select(sa.func.count()).select_from(webhook_events)))

    def duplicates(self, days: Sequence[date] | None = None) -> int:
        """Rows of the table of events beyond the first of each `event_id`."""
        ids = sa.func.count(sa.distinct(webhook_events.c.event_id))
        repeated = sa.select(sa.func.count() - ids).select_from(webhook_events)
        return int(self._scalar(repeated.where(*_received(days))))

    def newest_receipt(self, since: date) -> datetime | None:
        """When the newest event was received, by the manifest, UTC; None when none was since a day."""
        files = landed_files.c
        recent = (files.source == WEBHOOKS, files.received_date >= sa.literal(since))
        return self._scalar(sa.select(sa.func.max(files.newest_receipt)).where(*recent))

    def strangers(self, days: Sequence[date] | None = None) -> Strangers | None:
        """Deliveries to nobody whom the people mart knows; None when one of the marts is not there.

        Of days, it looks at deliveries that began on them, or up to `LATEST` days before.
        """
        with self._warehouse.session():
            for table in (_DELIVERIES, _PEOPLE):
                if not self._warehouse.columns(str(table.schema), table.name):
                    return None
            stranger = sa.and_(_DELIVERIES.c.person_id.is_not(None), _PEOPLE.c.person_id.is_(None))
            unnamed = _DELIVERIES.c.person_id.is_(None)
            counted = sa.select(
                sa.func.count(),
                sa.func.count(sa.case((stranger, 1))),
                sa.func.count(sa.case((unnamed, 1))),
            ).select_from(_DELIVERIES.outerjoin(_PEOPLE, _DELIVERIES.c.person_id == _PEOPLE.c.person_id))
            if days is not None:
                first, last = _happened(days)
                began = _DELIVERIES.c.first_event_at
                counted = counted.where(
                    began >= sa.literal(_midnight(first), UtcTimestamp),
                    began < sa.literal(_midnight(last + timedelta(days=1)), UtcTimestamp),
                )
            with self._warehouse.connect() as connection:
                return Strangers(*(int(number) for number in connection.rows(counted)[0]))

    def _counts(self, *conditions: sa.ColumnElement[bool]) -> Counts:
        columns = landed_files.c
        sums = (columns.bytes, columns.rows, columns.inserted, columns.quarantined)
        counted = sa.select(
            sa.func.count(), *(sa.func.coalesce(sa.func.sum(each), 0) for each in sums)
        ).where(columns.source == WEBHOOKS, columns.status == LOADED, *conditions)
        with self._warehouse.session(), self._warehouse.connect() as connection:
            prepare_webhooks(connection)
            return Counts(*(int(number) for number in connection.rows(counted)[0]))

    def _scalar(self, statement: sa.Executable) -> Any:
        with self._warehouse.session(), self._warehouse.connect() as connection:
            prepare_webhooks(connection)
            return connection.scalar(statement)


def _happened(days: Sequence[date]) -> tuple[date, date]:
    """The first and the last day on which events may have happened that were received on some days."""
    # the clocks of Customer.io and of ours may stand on different days
    return min(days) - timedelta(days=LATEST), max(days) + timedelta(days=1)


def _received(days: Sequence[date] | None) -> Sequence[sa.ColumnElement[bool]]:
    if days is None:
        return ()
    first, last = _happened(days)
    happened = webhook_events.c.event_date
    return [happened >= sa.literal(first), happened <= sa.literal(last)]


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
