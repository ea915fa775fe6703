"""Whom a people run was accepted for, as the ledger has it, and marking those to whom it was not applied."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from cio_pipelines.sync.key import RunKey
from cio_pipelines.sync.state import UNAPPLIED_HASH, sync_acks, sync_plan, synced_people
from cio_pipelines.verification.comparing import Expected
from cio_pipelines.warehouse import WarehouseConnection
from cio_pipelines.warehouse import functions as fn

Column = sa.ColumnElement[Any]
NAMED_AT_ONCE = 1_000
"""Ids that one statement names."""
_REMOVALS_SHARE = 10
"""Of a sample, every tenth place is for people who were suppressed or deleted, when there are as many."""


@dataclass(frozen=True, slots=True)
class AcceptedPeople:
    """People of a run of whom all was accepted that they were sent: the others are planned again anyway."""

    connection: WarehouseConnection
    run: RunKey
    sent_at: int

    @property
    def _accepted(self) -> sa.Select[Any]:
        plan = sync_plan
        two = sa.select(plan.c.person_id).where(self.run.owns(plan), plan.c.phase == 2)
        return (
            sa.select(plan.c.person_id, plan.c.operation, plan.c.why, plan.c.attributes, plan.c.removals)
            .select_from(plan.join(sync_acks, self.run.sync.same(sync_acks, plan)))
            .where(
                self.run.owns(plan),
                self.run.owns(sync_acks),
                # of a person's two operations the later one, which waits for the first to be accepted
                sa.or_(plan.c.phase == 2, plan.c.person_id.not_in(two)),
            )
        )

    def count(self) -> int:
        """How many there are."""
        return int(self.connection.scalar(sa.select(sa.func.count()).select_from(self._accepted.subquery())))

    def sample(self, number: int) -> list[Expected]:
        """Up to `number` of them, drawn by a hash of run and id; first those who were lost before."""
        identifies = sync_plan.c.operation == "identify"
        removed = self._drawn(sa.not_(identifies), number)
        others = self._drawn(identifies, number)
        if len(removed) + len(others) > number:
            share = max(-(-number // _REMOVALS_SHARE), number - len(others))
            removed = removed[:share]
        return [*removed, *others[: number - len(removed)]]

    def _drawn(self, condition: Column, number: int) -> list[Expected]:
        lot = fn.hash_text(sync_plan.c.person_id.concat(sa.literal(self.run.run_id, sa.String)))
        chosen = self._accepted.where(condition).order_by(
            sa.case((sync_plan.c.why == "unapplied", 0), else_=1), lot
        )
        return [self._expected(row) for row in self.connection.rows(chosen.limit(number))]

    def named(self, people: Collection[str]) -> list[Expected]:
        """Those of them with these ids."""
        found: list[Expected] = []
        for part in parts(people):
            rows = self.connection.rows(self._accepted.where(sync_plan.c.person_id.in_(part)))
            found += [self._expected(row) for row in rows]
        return found

    def _expected(self, row: sa.Row[Any]) -> Expected:
        if row.operation != "identify":
            return Expected(row.person_id, None, self.sent_at)
        attributes = json.loads(row.attributes or "{}", parse_float=Decimal)
        removals = json.loads(f"{{{row.removals or ''}}}")
        return Expected(row.person_id, {**removals, **attributes}, self.sent_at)


def standing_people(
    connection: WarehouseConnection, run: RunKey, people: Collection[str]
) -> Iterator[sa.Row[Any]]:
    """Their planned operation (person_id, operation, attributes_hash, attempts), if the snapshot is still as
    this run left it: what another run sent since is for its own verification.
    """
    plan = sync_plan
    two = sa.select(plan.c.person_id).where(run.owns(plan), plan.c.phase == 2)
    for part in parts(people):
        yield from connection.rows(
            sa.select(
                plan.c.person_id, plan.c.event_id, plan.c.operation, plan.c.attributes_hash, plan.c.attempts
            )
            .select_from(plan.join(synced_people, synced_people.c.person_id == plan.c.person_id))
            .where(
                run.owns(plan),
                plan.c.person_id.in_(part),
                sa.or_(plan.c.phase == 2, plan.c.person_id.not_in(two)),
                run.wrote(synced_people),
            )
        )


def disclaim_people(run: RunKey, rows: Sequence[sa.Row[Any]]) -> list[sa.Executable]:
    """Statements after which the snapshot no longer claims that Customer.io has what these were sent."""
    return [
        synced_people.update()
        .where(run.wrote(synced_people), synced_people.c.person_id.in_(part))
        .values(attributes_hash=UNAPPLIED_HASH)
        for part in parts({row.person_id for row in rows})
    ]


def parts(ids: Collection[str]) -> Iterator[list[str]]:
    """Ids in portions that a statement can name."""
    ordered = sorted(ids)
    for first in range(0, len(ordered), NAMED_AT_ONCE):
        yield ordered[first : first + NAMED_AT_ONCE]
