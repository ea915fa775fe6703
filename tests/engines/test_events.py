"""A life of an event sync, told once and the same on every engine; and ULIDs that all engines make alike."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from ulid import ULID

from cio_pipelines.sandbox import SandboxServer
from cio_pipelines.sync.events.ulids import ulid
from cio_pipelines.sync.letters import DeadLetter
from cio_pipelines.sync.state import accepted_events, open_people, sync_plan
from cio_pipelines.warehouse import functions as fn
from cio_pipelines.warehouse.functions import UtcTimestamp
from tests.events.rig import NOON, EventRig, Ran, day, event

from .rig import EngineRig

MAY = day("2026-05-01", 31)
NEXT_DAY = NOON + timedelta(days=1)
ODD_ID = "ünï/💌 'x\" \\"


def rendered(event_id: str, occurred_at: datetime, sync: str = "events") -> str:
    """The ULID of an event as Python makes it."""
    milliseconds = (occurred_at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    digest = hashlib.md5(f"{sync}/{event_id}".encode()).hexdigest()[:16]
    empty = str(ULID.from_bytes(max(milliseconds, 0).to_bytes(6, "big") + bytes(10)))
    return empty[:10] + digest.upper()


@dataclass
class Life:
    """The runs by name, and what was there when each had ended."""

    rig: EventRig
    runs: dict[str, Ran] = field(default_factory=dict)
    received: dict[str, Counter[tuple[str, str]]] = field(default_factory=dict)
    letters: dict[str, list[DeadLetter]] = field(default_factory=dict)
    waiting: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)

    def run(self, name: str, window: Any, *refused: str) -> None:
        before = self.rig.received()
        self.rig.refuse(*refused)
        self.runs[name] = self.rig.run(window)
        self.rig.refuse()
        self.received[name] = self.rig.received() - before
        self.letters[name] = self.rig.engine().letters()
        self.waiting[name] = self.rig.state(open_people, "event_id", "person_id", "outcome", "attempts")


@pytest.fixture(scope="module")
def life(engine_rig: EngineRig, sandbox_process: SandboxServer) -> Life:
    sandbox_process.set_faults([])
    sandbox_process.reset()
    rig = EventRig(engine_rig.url, sandbox_process, engine_rig.endpoint, workspace="events")
    life = Life(rig)
    with rig.warehouse.session():
        rig.make_mart(
            event("all", amount=Decimal("12.5000"), ratio=0.1, shipped_at=NEXT_DAY),
            event("fraction", occurred_at=NOON + timedelta(microseconds=999_999)),
            event(ODD_ID, person_id=ODD_ID, name="ordered „x“"),
            event("next", occurred_at=NEXT_DAY),
            event("old", occurred_at=datetime(1969, 12, 31, 23, 59, 58, tzinfo=UTC)),
            event("refused", person_id="bob"),
            event("once", person_id="cyd"),
            event("nobody", person_id=None),
            event("nameless", name=" "),
            event("long id", person_id="é" * 76),
            event("long name", name="n" * 101),
            event("huge", order_id="x" * 32_000),
            event("no number", ratio=float("nan")),
            event("timeless", occurred_at=None),
        )
        life.run("day", day("2026-05-20"), "bob", "cyd")
        life.run("again", day("2026-05-20"), "bob")
        life.run("elsewhere", day("2001-01-01"), "bob")
        rig.change("all", amount=Decimal(1))
        rig.change("fraction", occurred_at=NEXT_DAY)
        rig.change("long name", name="shorter")
        life.run("month", MAY)
        assert rig.engine().replay(["refused", "unknown"]) == 1
        life.run("replay", day("2001-01-01"))
        life.run("full", day("1969-01-01", 365 * 100))
    return life


def test_an_event_arrives_as_its_row_says(life: Life) -> None:
    told = {
        each["data"]["order_id"]: (each["customer_id"], each["name"], each["timestamp"], each["data"])
        for each in life.rig.events()
    }
    data = {"order_id": "all", "amount": 12.5, "ratio": 0.1, "shipped_at": int(NEXT_DAY.timestamp())}

    assert told["all"] == ("ada", "order_placed", int(NOON.timestamp()), data)
    assert told[ODD_ID] == (ODD_ID, "ordered „x“", int(NOON.timestamp()), {"order_id": ODD_ID})
    assert told["fraction"][2] == int(NOON.timestamp())
    assert told["old"][2] == -2


def test_an_operation_has_the_ulid_that_python_makes_of_its_event(life: Life) -> None:
    payloads = dict(life.rig.state(sync_plan, "event_id", "attributes"))
    moments = {"next": NEXT_DAY, "old": datetime(1969, 12, 31, tzinfo=UTC), ODD_ID: NOON}

    for event_id, occurred_at in moments.items():
        operation = json.loads(payloads[event_id])
        assert list(operation) == ["type", "action", "identifiers", "name", "id", "timestamp", "attributes"]
        assert operation["id"] == rendered(event_id, occurred_at)


def test_what_customer_io_would_refuse_is_quarantined_with_the_reason(life: Life) -> None:
    letters = {letter.event_id: (letter.kind, letter.field, letter.reason) for letter in life.letters["day"]}

    assert letters == {
        "nobody": ("quarantined", "identifiers.id", "required"),
        "nameless": ("quarantined", "name", "required"),
        "long id": ("quarantined", "identifiers.id", "too_long"),
        "long name": ("quarantined", "name", "too_long"),
        "huge": ("quarantined", "operation", "too_long"),
        "no number": ("quarantined", "attributes.ratio", "invalid"),
    }
    assert life.runs["day"].plan.quarantined_events == 6


def test_the_first_run_sends_the_events_of_its_day(life: Life) -> None:
    run = life.runs["day"]

    assert (run.plan.extracted, run.plan.planned, run.plan.late) == (11, 11, 5)
    assert (run.outcomes.accepted, run.outcomes.rejected, run.outcomes.quarantined) == (3, 2, 6)
    assert life.waiting["day"] == [("once", "cyd", "rejected", 1), ("refused", "bob", "rejected", 1)]


def test_accepted_events_are_not_sent_again_and_refused_ones_are(life: Life) -> None:
    again = life.runs["again"]

    assert (again.plan.accepted_before, again.plan.left_alone, again.plan.planned) == (3, 6, 2)
    assert life.received["again"] == Counter({("cyd", "accepted"): 1, ("bob", "rejected"): 1})


def test_the_third_refusal_makes_a_dead_letter_whatever_the_window(life: Life) -> None:
    elsewhere = life.runs["elsewhere"]
    dead = [letter for letter in life.letters["elsewhere"] if letter.kind == "rejected"]

    assert (elsewhere.plan.extracted, elsewhere.plan.planned) == (1, 1)
    assert [(letter.event_id, letter.person_id, letter.attempts) for letter in dead] == [
        ("refused", "bob", 3)
    ]
    assert life.waiting["elsewhere"] == []


def test_a_row_that_changed_after_its_event_was_accepted_is_counted_and_not_sent(life: Life) -> None:
    month = life.runs["month"].plan

    assert (month.altered, month.accepted_before) == (2, 4)
    assert month.planned == 2  # that of the next day, and the one whose name is shorter now
    assert life.received["month"] == Counter({("ada", "accepted"): 2})


def test_a_replayed_letter_is_sent_whatever_the_window(life: Life) -> None:
    assert life.received["replay"] == Counter({("bob", "accepted"): 1})
    assert "refused" not in {letter.event_id for letter in life.letters["replay"]}


def test_of_a_long_time_each_event_is_sent_once(life: Life) -> None:
    full = life.runs["full"]

    assert life.received["full"] == Counter({("ada", "accepted"): 1})  # the old one
    assert (full.plan.accepted_before, full.plan.left_alone, full.plan.planned) == (7, 5, 1)
    names = Counter(each["data"]["order_id"] for each in life.rig.events())
    assert names == Counter(["all", "fraction", ODD_ID, "next", "old", "refused", "once", "long name"])


def test_what_was_accepted_is_remembered_by_the_day_on_which_it_happened(life: Life) -> None:
    remembered = dict(life.rig.state(accepted_events, "event_id", "occurred_on"))

    assert remembered == {
        **dict.fromkeys(("all", "fraction", ODD_ID, "refused", "once", "long name"), NOON.date()),
        "next": NEXT_DAY.date(),
        "old": date(1969, 12, 31),
    }


MOMENTS = [
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(1970, 1, 1, 0, 0, 0, 1000, tzinfo=UTC),
    datetime(2026, 5, 20, 12, 34, 56, 789_999, tzinfo=UTC),
    datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC),
    datetime(9998, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
    datetime(1901, 1, 1, tzinfo=UTC),
]


def test_ulids_are_those_that_python_makes_and_have_the_shape_that_a_library_reads(
    engine_rig: EngineRig,
) -> None:
    ids = ["", "o/1", "o/2", "ü💌", "x" * 500, "o'brien \\"]
    rows = [
        sa.select(
            sa.literal(n).label("n"),
            sa.literal(event_id).label("id"),
            sa.literal(at, UtcTimestamp).label("at"),
        )
        for n, (event_id, at) in enumerate(zip(ids, MOMENTS, strict=True))
    ]
    told = sa.union_all(*rows).subquery("told")
    made = sa.select(told.c.n, ulid(fn.unix_milliseconds(told.c.at), "events", told.c.id)).order_by(told.c.n)

    with engine_rig.warehouse.connect() as connection:
        found = [row[1] for row in connection.rows(made)]

    assert found == [rendered(event_id, at) for event_id, at in zip(ids, MOMENTS, strict=True)]
    for text, at in zip(found, MOMENTS, strict=True):
        assert str(ULID.from_str(text)) == text
        milliseconds = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
        assert ULID.from_str(text).milliseconds == max(milliseconds, 0)
