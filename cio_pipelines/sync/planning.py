"""Deciding what to send: the mart against the snapshot, set-based, into `sync_plan`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from cio_pipelines.sync.candidates import PERSON_ID_FIELD, Mart, is_ahead
from cio_pipelines.sync.errors import SourceContractError
from cio_pipelines.sync.key import RunKey
from cio_pipelines.sync.quarantine import quarantine
from cio_pipelines.sync.state import UNAPPLIED_HASH, dead_letters, open_people, sync_plan, synced_people
from cio_pipelines.sync.tallies import Tallies, count_plan
from cio_pipelines.sync.windows import Window
from cio_pipelines.warehouse import WarehouseConnection
from cio_pipelines.warehouse import functions as fn
from cio_pipelines.warehouse.functions import UtcTimestamp

Column = sa.ColumnElement[Any]
BLOCKED = ("suppressed", "deleted")
"""States of the snapshot in which Customer.io ignores the person's identifiers."""


Selection = Sequence[Column]
"""Conditions on the mart that exclude each other; the rows of any of them are selected."""


_WAITING_BY_NAME = 1_000
"""Open people that are named in a statement; more are looked up."""


def is_open(snapshot: sa.FromClause, *states: str) -> Column:
    """Whether a person of the snapshot is in none of these states, or not there as was found out since."""
    return sa.or_(snapshot.c.state.not_in(states), snapshot.c.attributes_hash == UNAPPLIED_HASH)


@dataclass(frozen=True, slots=True)
class Decided:
    """How many people are left alone as dead letters, and what comparing was estimated to read, in bytes."""

    left_alone: int
    estimated_bytes: int | None


@dataclass(frozen=True, slots=True)
class Planner:
    """Writes the plan of one run, which nobody reads before the run is noted as planned.

    `reads_twice`: the mart is looked through for those who differ first, which is faster and would cost more
    where a warehouse bills what is read. `people` are those whom the mart consists of, if they are few.
    """

    connection: WarehouseConnection
    run: RunKey
    mart: Mart
    extracted_at: datetime
    reads_twice: bool = True
    people: Sequence[str] | None = None

    @property
    def timestamp(self) -> int:
        """That of the operations: unix seconds of the extraction."""
        return int(self.extracted_at.timestamp())

    @property
    def mine(self) -> Column:
        """Whether a planned operation is of this run."""
        return self.run.owns(sync_plan)

    def clear(self) -> None:
        """Forget what an earlier try, which was killed, had planned."""
        self.delete(self.mine)

    def state(self, table: sa.Table, *names: str, where: Column | None = None) -> sa.Subquery:
        """This sync's rows of a state table, `names` of its columns."""
        columns = [table.c[name] for name in names]
        owned = self.run.sync.owns(table)
        return sa.select(*columns).where(owned if where is None else sa.and_(owned, where)).subquery()

    def selection(self, window: Window) -> Selection:
        """Rows in the window, and apart from them whoever an earlier run left open.

        Apart, since one condition for both would make the engine read the whole mart.
        """
        within = self.mart.within(window)
        if window.is_full:
            return (within,)
        mine = sa.select(open_people.c.person_id).where(self.run.sync.owns(open_people))
        waiting = [row.person_id for row in self.connection.rows(mine.limit(_WAITING_BY_NAME + 1))]
        if not waiting:
            return (within,)
        # as constants they show the engine which part of the mart to read
        named = mine if len(waiting) > _WAITING_BY_NAME else waiting
        outside = sa.not_(sa.func.coalesce(within, sa.false()))
        return within, sa.and_(self.mart.person_id.in_(named), outside)

    def mart_rows(self) -> int:
        """How many rows the mart has."""
        return int(self.connection.scalar(sa.select(sa.func.count()).select_from(self.mart.table)))

    def count(self, selection: Selection) -> tuple[int, int]:
        """How many rows of the mart are selected, and how many of them bear a tombstone."""
        counts = sa.select(sa.func.count(), sa.func.count(self.mart.deleted_at)).select_from(self.mart.table)
        found = [self.connection.rows(counts.where(condition))[0] for condition in selection]
        return sum(int(row[0]) for row in found), sum(int(row[1]) for row in found)

    def check_ids(self, selection: Selection) -> None:
        """Raises SourceContractError for null or repeated ids among the selected rows."""
        person = self.mart.person_id
        ids = sa.union_all(
            *(sa.select(person.label("id")).select_from(self.mart.table).where(each) for each in selection)
        ).subquery()
        counts = sa.select(sa.func.count(), sa.func.count(ids.c.id), sa.func.count(sa.distinct(ids.c.id)))
        rows, named, distinct = (int(n) for n in self.connection.rows(counts)[0])
        column = f"{self.mart.spec.relation}.{self.mart.spec.person_id}"
        if named < rows:
            raise SourceContractError(
                f"{rows - named} rows have a null {column}.",
                "Every person needs an id: leave these rows out of the mart, or give them one.",
            )
        if distinct < named:
            raise SourceContractError(
                f"{named - distinct} rows repeat a {column} that another row has.",
                "One row a person: remove the duplicates in the mart.",
            )

    def plan_people(self, selection: Selection, *, shared_emails_conflict: bool) -> Decided:
        """Plan identify, suppress and unsuppress for the selected rows."""
        # looked for only where there can be anybody: it takes a tenth of the time of a plan
        lags = self.people is None and self.is_any_direct()
        left_alone = self._count_dead(selection, lags=lags)
        estimated = self._insert_people(selection, lags=lags)
        left_alone += quarantine(self, shared_emails_conflict=shared_emails_conflict)
        self._insert_unsuppressions()
        return Decided(left_alone, estimated)

    def _compared(
        self, selection: Selection, among: sa.Select[Any] | None = None, *, lags: bool
    ) -> tuple[sa.Subquery, sa.Subquery, sa.Subquery, Column, Column]:
        """What is compared, and the conditions; of all selected people, or only of those `among` them.

        `lags`: the mart may lag behind what is known of somebody.
        """
        rows = sa.union_all(*(self.mart.candidates(each) for each in selection)).subquery("m")
        mart = sa.select(rows, fn.hash_text(rows.c.attributes).label("attributes_hash")).subquery("mart")
        named = among if self.people is None else self.people
        snapshot = self.state(
            synced_people,
            *("person_id", "state", "attributes_hash", "attributes", "mapping_version"),
            *("source_updated_at", "direct"),
            where=None if named is None else synced_people.c.person_id.in_(named),
        )
        dead = self.state(
            dead_letters,
            *("person_id", "operation", "attributes_hash"),
            where=dead_letters.c.kind != "quarantined",
        )
        suppresses = mart.c.opted_out if not self.mart.mapping.unsubscribes else sa.false()
        operation = sa.case((suppresses, "suppress"), else_="identify")
        needed = sa.case(
            (suppresses, sa.func.coalesce(is_open(snapshot, *BLOCKED), sa.true())),
            else_=sa.or_(
                snapshot.c.person_id.is_(None),
                snapshot.c.state != "identified",
                snapshot.c.attributes_hash.is_distinct_from(mart.c.attributes_hash),
            ),
        )
        if lags:
            needed = sa.and_(needed, sa.not_(is_ahead(snapshot, mart.c.updated_at)))
        return mart, snapshot, dead, operation, needed

    @staticmethod
    def _is_of(row: sa.Subquery, mart: sa.Subquery, operation: Column) -> Column:
        """Whether a dead letter or open row speaks of the same operation and content as is wanted now."""
        wanted = sa.case((row.c.operation == "unsuppress", "identify"), else_=row.c.operation)
        return sa.and_(
            row.c.person_id == mart.c.person_id,
            row.c.attributes_hash == mart.c.attributes_hash,
            wanted == operation,
        )

    def _count_dead(self, selection: Selection, *, lags: bool) -> int:
        mart, snapshot, dead, operation, needed = self._compared(selection, lags=lags)
        any_dead = sa.select(sa.func.count()).select_from(dead)
        if not self.connection.scalar(any_dead):
            return 0
        joined = mart.join(dead, self._is_of(dead, mart, operation)).outerjoin(
            snapshot, snapshot.c.person_id == mart.c.person_id
        )
        return int(self.connection.scalar(sa.select(sa.func.count()).select_from(joined).where(needed)))

    def _insert_people(self, selection: Selection, *, lags: bool) -> int | None:
        """Returns the bytes that the comparison was estimated to read, where that costs."""
        among: sa.Select[Any] | None = None
        if self.people is None and self.reads_twice and self._knows_anybody():
            # Most people are as they were: of those only ids and hashes are joined, and never the texts.
            mart, snapshot, _, _, needed = self._compared(selection, lags=lags)
            joined = mart.outerjoin(snapshot, snapshot.c.person_id == mart.c.person_id)
            differing = sa.select(mart.c.person_id).select_from(joined).where(needed).cte("differing")
            among = sa.select(differing.c.person_id)
            selection = [sa.and_(each, self.mart.person_id.in_(among)) for each in selection]
        mart, snapshot, dead, operation, needed = self._compared(selection, among, lags=lags)
        waiting = self.state(open_people, "person_id", "operation", "attributes_hash", "attempts", "outcome")
        is_update = snapshot.c.state == "identified"
        # the very same again, since it was accepted and not applied: nobody changed
        is_again = sa.and_(
            snapshot.c.attributes_hash == UNAPPLIED_HASH,
            sa.case(
                (operation == "suppress", snapshot.c.state == "suppressed"),
                else_=sa.and_(
                    is_update,
                    sa.or_(waiting.c.outcome == "unapplied", snapshot.c.attributes == mart.c.attributes),
                ),
            ),
        )
        why = sa.case(
            (is_again, "unapplied"),
            (operation == "suppress", "opted_out"),
            (snapshot.c.person_id.is_(None), "new"),
            (snapshot.c.state != "identified", "returned"),
            (snapshot.c.mapping_version != self.mart.mapping.version, "mapping"),
            (snapshot.c.source_updated_at.is_not_distinct_from(mart.c.updated_at), "silent"),
            else_="changed",
        )
        identifies = operation == "identify"
        # To suppress somebody only the id is sent: an attribute that is too long must not keep them in.
        is_hurt = sa.or_(identifies, mart.c.fault_field == PERSON_ID_FIELD)
        removals = sa.case(
            (sa.and_(identifies, is_update), fn.removed_keys(snapshot.c.attributes, mart.c.attributes))
        )
        joined = (
            mart.outerjoin(snapshot, snapshot.c.person_id == mart.c.person_id)
            .outerjoin(dead, self._is_of(dead, mart, operation))
            .outerjoin(waiting, self._is_of(waiting, mart, operation))
        )
        rows = (
            sa.select(
                *self.run_columns(),
                mart.c.person_id,
                operation.label("operation"),
                sa.case((identifies, 2), else_=1).label("phase"),
                why.label("why"),
                sa.case((identifies, mart.c.attributes)).label("attributes"),
                removals.label("removals"),
                mart.c.attributes_hash,
                mart.c.updated_at.label("source_updated_at"),
                sa.func.coalesce(waiting.c.attempts, 0).label("attempts"),
                sa.case((is_hurt, mart.c.fault_field)).label("fault_field"),
                sa.case((is_hurt, mart.c.fault_reason)).label("fault_reason"),
                self.now().label("planned_at"),
            )
            .select_from(joined)
            .where(needed, dead.c.person_id.is_(None))
        )
        estimated = self.connection.estimate(self._insertion(rows))
        self.insert(rows)
        return estimated

    def _knows_anybody(self) -> bool:
        known = sa.select(synced_people.c.person_id).where(self.run.sync.owns(synced_people)).limit(1)
        return bool(self.connection.rows(known))

    def delete(self, condition: Column) -> int:
        """Remove planned operations; returns how many."""
        count = self.connection.scalar(sa.select(sa.func.count()).select_from(sync_plan).where(condition))
        if count:
            self.connection.execute(sync_plan.delete().where(condition))
        return int(count)

    def _insert_unsuppressions(self) -> None:
        returned = sa.and_(self.mine, sync_plan.c.why == "returned", sync_plan.c.fault_field.is_(None))
        if not self.connection.scalar(sa.select(sa.func.count()).select_from(sync_plan).where(returned)):
            return
        given = {
            "operation": sa.literal("unsuppress"),
            "phase": sa.literal(1),
            "attributes": sa.cast(sa.null(), sa.String),
        }
        columns = [given.get(column.name, column).label(column.name) for column in sync_plan.c]
        self.insert(sa.select(*columns).where(returned))

    def tallies(self) -> Tallies:
        """The plan in numbers."""
        return count_plan(self.connection, self.run)

    def settle_deletions(self) -> None:
        """After a look at the whole mart: a direct deletion that the mart shows is like any other.

        From then on the person returns when the mart has a row of them again.
        """
        if not self.is_any_direct():
            return
        living = (
            sa.select(self.mart.person_id).select_from(self.mart.table).where(self.mart.deleted_at.is_(None))
        )
        self.connection.execute(
            synced_people.update()
            .where(
                self.run.sync.owns(synced_people),
                synced_people.c.direct,
                synced_people.c.state == "deleted",
                synced_people.c.person_id.not_in(living),
            )
            .values(direct=False)
        )

    def is_any_direct(self) -> bool:
        """Whether of anybody the application's own word is remembered."""
        direct = self.state(synced_people, "person_id", where=synced_people.c.direct)
        return bool(self.connection.rows(sa.select(direct).limit(1)))

    def run_columns(self) -> list[Column]:
        """The first columns of a planned operation."""
        return self.run.columns

    def now(self) -> Column:
        """The time of extraction as SQL."""
        return sa.literal(self.extracted_at, UtcTimestamp)

    def insert(self, rows: sa.Select[Any]) -> None:
        """Add operations to the plan; `rows` has columns of `sync_plan` by their names."""
        self.connection.execute(self._insertion(rows))

    def _insertion(self, rows: sa.Select[Any]) -> sa.Insert:
        return sync_plan.insert().from_select([column.name for column in rows.selected_columns], rows)
