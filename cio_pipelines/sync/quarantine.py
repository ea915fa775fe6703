"""Planned operations that Customer.io would refuse or drop: marked with the fault, and never sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from cio_pipelines.sync.candidates import Mart, is_too_large
from cio_pipelines.sync.state import dead_letters, sync_plan

if TYPE_CHECKING:
    from cio_pipelines.sync.planning import Planner

Column = sa.ColumnElement[Any]


def quarantine(planner: Planner, *, shared_emails_conflict: bool) -> int:
    """Mark what no single column shows; faults of columns are marked already.

    Returns:
        How many people are left alone, being as wrong as when they were dead-lettered.
    """
    _mark(planner, is_too_large(sync_plan, planner.timestamp), "operation", "too_long")
    email = planner.mart.mapping.kinds.get(planner.mart.spec.email)
    if shared_emails_conflict and email is not None and email.name == "text":
        _mark_shared_emails(planner)
    return _drop_known(planner)


def _mark(planner: Planner, condition: Column, field: str, reason: str) -> None:
    """Quarantine planned identifies that satisfy a condition."""
    planner.connection.execute(
        sync_plan.update()
        .where(
            planner.mine,
            sync_plan.c.operation == "identify",
            sync_plan.c.fault_field.is_(None),
            condition,
        )
        .values(fault_field=field, fault_reason=reason)
    )


def _mark_shared_emails(planner: Planner) -> None:
    """Customer.io would silently drop one of two people with one e-mail, in any letter case."""
    planned = sa.and_(planner.mine, sync_plan.c.operation == "identify", sync_plan.c.fault_field.is_(None))
    if not planner.connection.scalar(sa.select(sa.func.count()).where(planned)):
        return
    mart = planner.mart

    def addresses(name: str) -> sa.Subquery:
        if mart.beneath is None:
            return _addresses(mart).subquery(name)
        others = mart.beneath.person_id.not_in(sa.select(mart.person_id))
        return sa.union_all(_addresses(mart), _addresses(mart.beneath).where(others)).subquery(name)

    senders = sa.select(sync_plan.c.person_id).where(planned)
    own, all_, theirs = addresses("own"), addresses("everybody_s"), addresses("theirs")
    # Only e-mails about to be sent are counted: few on most days, of a mart of millions.
    sent = sa.select(own.c.email).where(own.c.person_id.in_(senders))
    shared = (
        sa.select(all_.c.email)
        .where(all_.c.email.in_(sent))
        .group_by(all_.c.email)
        .having(sa.func.count() > 1)
    )
    people = sa.select(theirs.c.person_id).where(theirs.c.email.in_(shared))
    _mark(planner, sync_plan.c.person_id.in_(people), f"attributes.{mart.spec.email}", "shared")


def _addresses(mart: Mart) -> sa.Select[Any]:
    """Living people of a mart and their e-mails."""
    email = sa.func.lower(sa.cast(mart.table.c[mart.spec.email], sa.String))
    return (
        sa.select(mart.person_id.label("person_id"), email.label("email"))
        .select_from(mart.table)
        .where(mart.deleted_at.is_(None), email != "")
    )


def _drop_known(planner: Planner) -> int:
    """Rows that are still as wrong as when they were dead-lettered need no second letter."""
    known = planner.state(
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
    return planner.delete(sa.and_(planner.mine, sync_plan.c.fault_field.is_not(None), same))
