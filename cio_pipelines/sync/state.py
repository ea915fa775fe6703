"""The tables in which the sync remembers: snapshot, plan, ledger, open rows, dead letters.

All live in the schema `customerio_sync`, keyed by (workspace, sync, person_id), those of events by
(workspace, sync, event_id), so that a snapshot made against the sandbox is never taken for production's.
Written in bulk only. No table has an index: each statement reads a run's or a sync's rows as a set.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from cio_pipelines.warehouse import WarehouseConnection
from cio_pipelines.warehouse.functions import UtcTimestamp
from cio_pipelines.warehouse.leases import lease_table
from cio_pipelines.warehouse.migrations import AddColumn, Migration, creation_of, migrate, version_table

SCHEMA = "customerio_sync"

ERASURE_HASH = "erasure"
"""Stands in the place of an attributes hash: an erasure has no attributes."""

UNAPPLIED_HASH = "unapplied"
"""Stands in the snapshot for a hash that Customer.io accepted and, as was found out, did not apply."""

metadata = sa.MetaData(schema=SCHEMA)
_DOUBLE: sa.Double[float] = sa.Double()


_BY_RUN = {"partition_by": "run_date", "cluster_by": ("workspace", "sync", "run_id")}
"""Plans and ledgers grow with every run; each of their statements reads one run of one day."""


def _key() -> list[sa.Column[str]]:
    return [sa.Column("workspace", sa.String), sa.Column("sync", sa.String)]


def _run() -> list[sa.Column[Any]]:
    # run_date: the UTC day of extraction
    return [sa.Column("run_id", sa.String), sa.Column("run_date", sa.Date)]


def _event() -> sa.Column[str]:
    # NULL but for events
    return sa.Column("event_id", sa.String)


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
    # the application said so itself, and the mart may not know it yet
    sa.Column("direct", sa.Boolean),
    info={"cluster_by": ("workspace", "sync", "person_id")},
    comment="The snapshot: what Customer.io last accepted of each person.",
)

sync_runs = sa.Table(
    "sync_runs",
    metadata,
    *_key(),
    sa.Column("run_id", sa.String),
    sa.Column("kind", sa.String),  # people, erasure, events or direct
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
    sa.Column("estimated_bytes", sa.BigInteger),
    sa.Column("requests", sa.BigInteger),
    sa.Column("attempts", sa.BigInteger),
    sa.Column("bytes_sent", sa.BigInteger),
    sa.Column("plan_seconds", _DOUBLE),
    sa.Column("send_seconds", _DOUBLE),
    sa.Column("commit_seconds", _DOUBLE),
    sa.Column("ended_by", sa.String),
    # accepted events whose rows say something else now
    sa.Column("altered", sa.BigInteger),
    # JSON: attributes, guards and costs of the plan, as they were when it was made
    sa.Column("review", sa.String),
    # the run whose plan was approved to be carried out by this one
    sa.Column("approved_plan", sa.String),
    comment="One row a run: its window, mapping, counts and costs.",
)

sync_plan = sa.Table(
    "sync_plan",
    metadata,
    *_key(),
    *_run(),
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
    _event(),
    info=_BY_RUN,
    comment="What a run decided, one row an operation. A row with a fault is quarantined: never sent.",
)

sync_acks = sa.Table(
    "sync_acks",
    metadata,
    *_key(),
    *_run(),
    sa.Column("person_id", sa.String),
    sa.Column("phase", sa.Integer),
    _event(),
    info=_BY_RUN,
    comment="The ledger: one row an operation that Customer.io accepted, written as bodies are answered.",
)

sync_log = sa.Table(
    "sync_log",
    metadata,
    *_key(),
    *_run(),
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
    _event(),
    info=_BY_RUN,
    comment="The ledger: one row a body that was answered, and one each person who was not accepted.",
)

open_people = sa.Table(
    "open_people",
    metadata,
    *_key(),
    sa.Column("person_id", sa.String),
    sa.Column("operation", sa.String),
    sa.Column("attributes_hash", sa.String),
    sa.Column("outcome", sa.String),  # rejected, due or unapplied
    sa.Column("attempts", sa.Integer),
    sa.Column("reason", sa.String),
    sa.Column("field", sa.String),
    sa.Column("since", UtcTimestamp),
    sa.Column("run_id", sa.String),
    _event(),
    comment="People or events that the next run takes up whatever its window: refused, due, not applied.",
)

dead_letters = sa.Table(
    "dead_letters",
    metadata,
    *_key(),
    sa.Column("person_id", sa.String),
    sa.Column("operation", sa.String),
    sa.Column("attributes_hash", sa.String),
    sa.Column("kind", sa.String),  # quarantined, rejected or unapplied
    sa.Column("attempts", sa.Integer),
    sa.Column("reason", sa.String),
    sa.Column("field", sa.String),
    sa.Column("message", sa.String),
    sa.Column("since", UtcTimestamp),
    sa.Column("run_id", sa.String),
    _event(),
    comment="Operations that are left alone until the row changes or somebody replays them.",
)

accepted_events = sa.Table(
    "accepted_events",
    metadata,
    *_key(),
    sa.Column("event_id", sa.String),
    sa.Column("occurred_on", sa.Date),  # the UTC day
    sa.Column("attributes_hash", sa.String),
    sa.Column("accepted_at", UtcTimestamp),
    sa.Column("run_id", sa.String),
    info={"partition_by": "occurred_on", "cluster_by": ("workspace", "sync", "event_id")},
    comment="Events that Customer.io accepted, which are never sent again. Kept for ever.",
)

sync_verifications = sa.Table(
    "sync_verifications",
    metadata,
    *_key(),
    *_run(),
    sa.Column("verified_at", UtcTimestamp),
    # verified, verified with differences, not verifiable
    sa.Column("verdict", sa.String),
    sa.Column("why", sa.String),
    sa.Column("accepted", sa.BigInteger),
    # of the people, or events, that were accepted
    sa.Column("sampled", sa.BigInteger),
    sa.Column("agreed", sa.BigInteger),
    sa.Column("differing", sa.BigInteger),
    sa.Column("overwritten", sa.BigInteger),
    # entries of the activity log, by type, and those that name nobody, as a JSON object
    sa.Column("activities", sa.String),
    sa.Column("resent", sa.BigInteger),
    sa.Column("dead_lettered", sa.BigInteger),
    sa.Column("seconds", _DOUBLE),
    info=_BY_RUN,
    comment="One row a run whose arrival was looked at: whether what Customer.io accepted is there.",
)

sync_differences = sa.Table(
    "sync_differences",
    metadata,
    *_key(),
    *_run(),
    sa.Column("person_id", sa.String),
    sa.Column("attribute", sa.String),
    sa.Column("kind", sa.String),
    # the entry of the activity log that names it, if there is one
    sa.Column("reason", sa.String),
    _event(),
    info=_BY_RUN,
    comment="What Customer.io accepted and has otherwise, one row an attribute. Never a value.",
)

sync_lease = lease_table("sync_lease", metadata, *_key())


def _divide_by_day(connection: WarehouseConnection) -> None:
    """Plans and ledgers get the day of their run; runs what their comparison was to read."""
    connection.execute(AddColumn(sync_runs.c.estimated_bytes))
    for table in (sync_plan, sync_acks, sync_log):
        connection.execute(AddColumn(table.c.run_date))
        undated = table.c.run_date.is_(None)
        if connection.scalar(sa.select(sa.func.count()).select_from(table).where(undated)):
            day = sa.cast(sync_runs.c.extracted_at, sa.Date)
            of_run = sa.and_(
                *(sync_runs.c[name] == table.c[name] for name in ("workspace", "sync", "run_id"))
            )
            connection.execute(
                table.update()
                .where(undated)
                .values(run_date=sa.select(sa.func.max(day)).where(of_run).scalar_subquery())
            )


def _remember_events(connection: WarehouseConnection) -> None:
    """A table of the events that were accepted, and everywhere else the event that an operation is about."""
    creation_of(accepted_events)(connection)
    connection.execute(AddColumn(sync_runs.c.altered))
    for table in (sync_plan, sync_acks, sync_log, open_people, dead_letters):
        connection.execute(AddColumn(table.c.event_id))


def _tell_direct(connection: WarehouseConnection) -> None:
    """The snapshot tells what the application said itself; of whom it is NULL, that is the mart's word."""
    connection.execute(AddColumn(synced_people.c.direct))


def _review_plans(connection: WarehouseConnection) -> None:
    """Runs keep what a person reads of their plan, and which plan was approved for them."""
    connection.execute(AddColumn(sync_runs.c.review))
    connection.execute(AddColumn(sync_runs.c.approved_plan))


def _remember_verifications(connection: WarehouseConnection) -> None:
    """Tables of what was found out about accepted operations."""
    creation_of(sync_verifications, sync_differences)(connection)


MIGRATIONS: tuple[Migration, ...] = (
    creation_of(*metadata.sorted_tables),
    _divide_by_day,
    _remember_events,
    _tell_direct,
    _review_plans,
    _remember_verifications,
)
"""Migration i brings the state from version i to i + 1; only ever append here."""


def prepare_state(connection: WarehouseConnection) -> None:
    """Create the state tables, or bring those of an older release up to date.

    Raises:
        StateVersionError: a newer release wrote them.
    """
    migrate(connection, state_version, MIGRATIONS)
