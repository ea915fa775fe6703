"""Conditions that tell an engine, before it reads anything, which partitions of a table it can leave out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa

MOST_SPANS = 100
"""Days in more separate spans than this are asked for as one, from the first to the last."""


def on_days(column: sa.ColumnElement[Any], days: Iterable[date]) -> sa.ColumnElement[bool]:
    """Whether a column of dates is one of some days, said with constants only; with no days it never is."""
    spans: list[tuple[date, date]] = []
    for day in sorted(set(days)):
        if spans and day - spans[-1][1] == timedelta(days=1):
            spans[-1] = (spans[-1][0], day)
        else:
            spans.append((day, day))
    if len(spans) > MOST_SPANS:
        spans = [(spans[0][0], spans[-1][1])]
    if not spans:
        return sa.false()
    outer = [column >= sa.literal(spans[0][0]), column <= sa.literal(spans[-1][1])]
    if len(spans) == 1:
        return sa.and_(*outer)
    inner = (sa.and_(column >= sa.literal(first), column <= sa.literal(last)) for first, last in spans)
    return sa.and_(*outer, sa.or_(*inner))
