"""The ledger: written while bodies are answered, and read for the truth about a run."""

# pyarrow carries no types
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from cio_pipelines.customerio import SendResult
from cio_pipelines.sync.key import RunKey
from cio_pipelines.sync.reports import Outcomes, Refusals
from cio_pipelines.sync.state import (
    dead_letters,
    open_people,
    sync_acks,
    sync_log,
    sync_plan,
    sync_runs,
    synced_people,
)
from cio_pipelines.warehouse import WarehouseConnection
from cio_pipelines.warehouse.functions import UtcTimestamp

_LOG_SCHEMA = pa.schema(
    [
        ("workspace", pa.string()),
        ("sync", pa.string()),
        ("run_id", pa.string()),
        ("run_date", pa.date32()),
        ("logged_at", pa.timestamp("us")),
        ("batch", pa.int32()),
        ("entry", pa.string()),
        ("person_id", pa.string()),
        ("phase", pa.int32()),
        ("operation", pa.string()),
        ("operations", pa.int64()),
        ("accepted", pa.int64()),
        ("http_status", pa.int32()),
        ("reason", pa.string()),
        ("field", pa.string()),
        ("message", pa.string()),
        ("attempts", pa.int64()),
        ("bytes_sent", pa.int64()),
        ("seconds", pa.float64()),
        ("event_id", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Answered:
    """One body and what became of it. `subjects` and `operations` are string arrays, one entry an operation.

    Subjects are ids of people or of events, see `SyncKey`.
    """

    batch: int
    phase: int
    subjects: pa.Array[Any]
    operations: pa.Array[Any]
    result: SendResult


@dataclass(frozen=True, slots=True)
class Ledger:
    """The ledger of one run."""

    run: RunKey

    def record(self, connection: WarehouseConnection, answered: Sequence[Answered]) -> None:
        """Append what was answered, in one transaction: after this, no kill can lose it."""
        if not answered:
            return
        acks = [self._acks(item) for item in answered]
        now = datetime.now(UTC).replace(tzinfo=None)
        entries = [entry for item in answered for entry in self._entries(item, now)]
        with connection.transaction():
            connection.append(sync_acks, pa.concat_tables(acks))
            connection.append(sync_log, pa.Table.from_pylist(entries, schema=_LOG_SCHEMA))

    def _acks(self, item: Answered) -> pa.Table:
        accepted = item.subjects.filter(pa.array(item.result.accepted_mask()))
        count = len(accepted)
        return pa.table(
            {
                **{name: pa.repeat(value, count) for name, value in self.run.values.items()},
                self.run.sync.subject: accepted,
                "phase": pa.repeat(pa.scalar(item.phase, pa.int32()), count),
            }
        )

    def _entries(self, item: Answered, now: datetime) -> Iterable[dict[str, Any]]:
        result = item.result
        common = {
            **self.run.values,
            "logged_at": now,
            "batch": item.batch,
            "phase": item.phase,
        }
        error = result.error
        yield common | {
            "entry": "batch",
            "operations": result.stop - result.start,
            "accepted": result.accepted,
            "http_status": result.status,
            "reason": None if error is None else type(error).__name__,
            "attempts": result.attempts,
            "bytes_sent": result.bytes_sent,
            "seconds": result.seconds,
        }
        for rejection in result.rejections:
            place = rejection.index - result.start
            yield common | {
                "entry": "rejected",
                self.run.sync.subject: item.subjects[place].as_py(),
                "operation": item.operations[place].as_py(),
                "http_status": rejection.status,
                "reason": rejection.reason,
                "field": rejection.field,
                "message": rejection.message,
            }
        for start, stop in result.unanswered:
            for place in range(start - result.start, stop - result.start):
                yield common | {
                    "entry": "deferred",
                    self.run.sync.subject: item.subjects[place].as_py(),
                    "operation": item.operations[place].as_py(),
                    "http_status": result.status,
                    "reason": None if error is None else type(error).__name__,
                }

    def outcomes(self, connection: WarehouseConnection, *, trace: bool = False) -> Outcomes:
        """What became of every planned operation, proved from the tables.

        `unaccounted` counts the contradictions: operations with two outcomes; planned operations that are
        gone from the plan; acknowledgements, refusals and answered bodies that do not add up to the outcomes;
        and with `trace`, until another run moves on, operations whose outcome the snapshot, the open people
        and the dead letters do not tell: for that the whole snapshot is read.
        """
        plan = sa.select(sync_plan).where(self.run.owns(sync_plan)).subquery("plan")
        acks = sa.select(sync_acks).where(self.run.owns(sync_acks)).subquery("acks")
        refused = self.logged("rejected").subquery("refused")
        key = self.run.sync
        states = [
            sa.case((state, 1), else_=0)
            for state in (
                key.subject_of(acks).is_not(None),
                key.subject_of(refused).is_not(None),
                plan.c.fault_field.is_not(None),
            )
        ]
        held = states[0] + states[1] + states[2]
        sums = [*states, sa.case((held == 0, 1), else_=0), sa.case((held > 1, 1), else_=0)]
        counts = sa.select(
            sa.func.count(), *[sa.func.coalesce(sa.func.sum(each), 0) for each in sums]
        ).select_from(plan.outerjoin(acks, key.same(acks, plan)).outerjoin(refused, key.same(refused, plan)))
        found, accepted, rejected, faulty, due, twice = (int(n) for n in connection.rows(counts)[0])
        run = connection.rows(sa.select(sync_runs).where(self.run.wrote(sync_runs)))
        planned = found if not run or run[0].planned is None else int(run[0].planned)
        bodies = self.logged("batch").subquery("bodies")
        sent, taken = (
            sa.select(sa.func.coalesce(sa.func.sum(column), 0)).scalar_subquery()
            for column in (bodies.c.operations, bodies.c.accepted)
        )
        acknowledged, refusals, deferred = (
            sa.select(sa.func.count()).select_from(rows).scalar_subquery()
            for rows in (acks, refused, self.logged("deferred").subquery())
        )
        others = connection.rows(sa.select(taken, acknowledged, refusals, sent - deferred))[0]
        told = [accepted, accepted, rejected, accepted + rejected]
        gaps = abs(planned - found) + sum(
            abs(count - int(other)) for count, other in zip(told, others, strict=True)
        )
        lost = 0
        if trace and run and self._is_latest(connection, run[0]):
            lost = self._lost(connection, unaccepted=found - accepted)
        return Outcomes(planned, accepted, rejected, faulty, due, unaccounted=twice + gaps + lost)

    def _is_latest(self, connection: WarehouseConnection, run: sa.Row[Any]) -> bool:
        """Whether what is known of people is still this run's word: committed, and no run after it."""
        if run.status != "committed":
            return False
        later = sa.select(sa.func.count()).where(
            self.run.sync.owns(sync_runs), sync_runs.c.finished_at > sa.literal(run.finished_at, UtcTimestamp)
        )
        return not connection.scalar(later)

    def _lost(self, connection: WarehouseConnection, *, unaccepted: int) -> int:
        """Operations of a committed run that left no trace, or another run's, where their outcome belongs."""
        lost = int(connection.scalar(sa.select(sa.func.count()).where(self._vanished(connection))))
        if unaccepted:
            key = self.run.sync
            done = sa.select(sync_acks).where(self.run.owns(sync_acks)).subquery("done")
            plan = sa.select(sync_plan).where(self.run.owns(sync_plan)).subquery("plan")
            forgotten = (
                sa.select(sa.func.count())
                .select_from(plan.outerjoin(done, key.same(done, plan)))
                .where(
                    key.subject_of(done).is_(None),
                    *[key.subject_of(plan).not_in(self._held(t)) for t in (open_people, dead_letters)],
                )
            )
            lost += int(connection.scalar(forgotten))
        return lost

    def _held(self, table: sa.Table) -> sa.Select[tuple[str]]:
        """Whom or what a table that is not divided by run has this run's word on."""
        return sa.select(self.run.sync.subject_of(table)).where(self.run.wrote(table))

    def _vanished(self, connection: WarehouseConnection) -> sa.ColumnElement[bool]:
        """Whether an acknowledgement left no trace where accepted operations are remembered for good."""
        del connection
        plan = sync_plan.c
        unblocked = sa.select(plan.person_id).where(self.run.owns(sync_plan), plan.operation == "unsuppress")
        return sa.and_(
            self.run.owns(sync_acks),
            sync_acks.c.person_id.not_in(self._held(synced_people)),
            # an accepted `unsuppress` alone leaves nothing in the snapshot
            sa.or_(sync_acks.c.phase == 2, sync_acks.c.person_id.not_in(unblocked)),
        )

    def logged(self, entry: str) -> sa.Select[Any]:
        """The run's log entries of one kind."""
        return sa.select(sync_log).where(self.run.owns(sync_log), sync_log.c.entry == entry)

    def refusals(self, connection: WarehouseConnection) -> tuple[Refusals, ...]:
        """Why people or events were refused, most frequent first: by Customer.io, and by us beforehand."""
        logged = self.logged("rejected").subquery()
        by_server = sa.select(
            sa.literal("customer.io"), logged.c.field, logged.c.reason, sa.func.count()
        ).group_by(logged.c.field, logged.c.reason)
        by_us = (
            sa.select(
                sa.literal("quarantine"), sync_plan.c.fault_field, sync_plan.c.fault_reason, sa.func.count()
            )
            .where(self.run.owns(sync_plan), sync_plan.c.fault_field.is_not(None))
            .group_by(sync_plan.c.fault_field, sync_plan.c.fault_reason)
        )
        rows = [*connection.rows(by_server), *connection.rows(by_us)]
        found = [Refusals(row[0], row[1] or "", row[2] or "", int(row[3])) for row in rows]
        return tuple(sorted(found, key=lambda item: (-item.people, item.source, item.field, item.reason)))
