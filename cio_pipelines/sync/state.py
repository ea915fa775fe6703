"""The tables in which the sync remembers: snapshot, plan, ledger, open rows, dead letters.

All live in the schema `customerio_sync`, keyed by (workspace, sync, person_id) so that a snapshot made
against the sandbox is never taken for production's. Written in bulk only. No table has an index: each
statement reads a run's or a sync's rows as a set.
"""

from __future__ import annotations

import sqlalchemy as sa

from cio_pipelines.warehouse import WarehouseConnection
from cio_pipelines.warehouse.functions import UtcTimestamp
from cio_pipelines.warehouse.migrations import Migration, creation_of, migrate, version_table

SCHEMA = "customerio_sync"

ERASURE_HASH = "erasure"
"""Stands in the place of an attributes hash: an erasure has no attributes."""

metadata = sa.MetaData(schema=SCHEMA)
_DOUBLE: sa.Double[float] = sa.Double()


def _key() -> list[sa.Column[str]]:
    return [sa.Column("workspace", sa.String), sa.Column("sync", sa.String)]


state_version = version_table("state_version", metadata)

synced_people = sa.Table(
    "synced_people",
    metadata,
    *_key(),
    sa.Column("person_id", sa.String),
    # identified, suppressed (deleted there, identifier blocked) or deleted (erased, identifier blocked)
    sa.Column("state", sa.String),
    sa.Column("attributes_hash", sa.String),
    sa.Column("attributes", sa.String),
    sa.Column("mapping_version", sa.String),
    sa.Column("source_updated_at", UtcTimestamp),
    sa.Column("synced_at", UtcTimestamp),
    sa.Column("run_id", sa.String),
    comment="The snapshot: what Customer.io last accepted of each person.",
)

sync_runs = sa.Table(
    "sync_runs",
    metadata,
    *_key(),
    sa.Column("run_id", sa.String),
    sa.Column("kind", sa.String),  # people or erasure
    # extracted, planned, blocked, dry_run, sending, committed
    sa.Column("status", sa.String),
    sa.Column("window_start", UtcTimestamp),
    sa.Column("window_end", UtcTimestamp),
    sa.Column("extracted_at", UtcTimestamp),
    sa.Column("finished_at", UtcTimestamp),
    sa.Column("mapping_version", sa.String),
    sa.Column("mapping", sa.String),
    sa.Column("mapping_change", sa.String),
    sa.Column("extracted", sa.BigInteger),
    sa.Column("unchanged", sa.BigInteger),
    sa.Column("tombstoned", sa.BigInteger),
    sa.Column("left_alone", sa.BigInteger),
    sa.Column("planned", sa.BigInteger),
    sa.Column("requests", sa.BigInteger),
    sa.Column("attempts", sa.BigInteger),
    sa.Column("bytes_sent", sa.BigInteger),
    sa.Column("plan_seconds", _DOUBLE),
    sa.Column("send_seconds", _DOUBLE),
    sa.Column("commit_seconds", _DOUBLE),
    sa.Column("ended_by", sa.String),
    comment="One row a run: its window, mapping, counts and costs.",
)

sync_plan = sa.Table(
    "sync_plan",
    metadata,
    *_key(),
    sa.Column("run_id", sa.String),
    sa.Column("person_id", sa.String),
    sa.Column("operation", sa.String),
    # operations of phase 2 are sent when all of phase 1 are answered
    sa.Column("phase", sa.Integer),
    sa.Column("why", sa.String),
    sa.Column("attributes", sa.String),
    sa.Column("removals", sa.String),
    sa.Column("attributes_hash", sa.String),
    sa.Column("source_updated_at", UtcTimestamp),
    # refusals of this very operation and hash by earlier runs
    sa.Column("attempts", sa.Integer),
    sa.Column("fault_field", sa.String),
    sa.Column("fault_reason", sa.String),
    sa.Column("planned_at", UtcTimestamp),
    comment="What a run decided, one row an operation. A row with a fault is quarantined: never sent.",
)

sync_acks = sa.Table(
    "sync_acks",
    metadata,
    *_key(),
    sa.Column("run_id", sa.String),
    sa.Column("person_id", sa.String),
    sa.Column("phase", sa.Integer),
    comment="The ledger: one row an operation that Customer.io accepted, written as bodies are answered.",
)

sync_log = sa.Table(
    "sync_log",
    metadata,
    *_key(),
    sa.Column("run_id", sa.String),
    sa.Column("logged_at", UtcTimestamp),
    sa.Column("batch", sa.Integer),
    # batch (one row a request body), rejected, quarantined, deferred (one row a person)
    sa.Column("entry", sa.String),
    sa.Column("person_id", sa.String),
    sa.Column("phase", sa.Integer),
    sa.Column("operation", sa.String),
    sa.Column("operations", sa.BigInteger),
    sa.Column("accepted", sa.BigInteger),
    sa.Column("http_status", sa.Integer),
    sa.Column("reason", sa.String),
    sa.Column("field", sa.String),
    sa.Column("message", sa.String),
    sa.Column("attempts", sa.BigInteger),
    sa.Column("bytes_sent", sa.BigInteger),
    sa.Column("seconds", _DOUBLE),
    comment="The ledger: one row a body that was answered, and one each person who was not accepted.",
)

open_people = sa.Table(
    "open_people",
    metadata,
    *_key(),
    sa.Column("person_id", sa.String),
    sa.Column("operation", sa.String),
    sa.Column("attributes_hash", sa.String),
    sa.Column("outcome", sa.String),  # rejected or due
    sa.Column("attempts", sa.Integer),
    sa.Column("reason", sa.String),
    sa.Column("field", sa.String),
    sa.Column("since", UtcTimestamp),
    sa.Column("run_id", sa.String),
    comment="People whom the next run takes up whatever its window: refused, or not answered.",
)

dead_letters = sa.Table(
    "dead_letters",
    metadata,
    *_key(),
    sa.Column("person_id", sa.String),
    sa.Column("operation", sa.String),
    sa.Column("attributes_hash", sa.String),
    sa.Column("kind", sa.String),  # quarantined or rejected
    sa.Column("attempts", sa.Integer),
    sa.Column("reason", sa.String),
    sa.Column("field", sa.String),
    sa.Column("message", sa.String),
    sa.Column("since", UtcTimestamp),
    sa.Column("run_id", sa.String),
    comment="Operations that are left alone until the row changes or somebody replays them.",
)

sync_lease = sa.Table(
    "sync_lease",
    metadata,
    *_key(),
    sa.Column("owner", sa.String),
    sa.Column("host", sa.String),
    sa.Column("pid", sa.BigInteger),
    sa.Column("process_started", _DOUBLE),
    sa.Column("acquired_at", UtcTimestamp),
    sa.Column("expires_at", UtcTimestamp),
    comment="Who may plan and push: one run at a time for each workspace and sync.",
)


MIGRATIONS: tuple[Migration, ...] = (creation_of(*metadata.sorted_tables),)
"""Migration i brings the state from version i to i + 1; only ever append here."""


def prepare_state(connection: WarehouseConnection) -> None:
    """Create the state tables, or bring those of an older release up to date.

    Raises:
        StateVersionError: a newer release wrote them.
    """
    migrate(connection, state_version, MIGRATIONS)
