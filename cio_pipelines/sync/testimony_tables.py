"""The tables through which a comparison of the snapshot with an export passes its rows, and what is read of
them in the end.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from cio_pipelines.sync.witness_reports import AGREED, DIFFERENT, OVERWRITTEN
from cio_pipelines.warehouse.functions import UtcTimestamp

Column = sa.ColumnElement[Any]

PRESENT = "present"
"""Verdict on people whose attributes are still to be compared."""

DIFFERING, ABSENT, LEFT_OVER, NESTED = "differing", "absent", "left_over", "nested"
"""How an attribute differs; NESTED: by its text, which is still to be read as JSON."""

_temporary = sa.MetaData()

witnessed = sa.Table(
    "witnessed_people",
    _temporary,
    sa.Column("person_id", sa.String),
    sa.Column("internal_customer_id", sa.String),
    sa.Column("email", sa.String),
    sa.Column("synced_at", UtcTimestamp),
    sa.Column("verdict", sa.String),
    prefixes=["TEMPORARY"],
)

differences = sa.Table(
    "witnessed_differences",
    _temporary,
    sa.Column("person_id", sa.String),
    sa.Column("attribute", sa.String),
    sa.Column("what", sa.String),
    sa.Column("is_later", sa.Boolean),
    # both texts of a nested value, until they are compared
    sa.Column("accepted", sa.String),
    sa.Column("found", sa.String),
    prefixes=["TEMPORARY"],
)

alike = sa.Table(
    "witnessed_alike",
    _temporary,
    sa.Column("person_id", sa.String),
    sa.Column("attribute", sa.String),
    prefixes=["TEMPORARY"],
)


def accepted_values(number: int) -> sa.Table:
    """A table with a column for each of some attributes, as JSON texts."""
    return sa.Table(
        "accepted_values",
        sa.MetaData(),
        *(sa.Column(c.name, c.type) for c in witnessed.columns if c.name != "verdict"),
        *(sa.Column(value_column(position), sa.String) for position in range(number)),
        prefixes=["TEMPORARY"],
    )


def value_column(position: int) -> str:
    """Name of the column that has an attribute, by its position from 0."""
    return f"value_{position}"


def nested(after: tuple[str, str], limit: int) -> sa.Select[Any]:
    """Nested values whose texts differ, in the order of person and attribute, behind a place in it."""
    rows, (person_id, attribute) = differences.c, after
    behind = sa.or_(
        rows.person_id > person_id, sa.and_(rows.person_id == person_id, rows.attribute > attribute)
    )
    return (
        sa.select(rows.person_id, rows.attribute, rows.accepted, rows.found)
        .where(rows.what == NESTED, behind)
        .order_by(rows.person_id, rows.attribute)
        .limit(limit)
    )


def forget_alike() -> sa.Delete:
    """Differences that are none."""
    same = sa.select(alike.c.person_id).where(
        alike.c.person_id == differences.c.person_id, alike.c.attribute == differences.c.attribute
    )
    return differences.delete().where(same.exists())


def by_attribute() -> sa.Select[Any]:
    """People by attribute and by how it differs; `nested` is differing."""
    rows = differences.c

    def people_in_whom(*conditions: Column) -> Column:
        return sa.func.count(sa.case((sa.and_(*conditions), 1)))

    return (
        sa.select(
            rows.attribute,
            people_in_whom(sa.not_(rows.is_later), rows.what.in_([DIFFERING, NESTED])).label("differing"),
            people_in_whom(sa.not_(rows.is_later), rows.what == ABSENT).label("absent"),
            people_in_whom(sa.not_(rows.is_later), rows.what == LEFT_OVER).label("left_over"),
            people_in_whom(rows.is_later).label("overwritten"),
        )
        .group_by(rows.attribute)
        .order_by(rows.attribute)
    )


def verdicts() -> sa.Select[Any]:
    """`person_id` and `verdict` of everybody in the snapshot."""
    rows = differences.c
    firm = sa.func.max(sa.case((rows.is_later, 0), else_=1)).label("firm")
    differ = sa.select(rows.person_id, firm).group_by(rows.person_id).subquery("differ")
    verdict = sa.case(
        (witnessed.c.verdict != PRESENT, witnessed.c.verdict),
        (differ.c.firm == 1, DIFFERENT),
        (differ.c.firm == 0, OVERWRITTEN),
        else_=AGREED,
    )
    joined = witnessed.outerjoin(differ, differ.c.person_id == witnessed.c.person_id)
    return sa.select(witnessed.c.person_id, verdict.label("verdict")).select_from(joined)
