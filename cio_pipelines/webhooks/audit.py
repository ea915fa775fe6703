"""Questions about what was loaded, which the checks ask."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from cio_pipelines.landing import LandingZone
from cio_pipelines.landing.manifest import FAILED, LOADED, WEBHOOKS, entries_of, landed_files
from cio_pipelines.landing.reports import Counts, Unloaded
from cio_pipelines.warehouse import Warehouse
from cio_pipelines.webhooks.layout import place_of
from cio_pipelines.webhooks.objects import Landed
from cio_pipelines.webhooks.reports import Strangers
from cio_pipelines.webhooks.tables import prepare_webhooks, webhook_events

_DELIVERIES = sa.table("deliveries", sa.column("person_id"), schema="analytics")
_PEOPLE = sa.table("customerio_people", sa.column("person_id"), schema="analytics")


class EventAudit:
    """Looks at a landing zone and at what a warehouse has of it. Every method raises WarehouseError.

    `days` are UTC days of receipt; None means all of them.
    """

    def __init__(self, warehouse: Warehouse, zone: LandingZone) -> None:
        self._warehouse = warehouse
        self._zone = zone

    def unloaded(self, days: Iterable[date] | None = None) -> Unloaded:
        """The landed objects against the manifest. Raises LandingUnavailable too."""
        landed = Landed(self._zone)
        wanted = landed.days if days is None else sorted(set(days))
        files = sorted(item.path for item in landed.files(wanted))
        objects = [path for path in files if place_of(path) is not None]
        with self._warehouse.session(), self._warehouse.connect() as connection:
            prepare_webhooks(connection)
            known = entries_of(connection, WEBHOOKS, wanted)
        failed = {e.path: e.reason or "" for e in known.values() if e.status == FAILED}
        return Unloaded(
            files=len(objects),
            unread=tuple(path for path in objects if path not in known),
            failed={path: failed[path] for path in objects if path in failed},
            foreign=tuple(path for path in files if place_of(path) is None),
        )

    def loaded(self, days: Sequence[date] | None = None) -> Counts:
        """The manifest's sums over objects that were loaded."""
        if days is None:
            return self._counts()
        return self._counts(landed_files.c.received_date.between(min(days), max(days)))

    def loaded_by(self, run_id: str) -> Counts:
        """The manifest's sums over objects that a run loaded and no later one has read again."""
        return self._counts(landed_files.c.run_id == run_id)

    def events(self) -> int:
        """Rows of the table of events."""
        return int(self._scalar(sa.select(sa.func.count()).select_from(webhook_events)))

    def duplicates(self) -> int:
        """Rows of the table of events beyond the first of each `event_id`."""
        ids = sa.func.count(sa.distinct(webhook_events.c.event_id))
        return int(self._scalar(sa.select(sa.func.count() - ids).select_from(webhook_events)))

    def newest_receipt(self) -> datetime | None:
        """When the newest event was received, UTC; None without events."""
        return self._scalar(sa.select(sa.func.max(webhook_events.c.received_at)))

    def strangers(self) -> Strangers | None:
        """Deliveries to nobody whom the people mart knows; None when one of the marts is not there."""
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
