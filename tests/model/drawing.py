"""What histories are drawn from: people, values, moments, windows and faults."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from cio_pipelines.sync.windows import FULL, Window

WHO = (*(f"p{number}" for number in range(8)), "long-" + "x" * 150)
DAY = datetime(2026, 5, 1)  # noqa: DTZ001  # as the mart has it: UTC, without a zone
MOMENTS = (
    *(DAY + timedelta(days=day, hours=hour) for day in range(3) for hour in (0, 12)),
    DAY + timedelta(days=1, seconds=-1),
    None,
)
TYPES = {
    "email": "varchar",
    "first_name": "varchar",
    "plan": "varchar",
    "seats": "integer",
    "city": "varchar",
}
FIRST_COLUMNS = ("email", "first_name", "plan")
VALUES: dict[str, Sequence[Any]] = {
    "email": (None, "", "a@example.com", "A@example.com", "b@example.com", "c@example.com", "d@example.com"),
    "first_name": (None, "Ann", "Bob", "x" * 1_001),
    "plan": (None, "free", "pro", 'q"\\'),
    "seats": (None, 0, 7),
    "city": (None, "Oslo", "Ürümqi"),
}
PATH = "/api/v2/batch"

people = st.sampled_from(WHO)
some = st.sets(people, min_size=1, max_size=4)
attributes = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in VALUES.items()})
days = st.integers(-1, 3)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    """Any day, a range of days, or everything."""
    first = draw(days)
    length = draw(st.sampled_from((0, 0, 1, 1, 2, 3)))
    start = (DAY + timedelta(days=first)).replace(tzinfo=UTC)
    return Window(start, start + timedelta(days=length)) if length else FULL


@st.composite
def fault_plans(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Nothing, refused people, bodies without an answer, or a push that is stopped, and pairs of those."""
    refused = {"kind": "reject", "ids": sorted(draw(some)), "path": PATH}
    count, after = draw(st.sampled_from((1, 3, 6, 12))), draw(st.integers(0, 3))
    status = draw(st.sampled_from((429, 500, 503, 401)))
    failing = {"kind": "status", "status": status, "path": PATH, "count": count, "after": after}
    broken = {
        "kind": draw(st.sampled_from(("reset", "reset_after", "truncate"))),
        "path": PATH,
        "count": count,
        "after": after,
    }
    choices: list[list[dict[str, Any]]] = [
        [],
        [],
        [refused],
        [refused],
        [failing],
        [broken],
        [refused, failing],
    ]
    return draw(st.sampled_from(choices))
