"""Deciding what to send: the mart against the snapshot, set-based, into `sync_plan`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from cio_pipelines.customerio.limits import PERSON_ID_BYTES
from cio_pipelines.sync.candidates import Mart, is_too_large
from cio_pipelines.sync.key import SyncKey
from cio_pipelines.sync.state import dead_letters, open_people, sync_plan, synced_people
from cio_pipelines.sync.windows import Window
from cio_pipelines.warehouse import WarehouseConnection
from cio_pipelines.warehouse import functions as fn
from cio_pipelines.warehouse.functions import UtcTimestamp

Column = sa.ColumnElement[Any]
ERASURE_HASH = "erasure"
"""Stands in the place of an attributes hash: an erasure has no attributes."""
_FOREVER = ("suppressed", "deleted")


@dataclass(frozen=True, slots=True)
class Planner:
    """Writes the plan of one run. Everything happens in the connection's open transaction."""

    connection: WarehouseConnection
    key: SyncKey
    mart: Mart
    run_id: str
    extracted_at: datetime

    @property
    def _timestamp(self) -> int:
        return int(self.extracted_at.timestamp())

    @property
    def _mine(self) -> Column:
        return self.key.run(sync_plan, self.run_id)

    def _state(self, table: sa.Table, *names: str, where: Column | None = None) -> sa.Subquery:
        """This sync's rows of a state table."""
        columns = [table.c[name] for name in names]
        owned = self.key.owns(table)
        return sa.select(*columns).where(owned if where is None else sa.and_(owned, where)).subquery()

    def selection(self, window: Window) -> Column:
        """Rows in the window, and whoever an earlier run left open."""
        if window.is_full:
            return sa.true()
        waiting = sa.select(open_people.c.person_id).where(self.key.owns(open_people))
        return sa.or_(self.mart.within(window), self.mart.person_id.in_(waiting))

    def count(self, condition: Column) -> tuple[int, int]:
        """How many rows of the mart satisfy a condition, and how many of them bear a tombstone."""
        counts = sa.select(sa.func.count(), sa.func.count(self.mart.deleted_at))
        row = self.connection.rows(counts.select_from(self.mart.table).where(condition))[0]
        return int(row[0]), int(row[1])

    def plan_people(self, window: Window, *, shared_emails_conflict: bool) -> int:
        """Plan identify, suppress and unsuppress; returns how many people are left alone as dead letters."""
        left_alone = self._count_dead(window)
        self._insert_people(window)
        self._mark(is_too_large(sync_plan, self._timestamp), "operation", "too_long")
        if shared_emails_conflict and self.mart.spec.email in self.mart.mapping.kinds:
            self._mark_shared_emails()
        left_alone += self._drop_known_quarantines()
        self._insert_unsuppressions()
        return left_alone

    def _compared(self, window: Window) -> tuple[sa.Subquery, sa.Subquery, sa.Subquery, Column, Column]:
        rows = self.mart.candidates(self.selection(window)).subquery("m")
        mart = sa.select(rows, fn.hash_text(rows.c.attributes).label("attributes_hash")).subquery("mart")
        snapshot = self._state(
            synced_people,
            *("person_id", "state", "attributes_hash", "attributes", "mapping_version", "source_updated_at"),
        )
        dead = self._state(
            dead_letters,
            *("person_id", "operation", "attributes_hash"),
            where=dead_letters.c.kind == "rejected",
        )
        suppresses = mart.c.opted_out if not self.mart.mapping.unsubscribes else sa.false()
        operation = sa.case((suppresses, "suppress"), else_="identify")
        needed = sa.case(
            (suppresses, sa.func.coalesce(snapshot.c.state.not_in(_FOREVER), sa.true())),
            else_=sa.or_(
                snapshot.c.person_id.is_(None),
                snapshot.c.state != "identified",
                snapshot.c.attributes_hash.is_distinct_from(mart.c.attributes_hash),
            ),
        )
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

    def _count_dead(self, window: Window) -> int:
        mart, snapshot, dead, operation, needed = self._compared(window)
        any_dead = sa.select(sa.func.count()).select_from(dead)
        if not self.connection.scalar(any_dead):
            return 0
        joined = mart.join(dead, self._is_of(dead, mart, operation)).outerjoin(
            snapshot, snapshot.c.person_id == mart.c.person_id
        )
        return int(self.connection.scalar(sa.select(sa.func.count()).select_from(joined).where(needed)))

    def _insert_people(self, window: Window) -> None:
        mart, snapshot, dead, operation, needed = self._compared(window)
        waiting = self._state(open_people, "person_id", "operation", "attributes_hash", "attempts")
        is_update = snapshot.c.state == "identified"
        why = sa.case(
            (operation == "suppress", "opted_out"),
            (snapshot.c.person_id.is_(None), "new"),
            (snapshot.c.state != "identified", "returned"),
            (snapshot.c.mapping_version != self.mart.mapping.version, "mapping"),
            (snapshot.c.source_updated_at.is_not_distinct_from(mart.c.updated_at), "silent"),
            else_="changed",
        )
        identifies = operation == "identify"
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
                *self._run_columns(),
                mart.c.person_id,
                operation.label("operation"),
                sa.case((identifies, 2), else_=1).label("phase"),
                why.label("why"),
                sa.case((identifies, mart.c.attributes)).label("attributes"),
                removals.label("removals"),
                mart.c.attributes_hash,
                mart.c.updated_at.label("source_updated_at"),
                sa.func.coalesce(waiting.c.attempts, 0).label("attempts"),
                mart.c.fault_field,
                mart.c.fault_reason,
                self._now().label("planned_at"),
            )
            .select_from(joined)
            .where(needed, dead.c.person_id.is_(None))
        )
        self._insert(rows)

    def _mark(self, condition: Column, field: str, reason: str) -> None:
        """Quarantine planned identifies that satisfy a condition."""
        self.connection.execute(
            sync_plan.update()
            .where(
                self._mine,
                sync_plan.c.operation == "identify",
                sync_plan.c.fault_field.is_(None),
                condition,
            )
            .values(fault_field=field, fault_reason=reason)
        )

    def _mark_shared_emails(self) -> None:
        """Customer.io would silently drop one of two people with one e-mail, in any letter case."""
        planned = sa.select(sa.func.count()).where(self._mine, sync_plan.c.operation == "identify")
        if not self.connection.scalar(planned):
            return
        email = sa.func.lower(self.mart.table.c[self.mart.spec.email])
        living = self.mart.deleted_at.is_(None)
        shared = (
            sa.select(email)
            .select_from(self.mart.table)
            .where(living, email.is_not(None))
            .group_by(email)
            .having(sa.func.count() > 1)
        )
        people = sa.select(self.mart.person_id).select_from(self.mart.table).where(living, email.in_(shared))
        self._mark(sync_plan.c.person_id.in_(people), f"attributes.{self.mart.spec.email}", "shared")

    def _drop_known_quarantines(self) -> int:
        """Rows that are still as wrong as when they were dead-lettered need no second letter."""
        known = self._state(
            dead_letters,
            *("person_id", "operation", "attributes_hash", "reason"),
            where=dead_letters.c.kind == "quarantined",
        )
        same = sa.exists().where(
            known.c.person_id == sync_plan.c.person_id,
            known.c.operation == sync_plan.c.operation,
            known.c.attributes_hash == sync_plan.c.attributes_hash,
            known.c.reason == sync_plan.c.fault_reason,
        )
        return self._delete(sa.and_(self._mine, sync_plan.c.fault_field.is_not(None), same))

    def _delete(self, condition: Column) -> int:
        count = self.connection.scalar(sa.select(sa.func.count()).select_from(sync_plan).where(condition))
        if count:
            self.connection.execute(sync_plan.delete().where(condition))
        return int(count)

    def _insert_unsuppressions(self) -> None:
        returned = sa.and_(self._mine, sync_plan.c.why == "returned", sync_plan.c.fault_field.is_(None))
        if not self.connection.scalar(sa.select(sa.func.count()).select_from(sync_plan).where(returned)):
            return
        given = {"operation": sa.literal("unsuppress"), "phase": sa.literal(1), "attributes": sa.null()}
        columns = [given.get(column.name, column).label(column.name) for column in sync_plan.c]
        self._insert(sa.select(*columns).where(returned))

    def plan_erasures(self) -> int:
        """Plan suppress, then delete, for everybody with a tombstone; returns how many are left alone."""
        mart = self.mart
        person, deleted_at = mart.person_id, mart.deleted_at
        marked = sa.select(person.label("person_id")).select_from(mart.table).where(deleted_at.is_not(None))
        rows = marked.subquery("m")
        snapshot = self._state(synced_people, "person_id", "state")
        waiting = self._state(open_people, "person_id", "operation", "attempts")
        dead = self._state(dead_letters, "person_id", where=dead_letters.c.attributes_hash == ERASURE_HASH)
        not_erased = sa.func.coalesce(snapshot.c.state != "deleted", sa.true())
        not_blocked = sa.func.coalesce(snapshot.c.state.not_in(_FOREVER), sa.true())
        bad_id = sa.or_(rows.c.person_id == "", fn.byte_length(rows.c.person_id) > PERSON_ID_BYTES)
        for operation, phase, needed in (("suppress", 1, not_blocked), ("delete", 2, not_erased)):
            same = sa.and_(waiting.c.person_id == rows.c.person_id, waiting.c.operation == operation)
            joined = (
                rows.outerjoin(snapshot, snapshot.c.person_id == rows.c.person_id)
                .outerjoin(dead, dead.c.person_id == rows.c.person_id)
                .outerjoin(waiting, same)
            )
            self._insert(
                sa.select(
                    *self._run_columns(),
                    rows.c.person_id,
                    sa.literal(operation).label("operation"),
                    sa.literal(phase).label("phase"),
                    sa.literal("tombstone").label("why"),
                    sa.cast(sa.null(), sa.String).label("attributes"),
                    sa.cast(sa.null(), sa.String).label("removals"),
                    sa.literal(ERASURE_HASH).label("attributes_hash"),
                    sa.cast(sa.null(), sa.TIMESTAMP).label("source_updated_at"),
                    sa.func.coalesce(waiting.c.attempts, 0).label("attempts"),
                    sa.case((bad_id, "identifiers.id")).label("fault_field"),
                    sa.case((rows.c.person_id == "", "required"), (bad_id, "too_long")).label("fault_reason"),
                    self._now().label("planned_at"),
                )
                .select_from(joined)
                .where(needed, dead.c.person_id.is_(None))
            )
        return self._count_dead_erasures(rows, dead)

    def _count_dead_erasures(self, rows: sa.Subquery, dead: sa.Subquery) -> int:
        joined = rows.join(dead, dead.c.person_id == rows.c.person_id)
        people = sa.select(sa.func.count(sa.distinct(rows.c.person_id))).select_from(joined)
        return int(self.connection.scalar(people))

    def tallies(self) -> list[tuple[str, str, str | None, str | None, int]]:
        """(operation, why, fault field, fault reason, operations) of the plan."""
        columns = [
            sync_plan.c.operation,
            sync_plan.c.why,
            sync_plan.c.fault_field,
            sync_plan.c.fault_reason,
        ]
        counted = sa.select(*columns, sa.func.count()).where(self._mine).group_by(*columns)
        return [(row[0], row[1], row[2], row[3], int(row[4])) for row in self.connection.rows(counted)]

    def known_people(self) -> tuple[int, int]:
        """People identified in the snapshot, and living people in the mart."""
        snapshot = sa.select(sa.func.count()).where(
            self.key.owns(synced_people), synced_people.c.state == "identified"
        )
        rows, tombstoned = self.count(sa.true())
        return int(self.connection.scalar(snapshot)), rows - tombstoned

    def absent_people(self) -> int:
        """People identified in the snapshot who are no longer in the mart."""
        snapshot = self._state(synced_people, "person_id", where=synced_people.c.state == "identified")
        present = sa.select(self.mart.person_id).select_from(self.mart.table)
        gone = sa.select(sa.func.count()).select_from(snapshot).where(snapshot.c.person_id.not_in(present))
        return int(self.connection.scalar(gone))

    def _run_columns(self) -> list[Column]:
        return [*self.key.columns, sa.literal(self.run_id).label("run_id")]

    def _now(self) -> Column:
        return sa.literal(self.extracted_at, UtcTimestamp)

    def _insert(self, rows: sa.Select[Any]) -> None:
        names = [column.name for column in sync_plan.c]
        self.connection.execute(sync_plan.insert().from_select(names, rows))


def by(tallies: list[tuple[str, str, str | None, str | None, int]], position: int) -> Mapping[str, int]:
    """Operations of the tallies by one of their columns (0 operation, 1 why), `unsuppress` only under 0."""
    counts: dict[str, int] = {}
    for tally in tallies:
        if position == 1 and tally[0] == "unsuppress":
            continue
        name = str(tally[position])
        counts[name] = counts.get(name, 0) + tally[4]
    return counts
