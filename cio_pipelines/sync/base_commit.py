"""What ends every run: what its ledger says was accepted is remembered, and what is to be tried again.

Set-based and in one transaction. The same statements finish a run that ended well, one that was stopped, and
one that was killed: they only read what the ledger holds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from cio_pipelines.sync.key import RunKey
from cio_pipelines.sync.state import dead_letters, open_people, sync_acks, sync_log, sync_plan, sync_runs
from cio_pipelines.warehouse import WarehouseConnection
from cio_pipelines.warehouse.functions import UtcTimestamp

Column = sa.ColumnElement[Any]
Step = Callable[[], None]


@dataclass(frozen=True, slots=True)
class BaseCommit(ABC):
    """Commits one run of a sync. `max_attempts` refusals of the same content make a dead letter."""

    connection: WarehouseConnection
    run: RunKey
    max_attempts: int

    @property
    def mine(self) -> Column:
        """Whether a planned operation is of this run."""
        return self.run.owns(sync_plan)

    def execute(self, ended_by: str | None = None) -> None:
        """Bring what is remembered up to the ledger; the run is then `committed`.

        `ended_by` is what stopped the run before everything was answered.
        """
        now = sa.literal(datetime.now(UTC), UtcTimestamp)
        run = self.connection.rows(sa.select(sync_runs).where(self.run.wrote(sync_runs)))[0]
        steps = self.steps(run, now)
        with self.connection.transaction():
            for step in steps:
                step()
            self.connection.execute(
                sync_runs.update()
                .where(self.run.wrote(sync_runs))
                .values(status="committed", finished_at=now, ended_by=ended_by)
            )

    @abstractmethod
    def steps(self, run: sa.Row[Any], now: Column) -> Sequence[Step]:
        """What the transaction does, in order; a transaction only writes, so what is read is read here.

        `replace_open` is one of them.
        """

    def acked(self, phase: int | None = None) -> sa.Select[Any]:
        """What was accepted, by its subject."""
        mine = sa.select(self.run.sync.subject_of(sync_acks)).where(self.run.owns(sync_acks))
        return mine if phase is None else mine.where(sync_acks.c.phase == phase)

    def is_looked_at(self, run: sa.Row[Any]) -> Column:
        """Whether an open row was there when the plan was made, and the plan would have it if it needed to.

        Those that somebody replayed since are the next run's.
        """
        return open_people.c.since < sa.literal(run.extracted_at + timedelta(seconds=1), UtcTimestamp)

    def replace_open(self, run: sa.Row[Any], now: Column) -> None:
        """Open rows and dead letters anew: of what the plan held, and of what it left out for good."""
        key, plan = self.run.sync, sync_plan
        planned = sa.select(key.subject_of(plan)).where(self.mine)
        for table, settled in ((open_people, self.is_looked_at(run)), (dead_letters, sa.false())):
            self.connection.execute(
                table.delete().where(key.owns(table), sa.or_(settled, key.subject_of(table).in_(planned)))
            )
        refused = (
            sa.select(sync_log)
            .where(self.run.owns(sync_log), sync_log.c.entry == "rejected")
            .subquery("refused")
        )
        done = sa.select(sync_acks).where(self.run.owns(sync_acks)).subquery("done")
        joined = plan.outerjoin(refused, key.same(refused, plan)).outerjoin(done, key.same(done, plan))
        is_refused = key.subject_of(refused).is_not(None)
        attempts = plan.c.attempts + sa.case((is_refused, 1), else_=0)
        is_dead = sa.or_(plan.c.fault_field.is_not(None), sa.and_(is_refused, attempts >= self.max_attempts))
        # One row a person: of two operations the first that was not accepted.
        earlier = plan.alias("earlier")
        is_first = sa.or_(
            plan.c.phase == 1,
            ~sa.exists().where(
                self.run.owns(earlier),
                key.subject_of(earlier) == key.subject_of(plan),
                earlier.c.phase == 1,
                key.subject_of(earlier).not_in(self.acked(1)),
            ),
        )
        left = sa.and_(self.mine, key.subject_of(done).is_(None), is_first)
        common = [
            *key.columns,
            plan.c.person_id,
            plan.c.operation,
            plan.c.attributes_hash,
            attempts.label("attempts"),
            now.label("since"),
            plan.c.run_id,
            plan.c.event_id,
        ]
        self.insert(
            open_people,
            sa.select(
                *common,
                sa.case((is_refused, "rejected"), else_="due").label("outcome"),
                refused.c.reason,
                refused.c.field,
            )
            .select_from(joined)
            .where(left, sa.not_(is_dead)),
        )
        self.insert(
            dead_letters,
            sa.select(
                *common,
                sa.case((plan.c.fault_field.is_not(None), "quarantined"), else_="rejected").label("kind"),
                sa.func.coalesce(plan.c.fault_reason, refused.c.reason).label("reason"),
                sa.func.coalesce(plan.c.fault_field, refused.c.field).label("field"),
                refused.c.message,
            )
            .select_from(joined)
            .where(left, is_dead),
        )

    def insert(self, table: sa.Table, rows: sa.Select[Any]) -> None:
        """Add rows to a table, whose columns they have by their names."""
        names = [column.name for column in rows.selected_columns]
        self.connection.execute(table.insert().from_select(names, rows))
