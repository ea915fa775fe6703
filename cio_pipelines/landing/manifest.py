"""The manifest: what became of every landed object, one row each."""

from __future__ import annotations

import sqlalchemy as sa

from cio_pipelines.warehouse import WarehouseConnection
from cio_pipelines.warehouse.functions import UtcTimestamp
from cio_pipelines.warehouse.migrations import Migration, creation_of, migrate, version_table

SCHEMA = "customerio"

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
