"""Files of storage exports into the warehouse: the newest row of each key, each file in the manifest.

    load = ExportLoad(warehouse, zone)
    report = load.run(["people", "attributes"], run_id, only_new=True)

A file is copied to a temporary one and read in batches of bounded size into a staging table; files are taken
in portions of bounded size. A portion is one transaction: its rows and its entries in the manifest are there
together, or not at all. Reading a file again, or files in another order, gives the same tables.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import sqlalchemy as sa

from cio_pipelines.exports.files import ExportFile, list_exports, unloaded
from cio_pipelines.exports.reading import read_rows
from cio_pipelines.exports.reports import ExportReport
from cio_pipelines.exports.tables import DATASETS, OTHER, TABLES, prepare_exports
from cio_pipelines.exports.upserts import (
    Upsert,
    forget_other,
    insert_other,
    present_other,
    staged_other,
)
from cio_pipelines.landing import LandingError, LandingZone
from cio_pipelines.landing.lease import loading
from cio_pipelines.landing.manifest import (
    EXPORTS,
    FAILED,
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

PORTION_BYTES = 256_000_000
"""Bytes of staged rows after which a portion is closed; a file is never divided."""

PORTION_FILES = 200
"""Files after which a portion is closed."""


@dataclass(frozen=True, slots=True)
class _Read:
    """A file that was staged, or could not be. `rows`: dataset, or OTHER → rows staged for its table."""

    file: ExportFile
    checksum: str | None = None
    rows: Mapping[str, int] = field(default_factory=dict[str, int])
    bytes: int = 0
    fault: str | None = None


class ExportLoad:
    """Loads the exports of a landing zone into a warehouse. Nothing else writes these tables.

    `portion_bytes` bounds the rows that are staged at a time, but for those of one file.
    """

    def __init__(
        self, warehouse: Warehouse, zone: LandingZone, *, portion_bytes: int = PORTION_BYTES
    ) -> None:
        self._warehouse = warehouse
        self._zone = zone
        self._portion_bytes = portion_bytes

    def run(self, datasets: Sequence[str] | None, run_id: str, *, only_new: bool) -> ExportReport:
        """Load files.

        Args:
            datasets: names of `tables.TABLES`; None for all.
            run_id: kept in the manifest with all that is read.
            only_new: leave out files that were loaded before, and failed ones whose next try is not due.
                Otherwise all files are read again, which brings back what is missing in the tables.

        Raises:
            ValueError: there is no dataset of that name.
            LandingUnavailable: the zone cannot be listed. A file that cannot be read is in the report.
            LoadInProgress: another run is loading exports.
            WarehouseError: the warehouse cannot be written; what was committed before stays.
            OSError: there is no room for the copy of a file in the folder for temporary files.
        """
        started = time.monotonic()
        names = list(TABLES if datasets is None else dict.fromkeys(datasets))
        unknown = [name for name in names if name not in TABLES]
        if unknown:
            raise ValueError(f"There is no dataset {unknown[0]!r}; there are {', '.join(TABLES)}.")
        files = list_exports(self._zone).files
        with self._warehouse.session(), self._warehouse.connect() as connection:
            prepare_exports(connection)
            with loading(connection, EXPORTS, run_id) as heartbeat:
                loaded = loaded_objects(connection, EXPORTS)
                failed = failed_entries(connection, EXPORTS)
                now = datetime.now(UTC)
                load = _Load(connection, self._zone, run_id, loaded, failed, heartbeat, self._portion_bytes)
                for name in names:
                    new = unloaded(files[name], loaded)
                    due = [file for file in new if is_due(failed.get(file.path), now)]
                    load.dataset(name, due if only_new else files[name])
        left = [failed[file.path] for name in names for file in files[name] if file.path in failed]
        return ExportReport(
            datasets={name: load.counts.get(name, Counts()) for name in names},
            failed=tuple(FailedFile(e.path, e.reason or "", e.attempts) for e in left if e.run_id == run_id),
            unsettled=sum(entry.is_unsettled for entry in left),
            seconds=time.monotonic() - started,
        )


class _Load:
    """What a load has done so far. `failed`, entries by path, is kept up to date."""

    def __init__(
        self,
        connection: WarehouseConnection,
        zone: LandingZone,
        run_id: str,
        loaded: Mapping[str, Known],
        failed: dict[str, Entry],
        heartbeat: Heartbeat,
        portion_bytes: int,
    ) -> None:
        self._connection = connection
        self._zone = zone
        self._run_id = run_id
        self._loaded = loaded
        self._failed = failed
        self._heartbeat = heartbeat
        self._portion_bytes = portion_bytes
        self.counts: dict[str, Counts] = {}
        for table in (staged_other, staged_entries):
            connection.execute(sa.schema.CreateTable(table))

    def dataset(self, name: str, files: Sequence[ExportFile]) -> None:
        """Load files of one dataset, portion by portion."""
        if not files:
            return
        upsert = Upsert(DATASETS[name]) if name in DATASETS else None
        passed = [] if upsert is None else [upsert.staged, upsert.newest]
        for table in passed:
            self._connection.execute(sa.schema.CreateTable(table))
        staging = {OTHER: staged_other} if upsert is None else {OTHER: staged_other, name: upsert.staged}
        for portion in self._portions(files, staging):
            self._commit(name, portion, upsert)
            for table in (*passed, staged_other):
                self._connection.execute(table.delete())
        for table in passed:
            self._connection.execute(sa.schema.DropTable(table))

    def _portions(
        self, files: Sequence[ExportFile], staging: Mapping[str, sa.Table]
    ) -> Iterator[list[_Read]]:
        """Stage files; yields those of a portion when their rows are staged."""
        portion: list[_Read] = []
        for file in files:
            self._heartbeat.beat()
            portion.append(self._stage(file, staging))
            staged = sum(read.bytes for read in portion)
            if staged >= self._portion_bytes or len(portion) >= PORTION_FILES:
                yield portion
                portion = []
        if portion:
            yield portion

    def _stage(self, file: ExportFile, staging: Mapping[str, sa.Table]) -> _Read:
        """The rows of a file into the staging tables, all or none."""
        checksum: str | None = None
        counts: Counter[str] = Counter()
        size = 0
        try:
            with tempfile.TemporaryFile() as copy:
                digest = hashlib.sha256()
                for chunk in self._zone.chunks(file.path, file.item.generation):
                    digest.update(chunk)
                    copy.write(chunk)
                checksum = digest.hexdigest()
                for name, rows in read_rows(file, copy):
                    self._connection.append(staging[name], rows)
                    counts[name] += rows.num_rows
                    size += rows.nbytes
        except LandingError as error:
            for table in staging.values():
                self._connection.execute(table.delete().where(table.c.file == file.path))
            return _Read(file, checksum, fault=error.message)
        return _Read(file, checksum, counts, size)

    def _commit(self, name: str, portion: Sequence[_Read], upsert: Upsert | None) -> None:
        """Bring the staged rows of a portion into the tables, in one transaction."""
        connection, now = self._connection, datetime.now(UTC)
        # a file that cannot be read now may have been loaded before: what the table has of it stays
        files = [read.file.path for read in portion if read.fault is None]
        if upsert is not None:
            connection.execute(upsert.find_newest())
            inserted = {row.file: row.inserted for row in connection.rows(upsert.counts())}
        else:
            present = {row.file: row.present for row in connection.rows(present_other(files))}
            inserted = {
                read.file.path: max(read.rows.get(OTHER, 0) - present.get(read.file.path, 0), 0)
                for read in portion
            }
        entries = [self._entry(name, read, inserted.get(read.file.path, 0), now) for read in portion]
        stage_entries(connection, entries)
        self._heartbeat.demand()
        with connection.transaction():
            if upsert is not None:
                connection.execute(upsert.remove_older())
                connection.execute(upsert.insert_newest(now))
            connection.execute(forget_other(files))
            connection.execute(insert_other(now))
            connection.execute(record_staged(None))
        for entry in entries:
            self._failed.pop(entry.path, None)
            if entry.status == FAILED:
                self._failed[entry.path] = entry
            if entry.rows is not None:
                counted = (entry.rows, entry.inserted or 0, entry.quarantined or 0)
                self.counts[name] = self.counts.get(name, Counts()) + Counts(1, entry.bytes, *counted)

    def _entry(self, name: str, read: _Read, inserted: int, now: datetime) -> Entry:
        before = self._loaded.get(read.file.path) or self._failed.get(read.file.path)
        entry = entry_of(
            read.file.item,
            EXPORTS,
            read.file.table,
            attempts_before=before.attempts if before is not None else 0,
            checksum=read.checksum,
            fault=read.fault,
            run_id=self._run_id,
            loaded_at=now,
        )
        if read.fault is not None:
            return entry
        rows = sum(read.rows.values())
        quarantined = 0 if name == OTHER else read.rows.get(OTHER, 0)
        repeated = rows - inserted - quarantined
        return entry._replace(rows=rows, inserted=inserted, repeated=repeated, quarantined=quarantined)
