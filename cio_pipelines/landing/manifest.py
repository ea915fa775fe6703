"""The manifest: what became of every landed object, one row each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple, cast

import sqlalchemy as sa

from cio_pipelines.landing.stores import LandedObject
from cio_pipelines.warehouse import WarehouseConnection
from cio_pipelines.warehouse.functions import UtcTimestamp
from cio_pipelines.warehouse.leases import lease_table
from cio_pipelines.warehouse.migrations import AddColumn, Migration, creation_of, migrate, version_table
from cio_pipelines.warehouse.pruning import on_days

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
    sa.Column(
        "checksum",
        sa.String,
        comment="SHA-256 of the object as it is stored, in hex; NULL when the warehouse loaded it itself.",
    ),
    # rows = inserted + repeated + quarantined
    sa.Column("rows", sa.BigInteger, comment="Lines or rows in it; NULL when it could not be read."),
    sa.Column("inserted", sa.BigInteger, comment="Rows that were new."),
    sa.Column("repeated", sa.BigInteger, comment="Rows that were known already, here or in the same load."),
    sa.Column("quarantined", sa.BigInteger, comment="Lines that could not be understood."),
    sa.Column("attempts", sa.Integer, comment="How often it was tried."),
    sa.Column("reason", sa.String, comment="Why it failed; NULL when it did not."),
    sa.Column("run_id", sa.String, comment="The run that tried it last."),
    sa.Column("loaded_at", UtcTimestamp, comment="When it was tried last, UTC."),
    sa.Column("generation", sa.BigInteger, comment="The bucket's number of what was written; 0 in a folder."),
    sa.Column("newest_receipt", UtcTimestamp, comment="When the last event in it was received, UTC."),
    comment="One row an object of the landing zone that a run has read, or tried to.",
    info={"partition_by": "received_date", "cluster_by": ("path",)},
)

load_leases = lease_table("load_leases", metadata, sa.Column("source", sa.String))


def _add_columns(connection: WarehouseConnection) -> None:
    for column in (landed_files.c.generation, landed_files.c.newest_receipt):
        connection.execute(AddColumn(column))


_MIGRATIONS: tuple[Migration, ...] = (creation_of(landed_files), _add_columns, creation_of(load_leases))


def prepare_manifest(connection: WarehouseConnection) -> None:
    """Create the manifest, or bring that of an older release up to date. Raises StateVersionError."""
    migrate(connection, _versions, _MIGRATIONS)


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
    generation: int | None
    newest_receipt: datetime | None

    def is_due(self, now: datetime) -> bool:
        """Whether an object that failed shall be tried now; each wait is twice the one before."""
        wait = timedelta(seconds=_FIRST_WAIT * 2 ** (self.attempts - 1))
        return self.is_unsettled and now >= self.loaded_at + wait

    @property
    def is_unsettled(self) -> bool:
        """Whether it failed and shall be tried again without anybody asking for it."""
        return self.status == FAILED and self.attempts < MAX_ATTEMPTS


class Known(NamedTuple):
    """What is held of each object that was loaded, in hundreds of thousands."""

    generation: int
    attempts: int

    def is_other(self, item: LandedObject) -> bool:
        """Whether an object was written anew since; entries of older releases do not know."""
        return bool(self.generation and item.generation and self.generation != item.generation)


def is_due(entry: Entry | None, now: datetime) -> bool:
    """Whether a run that loads only what is new shall try an object, by its entry if it has one."""
    return entry is None or entry.is_due(now)


def entry_of(
    item: LandedObject,
    source: str,
    dataset: str,
    *,
    attempts_before: int,
    checksum: str | None,
    fault: str | None,
    run_id: str,
    loaded_at: datetime,
    received_date: date | None = None,
) -> Entry:
    """The entry of an object that was tried, without numbers of rows; with a fault it failed."""
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
        attempts=attempts_before + 1,
        reason=fault,
        run_id=run_id,
        loaded_at=loaded_at,
        generation=item.generation,
        newest_receipt=None,
    )


def failed_entries(
    connection: WarehouseConnection, source: str, days: Sequence[date] | None = None
) -> dict[str, Entry]:
    """Entries by path of objects that failed.

    Args:
        connection: to a warehouse whose manifest is prepared.
        source: WEBHOOKS or EXPORTS.
        days: days of receipt; None for objects of any day or none.
    """
    failed = sa.select(landed_files).where(*_conditions(source, FAILED, days))
    return {row.path: Entry(*row) for row in connection.rows(failed)}


def loaded_objects(
    connection: WarehouseConnection, source: str, days: Sequence[date] | None = None
) -> dict[str, Known]:
    """What is known of objects that were loaded, by path; see `failed_entries`."""
    table = landed_files.c
    generation = sa.func.coalesce(table.generation, 0).label("generation")
    loaded = sa.select(table.path, generation, table.attempts).where(*_conditions(source, LOADED, days))
    found: dict[str, Known] = {}
    for batch in connection.batches(loaded):
        paths, *numbers = (column.to_pylist() for column in cast("list[Any]", batch.columns))
        found.update(zip(paths, map(Known, *numbers), strict=True))
    return found


def _conditions(source: str, status: str, days: Sequence[date] | None) -> list[sa.ColumnElement[Any]]:
    conditions = [landed_files.c.source == source, landed_files.c.status == status]
    if days is not None:
        conditions.append(on_days(landed_files.c.received_date, days))
    return conditions
