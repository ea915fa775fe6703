"""The manifest: what became of every landed object, one row each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

import pyarrow as pa
import sqlalchemy as sa

from cio_pipelines.landing.stores import LandedObject
from cio_pipelines.warehouse import WarehouseConnection
from cio_pipelines.warehouse.functions import UtcTimestamp
from cio_pipelines.warehouse.migrations import Migration, creation_of, migrate, version_table

SCHEMA = "customerio"

WEBHOOKS, EXPORTS = "webhooks", "exports"
"""Where an object comes from."""

LOADED, FAILED = "loaded", "failed"

MAX_ATTEMPTS = 10
"""How often a run that loads only what is new tries an object; ten tries take four hours and more."""

_FIRST_WAIT = 30.0

metadata = sa.MetaData(schema=SCHEMA)

_versions = version_table("landing_version", metadata)

landed_files = sa.Table(
    "landed_files",
    metadata,
    sa.Column("path", sa.String, comment="Path inside the landing zone; unique here."),
    sa.Column("source", sa.String, comment="webhooks or exports."),
    sa.Column("dataset", sa.String, comment="Object type of the events, or table of the export."),
    sa.Column("received_date", sa.Date, comment="UTC day of receipt; NULL for exports."),
    sa.Column("status", sa.String, comment="loaded or failed."),
    sa.Column("bytes", sa.BigInteger, comment="Size of the object as it is stored."),
    sa.Column("checksum", sa.String, comment="SHA-256 of the object as it is stored, hexadecimal."),
    # rows = inserted + repeated + quarantined
    sa.Column("rows", sa.BigInteger, comment="Lines or rows in it; NULL when it could not be read."),
    sa.Column("inserted", sa.BigInteger, comment="Rows that were new."),
    sa.Column("repeated", sa.BigInteger, comment="Rows that were known already, here or in the same load."),
    sa.Column("quarantined", sa.BigInteger, comment="Lines that could not be understood."),
    sa.Column("attempts", sa.Integer, comment="How often it was tried."),
    sa.Column("reason", sa.String, comment="Why it failed; NULL when it did not."),
    sa.Column("run_id", sa.String, comment="The run that tried it last."),
    sa.Column("loaded_at", UtcTimestamp, comment="When it was tried last, UTC."),
    comment="One row an object of the landing zone that a run has read, or tried to.",
)

_MIGRATIONS: tuple[Migration, ...] = (creation_of(landed_files),)


def prepare_manifest(connection: WarehouseConnection) -> None:
    """Create the manifest, or bring that of an older release up to date. Raises StateVersionError."""
    migrate(connection, _versions, _MIGRATIONS)


_ARROW = pa.schema(
    [
        *((name, pa.string()) for name in ("path", "source", "dataset", "status", "checksum")),
        *((name, pa.int64()) for name in ("bytes", "rows", "inserted", "repeated", "quarantined")),
        *((name, pa.string()) for name in ("reason", "run_id")),
        ("received_date", pa.date32()),
        ("attempts", pa.int32()),
        ("loaded_at", pa.timestamp("us")),
    ]
)


class Entry(NamedTuple):
    """A row of `landed_files`, member by member; the columns there say what each of them is."""

    path: str
    source: str
    dataset: str
    received_date: date | None
    status: str
    bytes: int
    checksum: str | None
    rows: int | None
    inserted: int | None
    repeated: int | None
    quarantined: int | None
    attempts: int
    reason: str | None
    run_id: str
    loaded_at: datetime

    def is_due(self, now: datetime) -> bool:
        """Whether an object that failed shall be tried now; each wait is twice the one before."""
        wait = timedelta(seconds=_FIRST_WAIT * 2 ** (self.attempts - 1))
        return self.is_unsettled and now >= self.loaded_at + wait

    @property
    def is_unsettled(self) -> bool:
        """Whether it failed and shall be tried again without anybody asking for it."""
        return self.status == FAILED and self.attempts < MAX_ATTEMPTS


def is_due(entry: Entry | None, now: datetime) -> bool:
    """Whether a run that loads only what is new shall try an object, by its entry if it has one."""
    return entry is None or entry.is_due(now)


def entry_of(
    item: LandedObject,
    source: str,
    dataset: str,
    *,
    before: Entry | None,
    checksum: str | None,
    fault: str | None,
    run_id: str,
    loaded_at: datetime,
    received_date: date | None = None,
) -> Entry:
    """The entry of an object that was tried, without numbers of rows; with a fault it failed.

    `before` is what the manifest had of it.
    """
    return Entry(
        path=item.path,
        source=source,
        dataset=dataset,
        received_date=received_date,
        status=LOADED if fault is None else FAILED,
        bytes=item.size,
        checksum=checksum,
        rows=None,
        inserted=None,
        repeated=None,
        quarantined=None,
        attempts=(before.attempts if before is not None else 0) + 1,
        reason=fault,
        run_id=run_id,
        loaded_at=loaded_at,
    )


def entries_of(
    connection: WarehouseConnection,
    source: str,
    days: Sequence[date] | None = None,
    *,
    status: str | None = None,
) -> dict[str, Entry]:
    """Entries by path.

    Args:
        connection: to a warehouse whose manifest is prepared.
        source: WEBHOOKS or EXPORTS.
        days: days of receipt, sorted; None for objects of any day or none. All between the first and the
            last are taken.
        status: LOADED or FAILED; None for both.
    """
    conditions = [landed_files.c.source == source]
    if status is not None:
        conditions.append(landed_files.c.status == status)
    if days is not None:
        if not days:
            return {}
        conditions.append(landed_files.c.received_date.between(days[0], days[-1]))
    return _entries(connection, sa.and_(*conditions))


def entries_at(connection: WarehouseConnection, paths: Sequence[str]) -> dict[str, Entry]:
    """Entries of some objects by path."""
    return _entries(connection, landed_files.c.path.in_(paths))


def loaded_paths(connection: WarehouseConnection, source: str) -> set[str]:
    """Paths of all objects that were loaded: little, even when they are very many."""
    loaded = sa.and_(landed_files.c.source == source, landed_files.c.status == LOADED)
    return {row.path for row in connection.rows(sa.select(landed_files.c.path).where(loaded))}


def _entries(connection: WarehouseConnection, condition: sa.ColumnElement[bool]) -> dict[str, Entry]:
    rows = connection.rows(sa.select(landed_files).where(condition))
    return {row.path: Entry(*row) for row in rows}


def record(connection: WarehouseConnection, entries: Sequence[Entry]) -> None:
    """Put entries in the place of those that the manifest has of the same objects."""
    if not entries:
        return
    with connection.transaction():
        paths = [entry.path for entry in entries]
        connection.execute(landed_files.delete().where(landed_files.c.path.in_(paths)))
        rows = pa.Table.from_pylist([_row(entry) for entry in entries], schema=_ARROW)
        connection.append(landed_files, rows)


def _row(entry: Entry) -> Mapping[str, object]:
    return entry._asdict() | {"loaded_at": entry.loaded_at.astimezone(UTC).replace(tzinfo=None)}
