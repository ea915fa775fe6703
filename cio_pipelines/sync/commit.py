"""Moving the snapshot: what a run's ledger says was accepted, and what is to be tried again.

Set-based and in one transaction. The same statements finish a run that ended well, one that was stopped, and
one that was killed: they only read what the ledger holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from cio_pipelines.sync.key import RunKey, SyncKey
from cio_pipelines.sync.runs import ERASURE, Runs
from cio_pipelines.sync.state import (
    ERASURE_HASH,
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
from cio_pipelines.warehouse.merge import Merge

Column = sa.ColumnElement[Any]


@dataclass(frozen=True, slots=True)
class Commit:
    """Commits one run of a sync. `max_attempts` refusals of the same content make a dead letter."""

    connection: WarehouseConnection
    run: RunKey
    max_attempts: int

    @property
    def _mine(self) -> Column:
        return self.run.owns(sync_plan)

    def execute(self, ended_by: str | None = None) -> None:
        """Bring snapshot, open people and dead letters up to the ledger; the run is then `committed`.

        `ended_by` is what stopped the run before everything was answered.
        """
        now = sa.literal(datetime.now(UTC), UtcTimestamp)
        run = self.connection.rows(sa.select(sync_runs).where(self.run.wrote(sync_runs)))[0]
        erased, unblocked = self._is_any("delete"), self._is_any("unsuppress")
        is_older = self._has_older_mapping(run)
        # a MERGE reads the whole snapshot, even when it changes nothing
        accepted = self.connection.scalar(sa.select(sa.func.count()).select_from(self._acked().subquery()))
        with self.connection.transaction():
            if accepted:
                self._move_snapshot(run, now)
            if unblocked:
                self._forget_unblocked()
            self._replace_open_people(run, now)
            if erased:
                self._clear_erased()
            if is_older:
                self._adopt_mapping(run)
            self.connection.execute(
                sync_runs.update()
                .where(self.run.wrote(sync_runs))
                .values(status="committed", finished_at=now, ended_by=ended_by)
            )

    def _acked(self, phase: int | None = None) -> sa.Select[Any]:
        mine = sa.select(sync_acks.c.person_id).where(self.run.owns(sync_acks))
        return mine if phase is None else mine.where(sync_acks.c.phase == phase)

    def _move_snapshot(self, run: sa.Row[Any], now: Column) -> None:
        state = sa.case(
            (sync_plan.c.operation == "identify", "identified"),
            (sync_plan.c.operation == "suppress", "suppressed"),
            else_="deleted",
        )
        is_ack = sa.and_(
            self.run.owns(sync_acks),
            sync_acks.c.person_id == sync_plan.c.person_id,
            sync_acks.c.phase == sync_plan.c.phase,
        )
        # of a person's two operations the later one is the state
        both = sa.select(sync_plan.c.person_id).where(self._mine, sync_plan.c.phase == 1)
        later = self._acked(2).where(sync_acks.c.person_id.in_(both))
        is_last = sa.or_(sync_plan.c.phase == 2, sync_plan.c.person_id.not_in(later))
        rows = (
            sa.select(
                *self.run.sync.columns,
                sync_plan.c.person_id,
                state.label("state"),
                sync_plan.c.attributes_hash,
                sync_plan.c.attributes,
                sa.literal(run.mapping_version, sa.String).label("mapping_version"),
                sync_plan.c.source_updated_at,
                now.label("synced_at"),
                sync_plan.c.run_id,
            )
            .select_from(sync_plan.join(sync_acks, is_ack))
            .where(self._mine, sync_plan.c.operation != "unsuppress", is_last)
        )
        key = ("workspace", "sync", "person_id")
        self.connection.execute(Merge(synced_people, rows, key, scope=self.run.sync.owns(synced_people)))

    def _is_any(self, operation: str) -> bool:
        planned = sa.select(sa.func.count()).where(self._mine, sync_plan.c.operation == operation)
        return bool(self.connection.scalar(planned))

    def _forget_unblocked(self) -> None:
        """After an accepted `unsuppress` alone a person is unknown again, as in Customer.io."""
        unblocked = sa.select(sync_plan.c.person_id).where(
            self._mine,
            sync_plan.c.operation == "unsuppress",
            sync_plan.c.person_id.in_(self._acked(1)),
            sync_plan.c.person_id.not_in(self._acked(2)),
        )
        self.connection.execute(
            synced_people.delete().where(
                self.run.sync.owns(synced_people), synced_people.c.person_id.in_(unblocked)
            )
        )

    def _replace_open_people(self, run: sa.Row[Any], now: Column) -> None:
        planned = sa.select(sync_plan.c.person_id).where(self._mine)
        # The plan looked at every open person of its kind: whoever is not in it needs nothing any more. Those
        # whom somebody replayed since are the next run's.
        is_erasure = open_people.c.attributes_hash == ERASURE_HASH
        looked_at = sa.and_(
            is_erasure if run.kind == ERASURE else sa.not_(is_erasure),
            open_people.c.since < sa.literal(run.extracted_at + timedelta(seconds=1), UtcTimestamp),
        )
        for table, settled in ((open_people, looked_at), (dead_letters, sa.false())):
            self.connection.execute(
                table.delete().where(
                    self.run.sync.owns(table), sa.or_(settled, table.c.person_id.in_(planned))
                )
            )
        refused = (
            sa.select(sync_log)
            .where(self.run.owns(sync_log), sync_log.c.entry == "rejected")
            .subquery("refused")
        )
        done = sa.select(sync_acks).where(self.run.owns(sync_acks)).subquery("done")
        plan = sync_plan
        joined = plan.outerjoin(refused, _same(refused)).outerjoin(done, _same(done))
        is_refused = refused.c.person_id.is_not(None)
        attempts = plan.c.attempts + sa.case((is_refused, 1), else_=0)
        is_dead = sa.or_(plan.c.fault_field.is_not(None), sa.and_(is_refused, attempts >= self.max_attempts))
        not_done = sa.and_(self._mine, done.c.person_id.is_(None))
        # One row a person: of two operations the first that was not accepted.
        earlier = plan.alias("earlier")
        is_first = sa.or_(
            plan.c.phase == 1,
            ~sa.exists().where(
                self.run.owns(earlier),
                earlier.c.person_id == plan.c.person_id,
                earlier.c.phase == 1,
                earlier.c.person_id.not_in(self._acked(1)),
            ),
        )
        self._insert(
            open_people,
            sa.select(
                *self.run.sync.columns,
                plan.c.person_id,
                plan.c.operation,
                plan.c.attributes_hash,
                sa.case((is_refused, "rejected"), else_="due").label("outcome"),
                attempts.label("attempts"),
                refused.c.reason,
                refused.c.field,
                now.label("since"),
                plan.c.run_id,
            )
            .select_from(joined)
            .where(not_done, sa.not_(is_dead), is_first),
        )
        self._insert(
            dead_letters,
            sa.select(
                *self.run.sync.columns,
                plan.c.person_id,
                plan.c.operation,
                plan.c.attributes_hash,
                sa.case((plan.c.fault_field.is_not(None), "quarantined"), else_="rejected").label("kind"),
                attempts.label("attempts"),
                sa.func.coalesce(plan.c.fault_reason, refused.c.reason).label("reason"),
                sa.func.coalesce(plan.c.fault_field, refused.c.field).label("field"),
                refused.c.message,
                now.label("since"),
                plan.c.run_id,
            )
            .select_from(joined)
            .where(not_done, is_dead, is_first),
        )

    def _insert(self, table: sa.Table, rows: sa.Select[Any]) -> None:
        self.connection.execute(table.insert().from_select([column.name for column in table.c], rows))

    def _clear_erased(self) -> None:
        """Nothing of an erased person stays: no attributes in any plan."""
        people = (
            sa.select(sync_plan.c.person_id)
            .where(self._mine, sync_plan.c.operation == "delete", sync_plan.c.person_id.in_(self._acked(2)))
            .subquery()
        )
        self.connection.execute(
            sync_plan.update()
            .where(
                self.run.sync.owns(sync_plan),
                sync_plan.c.attributes.is_not(None),
                sync_plan.c.person_id.in_(sa.select(people.c.person_id)),
            )
            .values(attributes=None, removals=None)
        )

    def _of_older_mapping(self, run: sa.Row[Any]) -> Column:
        return sa.and_(
            self.run.sync.owns(synced_people),
            synced_people.c.state == "identified",
            synced_people.c.mapping_version != run.mapping_version,
        )

    def _has_older_mapping(self, run: sa.Row[Any]) -> bool:
        """Whether people may be left of another mapping, after a whole look at the mart."""
        if run.mapping_version is None or run.window_start is not None:
            return False
        return bool(self.connection.scalar(sa.select(sa.func.count()).where(self._of_older_mapping(run))))

    def _adopt_mapping(self, run: sa.Row[Any]) -> None:
        """After a whole look at the mart, people whom a new mapping left as they were are of that mapping."""
        waiting = sa.select(open_people.c.person_id).where(self.run.sync.owns(open_people))
        dead = sa.select(dead_letters.c.person_id).where(self.run.sync.owns(dead_letters))
        self.connection.execute(
            synced_people.update()
            .where(
                self._of_older_mapping(run),
                synced_people.c.person_id.not_in(waiting),
                synced_people.c.person_id.not_in(dead),
            )
            .values(mapping_version=run.mapping_version)
        )


def _same(row: sa.Subquery) -> Column:
    return sa.and_(row.c.person_id == sync_plan.c.person_id, row.c.phase == sync_plan.c.phase)


def finish_killed(connection: WarehouseConnection, key: SyncKey, max_attempts: int) -> None:
    """Commit runs that were killed. Under the lease: whoever has it knows that none of them is alive."""
    for killed in Runs(connection, key).unfinished():
        Commit(connection, killed, max_attempts).execute("killed")
