"""Planned operations that Customer.io would refuse or drop: marked with the fault, and never sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from cio_pipelines.sync.candidates import Mart, is_ahead, is_too_large
from cio_pipelines.sync.state import dead_letters, sync_plan, synced_people
from cio_pipelines.warehouse import json_functions as js

if TYPE_CHECKING:
    from cio_pipelines.sync.planning import Planner

Column = sa.ColumnElement[Any]

_FEW = 20
"""A plan of fewer than one in so many of the mart's people is a small one."""


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
    field = planner.mart.spec.email
    planned = sa.and_(planner.mine, sync_plan.c.operation == "identify", sync_plan.c.fault_field.is_(None))
    sent = int(planner.connection.scalar(sa.select(sa.func.count()).where(planned)))
    if not sent:
        return
    known = sa.union_all(*_everybody_s_addresses(planner)).subquery("known")
    addresses = sa.select(known.c.person_id, known.c.email)
    if planner.people is not None or sent * _FEW < planner.mart_rows():
        # Of a mart of millions only the e-mails about to be sent are counted. On a first sync that would
        # sort out nothing, and hold everybody's address in memory twice.
        own = sa.func.lower(js.text_at(js.json_texts(sync_plan.c.attributes, field), 1))
        addresses = addresses.where(known.c.email.in_(sa.select(own).where(planned)))
    rows = addresses.subquery("rows")
    together = sa.func.count().over(partition_by=rows.c.email).label("people")
    counted = sa.select(rows.c.person_id, together).subquery("counted")
    shared = sa.select(counted.c.person_id).where(counted.c.people > 1)
    _mark(planner, sync_plan.c.person_id.in_(shared), f"attributes.{field}", "shared")


def _everybody_s_addresses(planner: Planner) -> list[sa.Select[Any]]:
    """Queries that together give each living person's e-mail: the latest that is known."""
    mart, whole = planner.mart, planner.mart.beneath or planner.mart
    found = [_addresses(whole)]
    if planner.is_any_direct():
        columns = ("person_id", "state", "attributes", "source_updated_at", "direct")
        direct = planner.state(synced_people, *columns, where=synced_people.c.direct)
        lags = sa.or_(whole.person_id.is_(None), is_ahead(direct, whole.updated_at))
        ahead = (
            sa.select(direct.c.person_id, direct.c.state, direct.c.attributes)
            .select_from(direct.outerjoin(whole.table, whole.person_id == direct.c.person_id))
            .where(lags)
            .subquery("ahead")
        )
        email = sa.func.lower(js.text_at(js.json_texts(ahead.c.attributes, mart.spec.email), 1))
        found = [
            found[0].where(whole.person_id.not_in(sa.select(ahead.c.person_id))),
            sa.select(ahead.c.person_id, email.label("email")).where(
                ahead.c.state == "identified", email != ""
            ),
        ]
    if mart is whole:
        return found
    said = sa.select(mart.person_id)
    others = [each.where(each.selected_columns.person_id.not_in(said)) for each in found]
    return [_addresses(mart), *others]


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
