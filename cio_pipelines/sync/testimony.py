"""The statements that compare the snapshot with an export.

Attributes are compared as Customer.io gives them back, as text: strings as they are, all else as JSON text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from cio_pipelines.exports.tables import DATASETS
from cio_pipelines.sync.key import SyncKey
from cio_pipelines.sync.mapping import UNSUBSCRIBED
from cio_pipelines.sync.state import synced_people
from cio_pipelines.sync.testimony_tables import (
    ABSENT,
    DIFFERING,
    LEFT_OVER,
    NESTED,
    PRESENT,
    differences,
    value_column,
    witnessed,
)
from cio_pipelines.sync.witness_reports import AGREED, MISSING, PENDING, REMOVED, STILL_THERE
from cio_pipelines.warehouse import conversions
from cio_pipelines.warehouse import json_functions as js
from cio_pipelines.warehouse.functions import UtcTimestamp

Column = sa.ColumnElement[Any]

PEOPLE, ATTRIBUTES = "people", "attributes"
people, attributes = DATASETS[PEOPLE].table, DATASETS[ATTRIBUTES].table

_EMAIL = "email"


def extents() -> sa.Select[Any]:
    """By workspace of the export: the newest change in its people, and when a row was loaded last."""
    return sa.select(
        people.c.workspace_id,
        sa.func.max(people.c.updated_at).label("changed_at"),
        sa.func.max(people.c.loaded_at).label("loaded_at"),
    ).group_by(people.c.workspace_id)


def newest_attribute(workspace_id: int) -> sa.Select[Any]:
    """The newest moment at which an attribute was set."""
    return sa.select(sa.func.max(attributes.c.timestamp)).where(attributes.c.workspace_id == workspace_id)


def names_there(workspace_id: int, names: Sequence[str]) -> sa.Select[Any]:
    """Which of some attributes the export has of anybody."""
    return (
        sa.select(attributes.c.attribute_name)
        .where(attributes.c.workspace_id == workspace_id, attributes.c.attribute_name.in_(names))
        .distinct()
    )


@dataclass(frozen=True, slots=True)
class Testimony:
    """Compares the snapshot of `key` with the people of an export's workspace, as of `known_until` (UTC)."""

    key: SyncKey
    workspace_id: int
    known_until: datetime

    def judge(self) -> sa.Insert:
        """A verdict on each person of the snapshot into `witnessed`; those to compare are `present`."""
        there, ours = self._there(), synced_people
        is_live = sa.func.coalesce(there.c.is_live, sa.false())
        is_older = sa.or_(there.c.created_at.is_(None), there.c.created_at <= ours.c.synced_at)
        verdict = sa.case(
            (ours.c.synced_at > sa.literal(self.known_until, UtcTimestamp), PENDING),
            (sa.and_(ours.c.state == "identified", is_live), PRESENT),
            (sa.and_(ours.c.state == "identified", there.c.customer_id.is_not(None)), REMOVED),
            (ours.c.state == "identified", MISSING),
            # whoever was made after we deleted is somebody else
            (sa.and_(is_live, is_older), STILL_THERE),
            else_=AGREED,
        )
        rows = (
            sa.select(
                ours.c.person_id,
                there.c.internal_customer_id,
                there.c.email_addr,
                ours.c.synced_at,
                verdict,
            )
            .select_from(ours.outerjoin(there, there.c.customer_id == ours.c.person_id))
            .where(self.key.owns(ours))
        )
        return witnessed.insert().from_select([column.name for column in witnessed.columns], rows)

    def _there(self) -> sa.Subquery:
        """One row an id of the export: the person who lives, else the one who changed last."""
        gone = sa.or_(
            sa.func.coalesce(people.c.deleted, sa.false()), sa.func.coalesce(people.c.suppressed, sa.false())
        )
        order = [
            sa.case((gone, 1), else_=0),
            people.c.updated_at.desc().nulls_last(),
            people.c.internal_customer_id,
        ]
        place = sa.func.row_number().over(partition_by=people.c.customer_id, order_by=order)
        ranked = (
            sa.select(people, sa.not_(gone).label("is_live"), place.label("place"))
            .where(people.c.workspace_id == self.workspace_id, people.c.customer_id.is_not(None))
            .subquery("ranked_people")
        )
        return sa.select(ranked).where(ranked.c.place == 1).subquery("there")

    def strangers(self) -> sa.Select[Any]:
        """How many live people of the export are not in the snapshot."""
        known = sa.select(synced_people.c.person_id).where(
            self.key.owns(synced_people), synced_people.c.person_id == people.c.customer_id
        )
        return sa.select(sa.func.count()).where(
            people.c.workspace_id == self.workspace_id,
            sa.not_(sa.func.coalesce(people.c.deleted, sa.false())),
            sa.not_(sa.func.coalesce(people.c.suppressed, sa.false())),
            sa.not_(known.exists()),
        )

    def unfold(self, values: sa.Table, names: Sequence[str]) -> sa.Insert:
        """What was accepted of attributes, a column each, into a table of `accepted_values`."""
        members = js.json_members(synced_people.c.attributes, *names).label("members")
        read = (
            sa.select(witnessed, members)
            .select_from(witnessed.join(synced_people, synced_people.c.person_id == witnessed.c.person_id))
            .where(self.key.owns(synced_people), witnessed.c.verdict == PRESENT)
            .cte("read_attributes")
        )
        # an empty string removes an attribute
        texts = [
            sa.func.nullif(sa.cast(js.text_at(read.c.members, position), sa.String), '""')
            for position in range(1, len(names) + 1)
        ]
        rows = sa.select(
            read.c.person_id, read.c.internal_customer_id, read.c.email, read.c.synced_at, *texts
        )
        return values.insert().from_select([column.name for column in values.columns], rows)

    def compare(self, values: sa.Table, names: Mapping[int, str]) -> sa.Insert:
        """What differs in attributes into `differences`; nested values whose texts differ as `nested`.

        `names` says which column of `values` holds which attribute, by its position.
        """
        there = attributes.c
        theirs = (
            sa.select(attributes)
            .where(there.workspace_id == self.workspace_id, there.attribute_name.in_(list(names.values())))
            .subquery("theirs")
        )
        ours = sa.union_all(*(_one(values, position, name) for position, name in names.items()))
        pairs = ours.subquery("ours")
        joined = pairs.outerjoin(
            theirs,
            sa.and_(
                theirs.c.internal_customer_id == pairs.c.internal_customer_id,
                theirs.c.attribute_name == pairs.c.attribute,
            ),
        )
        found = sa.func.nullif(sa.func.coalesce(theirs.c.attribute_value, pairs.c.besides), "")
        is_later = sa.func.coalesce(theirs.c.timestamp > pairs.c.synced_at, sa.false())
        compared = (
            sa.select(
                pairs.c.person_id,
                pairs.c.attribute,
                _difference(pairs.c.attribute, pairs.c.accepted, found).label("what"),
                is_later.label("is_later"),
                pairs.c.accepted,
                found.label("found"),
            )
            .select_from(joined)
            .subquery("compared")
        )
        is_nested = compared.c.what == NESTED
        rows = sa.select(
            compared.c.person_id,
            compared.c.attribute,
            compared.c.what,
            compared.c.is_later,
            sa.case((is_nested, compared.c.accepted)),
            sa.case((is_nested, compared.c.found)),
        ).where(compared.c.what.is_not(None))
        return differences.insert().from_select([column.name for column in differences.columns], rows)


def _one(values: sa.Table, position: int, name: str) -> sa.Select[Any]:
    """One attribute of everybody. `besides` is where else the export may have it."""
    return sa.select(
        values.c.person_id,
        values.c.internal_customer_id,
        values.c.synced_at,
        sa.literal(name).label("attribute"),
        values.c[value_column(position)].label("accepted"),
        (values.c.email if name == _EMAIL else sa.cast(sa.null(), sa.String)).label("besides"),
    )


def _difference(attribute: Column, accepted: Column, found: Column) -> Column:
    """How a value differs, NULL when it does not."""
    text = js.text_of_json(accepted)
    # Customer.io's own rule: anything but these is subscribed, and so is absence
    same_consent = _is_unsubscribed(text) == _is_unsubscribed(found)
    # what is no number is NULL and equals nothing; the JSON text of a string has quotes
    same_number = conversions.number_of_text(accepted) == conversions.number_of_text(found)
    same_flag = sa.and_(accepted.in_(["true", "false"]), accepted == sa.func.lower(found))
    same_address = sa.and_(attribute == _EMAIL, sa.func.lower(text) == sa.func.lower(found))
    nothing = sa.cast(sa.null(), sa.String)
    return sa.case(
        (sa.and_(accepted.is_(None), found.is_(None)), nothing),
        (sa.and_(attribute == UNSUBSCRIBED, same_consent), nothing),
        (accepted.is_(None), LEFT_OVER),
        (found.is_(None), ABSENT),
        (sa.or_(text == found, same_number, same_flag, same_address), nothing),
        (sa.or_(accepted.like("{%"), accepted.like("[%")), NESTED),
        else_=DIFFERING,
    )


def _is_unsubscribed(text: Column) -> Column:
    return sa.func.coalesce(sa.func.lower(text).in_(["true", "1"]), sa.false())
