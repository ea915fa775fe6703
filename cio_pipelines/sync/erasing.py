"""Deciding whom to erase: everybody with a tombstone, suppressed and then deleted."""

from __future__ import annotations

import sqlalchemy as sa

from cio_pipelines.customerio.limits import PERSON_ID_BYTES
from cio_pipelines.sync.candidates import PERSON_ID_FIELD, is_ahead
from cio_pipelines.sync.planning import BLOCKED, Planner, is_open
from cio_pipelines.sync.state import ERASURE_HASH, UNAPPLIED_HASH, dead_letters, open_people, synced_people
from cio_pipelines.warehouse import functions as fn


def plan_erasures(planner: Planner) -> int:
    """Plan suppress, then delete, for everybody with a tombstone; returns how many are left alone.

    The identifier is blocked first, so that a late write from elsewhere cannot bring the profile back.
    """
    mart, state = planner.mart, planner.state
    columns = mart.person_id.label("person_id"), mart.said_at.label("said_at")
    rows = sa.select(*columns).select_from(mart.table).where(mart.deleted_at.is_not(None)).subquery("m")
    snapshot = state(synced_people, "person_id", "state", "attributes_hash", "source_updated_at", "direct")
    waiting = state(
        open_people,
        *("person_id", "operation", "attempts"),
        where=open_people.c.attributes_hash == ERASURE_HASH,
    )
    dead = state(dead_letters, "person_id", where=dead_letters.c.attributes_hash == ERASURE_HASH)
    not_erased = sa.func.coalesce(is_open(snapshot, "deleted"), sa.true())
    not_blocked = sa.func.coalesce(is_open(snapshot, *BLOCKED), sa.true())
    is_again = sa.and_(snapshot.c.state == "deleted", snapshot.c.attributes_hash == UNAPPLIED_HASH)
    is_empty = rows.c.person_id == ""
    is_bad = sa.or_(is_empty, fn.byte_length(rows.c.person_id) > PERSON_ID_BYTES)
    no_text = sa.cast(sa.null(), sa.String)
    for operation, phase, needed in (("suppress", 1, not_blocked), ("delete", 2, not_erased)):
        same = sa.and_(waiting.c.person_id == rows.c.person_id, waiting.c.operation == operation)
        joined = (
            rows.outerjoin(snapshot, snapshot.c.person_id == rows.c.person_id)
            .outerjoin(dead, dead.c.person_id == rows.c.person_id)
            .outerjoin(waiting, same)
        )
        planner.insert(
            sa.select(
                *planner.run_columns(),
                rows.c.person_id,
                sa.literal(operation).label("operation"),
                sa.literal(phase).label("phase"),
                sa.case((is_again, "unapplied"), else_="tombstone").label("why"),
                no_text.label("attributes"),
                no_text.label("removals"),
                sa.literal(ERASURE_HASH).label("attributes_hash"),
                rows.c.said_at.label("source_updated_at"),
                sa.func.coalesce(waiting.c.attempts, 0).label("attempts"),
                sa.case((is_bad, PERSON_ID_FIELD)).label("fault_field"),
                sa.case((is_empty, "required"), (is_bad, "too_long")).label("fault_reason"),
                planner.now().label("planned_at"),
            )
            .select_from(joined)
            .where(needed, dead.c.person_id.is_(None), sa.not_(is_ahead(snapshot, rows.c.said_at)))
        )
    left_alone = rows.join(dead, dead.c.person_id == rows.c.person_id)
    people = sa.select(sa.func.count(sa.distinct(rows.c.person_id))).select_from(left_alone)
    return int(planner.connection.scalar(people))
