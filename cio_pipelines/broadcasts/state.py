"""The tables in which broadcasts are remembered: each try to trigger one, and what was wrong with recipients.

They live in the schema `customerio_sync` beside those of the people sync, with a version of their own.
"""

from __future__ import annotations

import sqlalchemy as sa

from cio_pipelines.sync.state import SCHEMA
from cio_pipelines.warehouse import WarehouseConnection
from cio_pipelines.warehouse.functions import UtcTimestamp
from cio_pipelines.warehouse.leases import lease_table
from cio_pipelines.warehouse.migrations import Migration, creation_of, migrate, version_table

INTENDED, UNKNOWN, REFUSED = "intended", "unknown", "refused"
TRIGGERED, PROCESSED, FAILED = "triggered", "processed", "failed"
UNRESOLVED = (INTENDED, UNKNOWN)
"""Statuses of which nobody knows whether Customer.io took the request."""

metadata = sa.MetaData(schema=SCHEMA)

_versions = version_table("broadcast_version", metadata)

broadcast_triggers = sa.Table(
    "broadcast_triggers",
    metadata,
    sa.Column("workspace", sa.String),
    sa.Column("broadcast", sa.String, comment="Name of the broadcast's spec."),
    sa.Column("day", sa.Date, comment="The partition, a UTC day."),
    sa.Column("attempt", sa.Integer, comment="Counts from 1; the greatest of a day says how it stands."),
    sa.Column("broadcast_id", sa.BigInteger, comment="The broadcast's number in Customer.io."),
    sa.Column("key", sa.String, comment="What the trigger's data has as cio_pipelines_key."),
    sa.Column(
        "status",
        sa.String,
        comment=(
            "intended: written before the request; unknown: it failed and may have been taken; refused: it "
            "was not taken; triggered; processed; failed: taken, and nobody was written to."
        ),
    ),
    sa.Column("trigger_id", sa.BigInteger, comment="Customer.io's number of the trigger, of its broadcast."),
    sa.Column("adopted", sa.Boolean, comment="Found in Customer.io's list, not told by its answer."),
    sa.Column("recipients", sa.BigInteger, comment="People in the request."),
    sa.Column("known_people", sa.BigInteger, comment="Identified people of the workspace at that time."),
    sa.Column("unsynced", sa.BigInteger, comment="Recipients by id who were not among them."),
    sa.Column(
        "reached", sa.BigInteger, comment="Recipients as Customer.io counts them; NULL until processed."
    ),
    sa.Column("errors", sa.BigInteger, comment="Rows of broadcast_errors."),
    sa.Column("requested_at", UtcTimestamp, comment="When the intent was written, UTC."),
    sa.Column("triggered_at", UtcTimestamp, comment="When Customer.io made the trigger, UTC, by its clock."),
    sa.Column("processed_at", UtcTimestamp, comment="When Customer.io was done with it, UTC, by its clock."),
    sa.Column("run_id", sa.String, comment="The run that made the intent."),
    info={"cluster_by": ("workspace", "broadcast", "day")},
    comment="One row a try to trigger a broadcast for a day.",
)

broadcast_errors = sa.Table(
    "broadcast_errors",
    metadata,
    sa.Column("workspace", sa.String),
    sa.Column("broadcast", sa.String, comment="Name of the broadcast's spec."),
    sa.Column("day", sa.Date, comment="The partition, a UTC day."),
    sa.Column("attempt", sa.Integer, comment="As in broadcast_triggers."),
    sa.Column("trigger_id", sa.BigInteger, comment="Customer.io's number of the trigger."),
    sa.Column(
        "line", sa.BigInteger, comment="Which recipient of the request, from 1; NULL when none is told."
    ),
    sa.Column("reason", sa.String, comment="Customer.io's words without identifiers and values."),
    info={"partition_by": "day", "cluster_by": ("workspace", "broadcast")},
    comment="One row an error that Customer.io tells of a trigger.",
)

broadcast_leases = lease_table(
    "broadcast_leases", metadata, sa.Column("workspace", sa.String), sa.Column("broadcast_id", sa.String)
)

_MIGRATIONS: tuple[Migration, ...] = (creation_of(broadcast_triggers, broadcast_errors, broadcast_leases),)


def prepare_broadcasts(connection: WarehouseConnection) -> None:
    """Create the tables, or bring those of an older release up to date. Raises StateVersionError."""
    migrate(connection, _versions, _MIGRATIONS)
