"""Landed events into the warehouse: each event once, each line accounted for, each object in the manifest.

    load = EventLoad(warehouse, zone)
    report = load.run([date(2026, 11, 25)], run_id, only_new=True)

Objects are taken in portions of bounded size. A portion is one transaction: its events, its quarantined lines
and its entries in the manifest are there together, or not at all. Reading an object again changes nothing:
events are compared by their id with those that the table has, and quarantined lines replace those of the
same object.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import sqlalchemy as sa

from cio_pipelines.landing import LandedObject, LandingZone
from cio_pipelines.landing.lease import loading
from cio_pipelines.landing.manifest import (
    FAILED,
    MAX_ATTEMPTS,
    WEBHOOKS,
    Entry,
    Known,
    entry_of,
    failed_entries,
    is_due,
    loaded_objects,
)
from cio_pipelines.landing.recording import record_staged, stage_entries, staged_entries
from cio_pipelines.landing.reports import Counts, FailedFile
from cio_pipelines.warehouse import Warehouse, WarehouseConnection
from cio_pipelines.warehouse.leases import Heartbeat
from cio_pipelines.webhooks import parsing
from cio_pipelines.webhooks.layout import place_of
from cio_pipelines.webhooks.objects import Landed
from cio_pipelines.webhooks.reports import LoadReport
from cio_pipelines.webhooks.staging import Staged, Staging
from cio_pipelines.webhooks.tables import prepare_webhooks

PORTION_BYTES = 64_000_000
"""Bytes of lines after which a portion that is read here is closed; an object is never divided."""


class EventLoad:
    """Loads the events of a landing zone into a warehouse. Nothing else writes these tables.

    `portion_bytes` bounds the lines that are held at a time.
    """

    def __init__(
        self, warehouse: Warehouse, zone: LandingZone, *, portion_bytes: int = PORTION_BYTES
    ) -> None:
        self._warehouse = warehouse
        self._zone = zone
        self._portion_bytes = portion_bytes

    def run(self, days: Iterable[date], run_id: str, *, only_new: bool) -> LoadReport:
        """Load what landed on some UTC days.

        Args:
            days: days of receipt; a day without objects is no error.
            run_id: kept with all that is written.
            only_new: leave out objects that were loaded before, and failed ones whose next try is not due.
                Otherwise all objects are read again, which brings back what is missing in the table.

        Raises:
            LandingUnavailable: the zone cannot be listed. An object that cannot be read is in the report.
            LoadInProgress: another run is loading events.
            WarehouseError: the warehouse cannot be written; what was committed before stays.
        """
        started = time.monotonic()
        wanted = sorted(set(days))
        landed = Landed(self._zone)
        with self._warehouse.session(), self._warehouse.connect() as connection:
            prepare_webhooks(connection)
            with loading(connection, WEBHOOKS, run_id) as heartbeat:
                choice = _Choice(
                    loaded_objects(connection, WEBHOOKS, wanted),
                    failed_entries(connection, WEBHOOKS, wanted),
                    only_new=only_new,
                )
                load = _Load(connection, run_id, choice, heartbeat)
                staging = Staging(
                    connection,
                    self._zone,
                    portion_bytes=self._portion_bytes,
                    was_tried=lambda path: path in choice.failed,
                    beat=heartbeat.beat,
                )
                for portion in staging.portions(choice.of(landed.objects(wanted))):
                    load.commit(portion)
                load.commit(choice.changed)
        return LoadReport(
            days={day: load.days.get(day, Counts()) for day in wanted},
            failed=tuple(FailedFile(e.path, e.reason or "", e.attempts) for e in load.failed),
            quarantined=dict(load.reasons),
            unsettled=choice.waiting + sum(entry.is_unsettled for entry in load.failed),
            by_warehouse=staging.by_warehouse,
            read_here=dict(+staging.read_here),
            seconds=time.monotonic() - started,
        )


@dataclass(slots=True)
class _Choice:
    """Which objects a run takes, by what the manifest has of them.

    `waiting` counts failed ones whose next try is not due, `changed` are loaded ones that are others now.
    """

    loaded: dict[str, Known]
    failed: dict[str, Entry]
    only_new: bool
    waiting: int = 0
    changed: list[Staged] = field(default_factory=list[Staged])

    def of(self, objects: Iterable[LandedObject]) -> Iterator[LandedObject]:
        now = datetime.now(UTC)
        for item in objects:
            known, failed = self.loaded.get(item.path), self.failed.get(item.path)
            if not self.only_new or (known is None and is_due(failed, now)):
                yield item
            elif failed is not None:
                self.waiting += failed.is_unsettled
            elif known is not None and known.is_other(item):
                self._refuse(item, known)

    def attempts(self, path: str) -> int:
        """How often an object was tried."""
        known = self.loaded.get(path) or self.failed.get(path)
        return known.attempts if known is not None else 0

    def knows(self, path: str) -> bool:
        """Whether an object was tried before."""
        return path in self.loaded or path in self.failed

    def _refuse(self, item: LandedObject, known: Known) -> None:
        place = place_of(item.path)
        if place is not None:
            fault = (
                f"it was written anew after it was loaded: its generation was {known.generation} and is now "
                f"{item.generation}. Load its day again to take what it says now"
            )
            # nobody but a person can decide: no further tries
            self.loaded[item.path] = known._replace(attempts=MAX_ATTEMPTS - 1)
            self.changed.append(Staged(item, place, fault=fault))


class _Load:
    """What a load has done so far."""

    def __init__(
        self, connection: WarehouseConnection, run_id: str, choice: _Choice, heartbeat: Heartbeat
    ) -> None:
        self._connection = connection
        self._run_id = run_id
        self._choice = choice
        self._heartbeat = heartbeat
        self.failed: list[Entry] = []
        self.days: dict[date, Counts] = {}
        self.reasons: Counter[str] = Counter()
        for table in (parsing.landed_lines, parsing.parsed_lines, parsing.new_events, staged_entries):
            connection.execute(sa.schema.CreateTable(table))

    def commit(self, portion: Sequence[Staged]) -> None:
        """Turn the staged lines of a portion into events, in one transaction."""
        if not portion:
            return
        connection, now = self._connection, datetime.now(UTC)
        connection.execute(parsing.parse())
        event_days = [row.event_date for row in connection.rows(parsing.event_days())]
        connection.execute(parsing.find_new(event_days))
        counted = {row.file: row for row in connection.rows(parsing.counts())}
        # what an object brought in earlier stays its own when it is read again
        rows = () if self._choice.only_new else connection.rows(parsing.present(event_days))
        present: dict[str, int] = {row.file: row.inserted for row in rows}
        for row in connection.rows(parsing.reasons()):
            self.reasons[row.reason] += row.lines
        entries = [self._entry(staged, counted.get(staged.item.path), present, now) for staged in portion]
        stage_entries(connection, entries)
        self._heartbeat.demand()
        with connection.transaction():
            connection.execute(parsing.insert_new(self._run_id, now, event_days))
            if any(self._choice.knows(staged.item.path) for staged in portion):
                connection.execute(parsing.forget_quarantined())
            connection.execute(parsing.quarantine(self._run_id, now))
            connection.execute(record_staged([staged.place.received for staged in portion]))
            for table in (parsing.landed_lines, parsing.parsed_lines, parsing.new_events):
                connection.execute(table.delete())
        for staged, entry in zip(portion, entries, strict=True):
            self._count(staged, entry, counted.get(staged.item.path))

    def _entry(
        self, staged: Staged, counted: sa.Row[Any] | None, present: dict[str, int], now: datetime
    ) -> Entry:
        entry = entry_of(
            staged.item,
            WEBHOOKS,
            staged.place.object_type,
            attempts_before=self._choice.attempts(staged.item.path),
            checksum=staged.checksum,
            fault=staged.fault,
            run_id=self._run_id,
            loaded_at=now,
            received_date=staged.place.received,
        )
        if staged.fault is not None:
            return entry
        if counted is None:
            return entry._replace(rows=0, inserted=0, repeated=0, quarantined=0)
        inserted = counted.inserted + present.get(staged.item.path, 0)
        return entry._replace(
            rows=counted.rows,
            inserted=inserted,
            repeated=counted.rows - counted.quarantined - inserted,
            quarantined=counted.quarantined,
            newest_receipt=counted.newest_receipt,
        )

    def _count(self, staged: Staged, entry: Entry, counted: sa.Row[Any] | None) -> None:
        if entry.status == FAILED:
            self.failed.append(entry)
            return
        day, counts = staged.place.received, Counts(1, staged.item.size)
        if counted is not None:
            counts += Counts(rows=counted.rows, inserted=counted.inserted, quarantined=counted.quarantined)
        self.days[day] = self.days.get(day, Counts()) + counts
