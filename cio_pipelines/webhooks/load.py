"""Landed events into the warehouse: each event once, each line accounted for, each object in the manifest.

    load = EventLoad(warehouse, zone)
    report = load.run([date(2026, 11, 25)], run_id, only_new=True)

Objects are taken in portions of bounded size. A portion is one transaction: its events, its quarantined lines
and its entries in the manifest are there together, or not at all. Reading an object again changes nothing:
events are compared by their id with those that the table has, and quarantined lines replace those of the
same object.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from cio_pipelines.landing import LandedObject, LandingError, LandingZone
from cio_pipelines.landing.manifest import (
    FAILED,
    WEBHOOKS,
    Entry,
    entries_of,
    entry_of,
    is_due,
    record,
)
from cio_pipelines.landing.reports import Counts, FailedFile
from cio_pipelines.warehouse import Warehouse, WarehouseConnection
from cio_pipelines.webhooks import parsing
from cio_pipelines.webhooks.layout import Place, place_of
from cio_pipelines.webhooks.lines import PIECE_BYTES, read_lines
from cio_pipelines.webhooks.objects import Landed
from cio_pipelines.webhooks.reports import LoadReport
from cio_pipelines.webhooks.tables import prepare_webhooks

PORTION_BYTES = 64_000_000
"""Bytes of lines, decompressed, after which a portion is closed; an object is never divided."""

PORTION_FILES = 1_000
"""Objects after which a portion is closed."""


@dataclass(frozen=True, slots=True)
class _Read:
    """An object that was read, or could not be."""

    item: LandedObject
    place: Place
    checksum: str | None = None
    fault: str | None = None


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
            WarehouseError: the warehouse cannot be written; what was committed before stays.
        """
        started = time.monotonic()
        wanted = sorted(set(days))
        objects = Landed(self._zone).objects(wanted)
        with self._warehouse.session(), self._warehouse.connect() as connection:
            prepare_webhooks(connection)
            known = entries_of(connection, WEBHOOKS, wanted)
            now = datetime.now(UTC)
            pending = [item for item in objects if not only_new or is_due(known.get(item.path), now)]
            load = _Load(connection, run_id, known, again=not only_new)
            for table in (parsing.landed_lines, parsing.parsed_lines, parsing.new_events):
                connection.execute(sa.schema.CreateTable(table))
            for portion in self._portions(connection, pending):
                load.commit(portion)
        failed = {entry.path: entry for entry in load.entries if entry.status == FAILED}
        untried = known.keys() - {item.path for item in pending}
        left = [known[item.path] for item in objects if item.path in untried]
        return LoadReport(
            days={day: load.days.get(day, Counts()) for day in wanted},
            failed=tuple(FailedFile(e.path, e.reason or "", e.attempts) for e in failed.values()),
            quarantined=dict(load.reasons),
            unsettled=sum(entry.is_unsettled for entry in (*failed.values(), *left)),
            seconds=time.monotonic() - started,
        )

    def _portions(
        self, connection: WarehouseConnection, objects: Sequence[LandedObject]
    ) -> Iterator[list[_Read]]:
        """Stage the lines of objects; yields those of a portion when their lines are staged."""
        staging = _Staging(connection)
        portion: list[_Read] = []
        for item in objects:
            place = place_of(item.path)
            if place is None:
                continue
            portion.append(self._stage(staging, item, place))
            if staging.bytes >= self._portion_bytes or len(portion) >= PORTION_FILES:
                staging.flush()
                yield portion
                portion = []
                staging.bytes = 0
        if portion:
            staging.flush()
            yield portion

    def _stage(self, staging: _Staging, item: LandedObject, place: Place) -> _Read:
        """Stage the lines of an object, all or none."""
        checksum: str | None = None
        try:
            data = self._zone.read(item.path)
            checksum = hashlib.sha256(data).hexdigest()
            for lines in read_lines(item.path, data):
                staging.add(item.path, lines)
        except LandingError as error:
            staging.drop(item.path)
            return _Read(item, place, checksum, error.message)
        return _Read(item, place, checksum)


class _Staging:
    """Lines on their way into the staging table; those of small objects go together."""

    def __init__(self, connection: WarehouseConnection) -> None:
        self._connection = connection
        self._waiting: list[tuple[str, pa.Table]] = []
        self._waiting_bytes = 0
        self.bytes = 0

    def add(self, path: str, lines: pa.Table) -> None:
        self._waiting.append((path, lines))
        self._waiting_bytes += lines.nbytes
        self.bytes += lines.nbytes
        if self._waiting_bytes >= PIECE_BYTES:
            self.flush()

    def drop(self, path: str) -> None:
        """Forget the lines of an object."""
        self._waiting = [(of, lines) for of, lines in self._waiting if of != path]
        self._connection.execute(parsing.landed_lines.delete().where(parsing.landed_lines.c.file == path))

    def flush(self) -> None:
        """Write what waits."""
        if self._waiting:
            self._connection.append(
                parsing.landed_lines, pa.concat_tables([lines for _, lines in self._waiting])
            )
        self._waiting, self._waiting_bytes = [], 0


class _Load:
    """What a load has done so far."""

    def __init__(
        self, connection: WarehouseConnection, run_id: str, known: dict[str, Entry], *, again: bool
    ) -> None:
        self._connection = connection
        self._run_id = run_id
        self._known = known
        self._again = again
        self.entries: list[Entry] = []
        self.days: dict[date, Counts] = {}
        self.reasons: Counter[str] = Counter()

    def commit(self, portion: Sequence[_Read]) -> None:
        """Turn the staged lines of a portion into events, in one transaction."""
        connection, now = self._connection, datetime.now(UTC)
        # of an object that cannot be read now stays what was known of it
        files = [read.item.path for read in portion if read.fault is None]
        connection.execute(parsing.parse())
        connection.execute(parsing.find_new())
        counted = {row.file: row for row in connection.rows(parsing.counts())}
        # what an object brought in earlier stays its own when it is read again
        rows = connection.rows(parsing.present(files)) if self._again else ()
        present: dict[str, int] = {row.file: row.inserted for row in rows}
        entries = [self._entry(read, counted.get(read.item.path), present, now) for read in portion]
        with connection.transaction():
            connection.execute(parsing.insert_new(self._run_id, now))
            connection.execute(parsing.forget_quarantined(files))
            connection.execute(parsing.quarantine(self._run_id, now))
            record(connection, entries)
        for row in connection.rows(parsing.reasons()):
            self.reasons[row.reason] += row.lines
        for read, entry in zip(portion, entries, strict=True):
            self._count(read, entry, counted.get(read.item.path))
        for table in (parsing.landed_lines, parsing.parsed_lines, parsing.new_events):
            connection.execute(table.delete())

    def _entry(
        self, read: _Read, counted: sa.Row[Any] | None, present: dict[str, int], now: datetime
    ) -> Entry:
        entry = entry_of(
            read.item,
            WEBHOOKS,
            read.place.object_type,
            before=self._known.get(read.item.path),
            checksum=read.checksum,
            fault=read.fault,
            run_id=self._run_id,
            loaded_at=now,
            received_date=read.place.received,
        )
        if read.fault is not None:
            return entry
        rows, quarantined = (counted.rows, counted.quarantined) if counted is not None else (0, 0)
        inserted = counted.inserted if counted is not None else 0
        if self._again:
            inserted += present.get(read.item.path, 0)
        repeated = rows - quarantined - inserted
        return entry._replace(rows=rows, inserted=inserted, repeated=repeated, quarantined=quarantined)

    def _count(self, read: _Read, entry: Entry, counted: sa.Row[Any] | None) -> None:
        self.entries.append(entry)
        if read.fault is not None:
            return
        rows, quarantined, inserted = counted[1:] if counted is not None else (0, 0, 0)
        day = read.place.received
        counts = Counts(1, read.item.size, rows, inserted, quarantined)
        self.days[day] = self.days.get(day, Counts()) + counts
