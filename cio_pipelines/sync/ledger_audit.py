"""The ledger added up beyond one run's sum: by the days of its partitions, and over all time.

As far as the ledger reaches: plans and ledgers are kept for the set number of days, the snapshot for ever.
People of older runs are counted, and nothing can be said of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from cio_pipelines.sync.key import RunKey, SyncKey
from cio_pipelines.sync.state import sync_acks, sync_log, sync_plan, sync_runs, synced_people
from cio_pipelines.warehouse import WarehouseConnection
from cio_pipelines.warehouse.functions import UtcTimestamp

Column = sa.ColumnElement[Any]


@dataclass(frozen=True, slots=True)
class DaySum:
    """Operations of a run whose rows were updated on a day, None for rows without a time."""

    day: date | None
    planned: int
    accepted: int
    rejected: int
    quarantined: int
    due: int


@dataclass(frozen=True, slots=True)
class AllTime:
    """All runs that the ledger still holds.

    Attributes:
        runs: committed ones.
        planned, accepted, rejected, quarantined, due: operations of all of them.
        contradicting: runs whose plan, acknowledgements, refusals and answered bodies do not add up.
        unfounded: people of the snapshot by a run that the ledger holds, without an accepted attempt in it.
        beyond: people of the snapshot by runs that it no longer holds.
    """

    runs: int
    planned: int
    accepted: int
    rejected: int
    quarantined: int
    due: int
    contradicting: int
    unfounded: int
    beyond: int


@dataclass(frozen=True, slots=True)
class LedgerAudit:
    """The sums of one run by day, and those of all time where they were asked for."""

    days: tuple[DaySum, ...] = ()
    all_time: AllTime | None = None

    @property
    def contradictions(self) -> int:
        """Days with operations of two outcomes, runs that do not add up, people without an attempt."""
        days = sum(day.due < 0 for day in self.days)
        return days + (self.all_time.contradicting + self.all_time.unfounded if self.all_time else 0)


def sums_by_day(connection: WarehouseConnection, run: RunKey) -> tuple[DaySum, ...]:
    """Planned = accepted + rejected + quarantined + due, for each day of a run's rows, the oldest first.

    `due` is what is left; it is negative where an operation has two outcomes.
    """
    plan, key = sync_plan, run.sync
    acks = sa.select(sync_acks).where(run.owns(sync_acks)).subquery("acks")
    refused = (
        sa.select(sync_log).where(run.owns(sync_log), sync_log.c.entry == "rejected").subquery("refused")
    )
    day = sa.cast(plan.c.source_updated_at, sa.Date)
    counts = [
        sa.func.count(),
        sa.func.count(key.subject_of(acks)),
        sa.func.count(key.subject_of(refused)),
        sa.func.count(plan.c.fault_field),
    ]
    joined = plan.outerjoin(acks, key.same(acks, plan)).outerjoin(refused, key.same(refused, plan))
    rows = connection.rows(
        sa.select(day.label("day"), *counts).select_from(joined).where(run.owns(plan)).group_by(day)
    )
    sums = [DaySum(row[0], *(int(n) for n in row[1:]), due=0) for row in rows]
    return tuple(
        DaySum(s.day, s.planned, s.accepted, s.rejected, s.quarantined, _due(s))
        for s in sorted(sums, key=lambda each: (each.day is not None, each.day or date.min))
    )


def _due(found: DaySum) -> int:
    return found.planned - found.accepted - found.rejected - found.quarantined


def sums_of_all_time(connection: WarehouseConnection, key: SyncKey) -> AllTime:
    """All committed runs that the ledger holds. Reads of plans and ledgers everything that is kept."""
    committed = sa.and_(key.owns(sync_runs), sync_runs.c.status == "committed")
    oldest = connection.scalar(
        sa.select(sa.type_coerce(sa.func.min(sync_runs.c.extracted_at), UtcTimestamp)).where(committed)
    )
    if oldest is None:
        return AllTime(0, 0, 0, 0, 0, 0, 0, 0, _in_snapshot(connection, key))
    first = oldest.date()
    planned = _by_run(connection, key, sync_plan, first, [sa.func.count(sync_plan.c.fault_field)])
    acked = _by_run(connection, key, sync_acks, first, [])
    taken = sa.case((sync_log.c.entry == "batch", sync_log.c.accepted), else_=0)
    sent = sa.case((sync_log.c.entry == "batch", sync_log.c.operations), else_=0)
    entries = [
        sa.func.sum(taken),
        sa.func.sum(sent),
        *(sa.func.sum(sa.case((sync_log.c.entry == kind, 1), else_=0)) for kind in ("rejected", "deferred")),
    ]
    logged = _by_run(connection, key, sync_log, first, entries)
    runs = connection.rows(sa.select(sync_runs.c.run_id, sync_runs.c.planned).where(committed))
    totals, contradicting = [0] * 5, 0
    for run in runs:
        found, faulty = planned.get(run.run_id, (0, 0))
        (accepted,) = acked.get(run.run_id, (0,))
        _, told, answered, rejected, deferred = logged.get(run.run_id, (0,) * 5)
        due = found - accepted - rejected - faulty
        adds_up = (
            (run.planned or 0) == found
            and told == accepted
            and answered - deferred == accepted + rejected
            and due >= 0
        )
        contradicting += not adds_up
        each = (found, accepted, rejected, faulty, due)
        totals = [total + n for total, n in zip(totals, each, strict=True)]
    unfounded, beyond = _snapshot(connection, key, first) if key.subject == "person_id" else (0, 0)
    return AllTime(
        len(runs),
        planned=totals[0],
        accepted=totals[1],
        rejected=totals[2],
        quarantined=totals[3],
        due=totals[4],
        contradicting=contradicting,
        unfounded=unfounded,
        beyond=beyond,
    )


def _by_run(
    connection: WarehouseConnection, key: SyncKey, table: sa.Table, first: date, sums: Sequence[Column]
) -> dict[str, tuple[int, ...]]:
    """Rows of each run, and sums over them."""
    counted = (
        sa.select(table.c.run_id, sa.func.count(), *sums)
        .where(key.owns(table), table.c.run_date >= sa.literal(first))
        .group_by(table.c.run_id)
    )
    return {row[0]: tuple(int(n or 0) for n in row[1:]) for row in connection.rows(counted)}


def _snapshot(connection: WarehouseConnection, key: SyncKey, first: date) -> tuple[int, int]:
    """People of the snapshot without an accepted attempt, and those of runs that are no longer held."""
    held = sa.select(sync_runs.c.run_id).where(key.owns(sync_runs))
    acks = (
        sa.select(sync_acks.c.run_id, sync_acks.c.person_id)
        .where(key.owns(sync_acks), sync_acks.c.run_date >= sa.literal(first))
        .distinct()
        .subquery("acks")
    )
    same = sa.and_(acks.c.person_id == synced_people.c.person_id, acks.c.run_id == synced_people.c.run_id)
    is_held = synced_people.c.run_id.in_(held)
    is_unfounded = sa.and_(is_held, acks.c.person_id.is_(None))
    counts = (
        sa.select(
            sa.func.coalesce(sa.func.sum(sa.case((is_unfounded, 1), else_=0)), 0),
            sa.func.coalesce(sa.func.sum(sa.case((is_held, 0), else_=1)), 0),
        )
        .select_from(synced_people.outerjoin(acks, same))
        .where(key.owns(synced_people))
    )
    unfounded, beyond = connection.rows(counts)[0]
    return int(unfounded), int(beyond)


def _in_snapshot(connection: WarehouseConnection, key: SyncKey) -> int:
    return int(
        connection.scalar(
            sa.select(sa.func.count()).select_from(synced_people).where(key.owns(synced_people))
        )
    )
