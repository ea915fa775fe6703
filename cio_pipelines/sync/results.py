"""What became of the people of a direct run, each of them, from its ledger."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from cio_pipelines.sync.key import RunKey
from cio_pipelines.sync.state import sync_acks, sync_log, sync_plan
from cio_pipelines.warehouse import WarehouseConnection

Outcome = Literal["accepted", "rejected", "quarantined", "due", "unchanged", "outdated", "withheld"]


@dataclass(frozen=True, slots=True)
class UserOutcome:
    """What became of one person.

    Attributes:
        person_id: as the mart writes it.
        outcome: `accepted` by Customer.io, or `rejected` by it; `quarantined`: not sent, since it would be
            refused or dropped; `due`: not answered; `unchanged`: Customer.io has it already; `outdated`: the
            mart or the snapshot knows something newer; `withheld`: the mart says that the person opted out of
            everything and the call does not, so the scheduled sync, which has guards, is to suppress them.
        run_id: of the run, for `cio runs` and the log.
        operations: what was planned, in order.
        field, reason: why it was rejected or quarantined, as Customer.io names them.
        message: of Customer.io on a rejection, or what ended the run while the person was due.
    """

    person_id: str
    outcome: Outcome
    run_id: str
    operations: tuple[str, ...] = ()
    field: str | None = None
    reason: str | None = None
    message: str | None = None


def outcomes_of(
    connection: WarehouseConnection, run: RunKey, people: Collection[str], ended_by: str | None
) -> dict[str, UserOutcome]:
    """The outcome of each person of a run; of whom nothing was planned it is `unchanged`."""
    plan, key = sync_plan, run.sync
    acks = sa.select(sync_acks).where(run.owns(sync_acks)).subquery("acks")
    refused = (
        sa.select(sync_log).where(run.owns(sync_log), sync_log.c.entry == "rejected").subquery("refused")
    )
    rows = connection.rows(
        sa.select(
            plan.c.person_id,
            plan.c.operation,
            acks.c.phase.is_not(None).label("is_accepted"),
            refused.c.phase.is_not(None).label("is_rejected"),
            sa.func.coalesce(plan.c.fault_field, refused.c.field).label("field"),
            sa.func.coalesce(plan.c.fault_reason, refused.c.reason).label("reason"),
            plan.c.fault_field.is_not(None).label("is_quarantined"),
            refused.c.message,
        )
        .select_from(plan.outerjoin(acks, key.same(acks, plan)).outerjoin(refused, key.same(refused, plan)))
        .where(run.owns(plan))
        .order_by(plan.c.person_id, plan.c.phase)
    )
    by_person: dict[str, list[sa.Row[Any]]] = {}
    for row in rows:
        by_person.setdefault(row.person_id, []).append(row)
    return {person: _outcome(person, run.run_id, by_person.get(person, []), ended_by) for person in people}


def _outcome(person: str, run_id: str, rows: list[sa.Row[Any]], ended_by: str | None) -> UserOutcome:
    operations = tuple(row.operation for row in rows)
    at_fault = next((row for row in rows if row.is_quarantined or row.is_rejected), None)
    if at_fault is not None:
        outcome: Outcome = "quarantined" if at_fault.is_quarantined else "rejected"
        return UserOutcome(
            person, outcome, run_id, operations, at_fault.field, at_fault.reason, at_fault.message
        )
    if not rows:
        return UserOutcome(person, "unchanged", run_id)
    if all(row.is_accepted for row in rows):
        return UserOutcome(person, "accepted", run_id, operations)
    return UserOutcome(person, "due", run_id, operations, message=ended_by)
