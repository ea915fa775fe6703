"""Moving the snapshot of people to what a run's ledger says was accepted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from cio_pipelines.sync.base_commit import BaseCommit, Column, Step
from cio_pipelines.sync.key import SyncKey
from cio_pipelines.sync.runs import DIRECT, ERASURE, PEOPLE, Runs
from cio_pipelines.sync.state import (
    ERASURE_HASH,
    dead_letters,
    open_people,
    sync_acks,
    sync_plan,
    synced_people,
)
from cio_pipelines.warehouse import WarehouseConnection
from cio_pipelines.warehouse.merge import Merge


@dataclass(frozen=True, slots=True)
class Commit(BaseCommit):
    """Commits one run of the people sync: snapshot, open people and dead letters."""

    def steps(self, run: sa.Row[Any], now: Column) -> Sequence[Step]:
        found: list[Step] = []
        # a MERGE reads the whole snapshot, even when it changes nothing
        if self.connection.scalar(sa.select(sa.func.count()).select_from(self.acked().subquery())):
            found.append(lambda: self._move_snapshot(run, now))
        if self._is_any("unsuppress"):
            found.append(self._forget_unblocked)
        found.append(lambda: self.replace_open(run, now))
        if self._is_any("delete"):
            found.append(self._clear_erased)
        if self._has_older_mapping(run):
            found.append(lambda: self._adopt_mapping(run))
        return found

    def is_looked_at(self, run: sa.Row[Any]) -> Column:
        if run.kind == DIRECT:
            return sa.false()
        is_erasure = open_people.c.attributes_hash == ERASURE_HASH
        of_its_kind = is_erasure if run.kind == ERASURE else sa.not_(is_erasure)
        return sa.and_(of_its_kind, BaseCommit.is_looked_at(self, run))

    def _move_snapshot(self, run: sa.Row[Any], now: Column) -> None:
        state = sa.case(
            (sync_plan.c.operation == "identify", "identified"),
            (sync_plan.c.operation == "suppress", "suppressed"),
            else_="deleted",
        )
        # of a person's two operations the later one is the state
        both = sa.select(sync_plan.c.person_id).where(self.mine, sync_plan.c.phase == 1)
        later = self.acked(2).where(sync_acks.c.person_id.in_(both))
        is_last = sa.or_(sync_plan.c.phase == 2, sync_plan.c.person_id.not_in(later))
        rows = sa.select(
            *self.run.sync.columns,
            sync_plan.c.person_id,
            state.label("state"),
            sync_plan.c.attributes_hash,
            sync_plan.c.attributes,
            sa.literal(run.mapping_version, sa.String).label("mapping_version"),
            sync_plan.c.source_updated_at,
            now.label("synced_at"),
            sync_plan.c.run_id,
            sa.literal(run.kind == DIRECT).label("direct"),
        ).where(self.mine, self._is_accepted(), sync_plan.c.operation != "unsuppress", is_last)
        key = ("workspace", "sync", "person_id")
        self.connection.execute(Merge(synced_people, rows, key, scope=self.run.sync.owns(synced_people)))

    def _is_accepted(self) -> Column:
        """Whether a planned operation is none of those without an acknowledgement, which are few.

        A join with the many that have one would hold all attributes, and spill them to disk: twice the time
        for ten million people.
        """
        plan = sync_plan.c
        of_phase = [sa.and_(self.mine, plan.phase == phase) for phase in (1, 2)]
        return sa.or_(
            *(
                sa.and_(
                    plan.phase == phase,
                    plan.person_id.not_in(
                        sa.select(plan.person_id).where(mine, plan.person_id.not_in(self.acked(phase)))
                    ),
                )
                for phase, mine in enumerate(of_phase, 1)
            )
        )

    def _is_any(self, operation: str) -> bool:
        planned = sa.select(sa.func.count()).where(self.mine, sync_plan.c.operation == operation)
        return bool(self.connection.scalar(planned))

    def _forget_unblocked(self) -> None:
        """After an accepted `unsuppress` alone a person is unknown again, as in Customer.io."""
        unblocked = sa.select(sync_plan.c.person_id).where(
            self.mine,
            sync_plan.c.operation == "unsuppress",
            sync_plan.c.person_id.in_(self.acked(1)),
            sync_plan.c.person_id.not_in(self.acked(2)),
        )
        self.connection.execute(
            synced_people.delete().where(
                self.run.sync.owns(synced_people), synced_people.c.person_id.in_(unblocked)
            )
        )

    def _clear_erased(self) -> None:
        """Nothing of an erased person stays: no attributes in any plan, nor of events what they say."""
        people = (
            sa.select(sync_plan.c.person_id)
            .where(self.mine, sync_plan.c.operation == "delete", sync_plan.c.person_id.in_(self.acked(2)))
            .subquery()
        )
        self.connection.execute(
            sync_plan.update()
            .where(
                sync_plan.c.workspace == self.run.sync.workspace,
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
        if run.kind != PEOPLE or run.window_start is not None:
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


def finish_killed(
    connection: WarehouseConnection, key: SyncKey, max_attempts: int, commit: type[BaseCommit] = Commit
) -> None:
    """Commit runs that were killed. Under the lease: whoever has it knows that none of them is alive."""
    for killed in Runs(connection, key).unfinished():
        commit(connection, killed, max_attempts).execute("killed")
