"""Events that Customer.io accepts and loses are found, named, and sent again with the id that they had."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cio_pipelines.sandbox import SandboxServer
from cio_pipelines.sync.key import SyncKey
from cio_pipelines.sync.specs import EVENTS
from cio_pipelines.verification.engine import Verifier
from cio_pipelines.verification.reports import Verification, VerificationSettings
from tests.events.rig import EventRig, day, event

from .rig import app

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def events(tmp_path: Path, sandbox: SandboxServer) -> Iterator[EventRig]:
    rig = EventRig(f"duckdb:///{tmp_path / 'warehouse.duckdb'}", sandbox)
    with rig.warehouse.session():
        yield rig


def verify(rig: EventRig, run_id: str) -> Verification:
    key = SyncKey(rig.workspace, EVENTS.name, subject="event_id")
    settings = VerificationSettings(wait_seconds=0)
    return Verifier(rig.warehouse, key, settings, lambda: app(rig.sandbox)).verify(run_id)


@contextmanager
def lossy(rig: EventRig, **fault: Any) -> Iterator[None]:
    """A sandbox that accepts and does not apply."""
    rig.sandbox.set_faults([{"kind": "unapplied", **fault}])
    yield
    rig.sandbox.set_faults([])


def placed(number: int, person: str = "ada", **values: object) -> dict[str, object]:
    return event(f"o{number}", person_id=person, occurred_at=NOW - timedelta(minutes=number), **values)


def test_events_that_arrived_are_verified(events: EventRig) -> None:
    events.make_mart(*(placed(n, f"p{n % 3}", amount=n) for n in range(9)))
    ran = events.run()

    found = verify(events, ran.run_id)

    read = found.read_back
    assert (found.verdict, found.accepted, read.sampled, read.agreed) == ("verified", 9, 9, 9)


@pytest.mark.parametrize("trace", [False, True], ids=["silent", "traced"])
def test_a_lost_event_is_named_and_sent_again_by_a_run_of_another_day(events: EventRig, trace: bool) -> None:
    events.make_mart(placed(1, amount=5), placed(2, amount=5), placed(3, "bob"))
    with lossy(events, ids=["ada"], count=1, trace=trace):
        ran = events.run()
    [kept] = [each["data"]["order_id"] for each in events.events() if each["customer_id"] == "ada"]
    lost = ({"o1", "o2"} - {kept}).pop()

    found = verify(events, ran.run_id)

    [difference] = found.differences
    assert (difference.person_id, difference.event_id, difference.kind) == ("ada", lost, "event_missing")
    assert difference.reason == ("failed_event" if trace else "")
    assert events.engine().outcomes(ran.run_id).complete
    healed = events.run(day("2001-01-01"))
    assert events.engine().summary(healed.run_id).whys == {"unapplied": 1}
    assert {each["data"]["order_id"] for each in events.events()} == {"o1", "o2", "o3"}
    assert verify(events, healed.run_id).verdict == "verified"
    assert events.run().plan.planned == 0


def test_an_event_that_is_lost_again_and_again_becomes_a_dead_letter(events: EventRig) -> None:
    events.make_mart(placed(1))
    with lossy(events, ids=["ada"]):
        settled = [verify(events, events.run().run_id).settled for _ in range(3)]

    assert [(each.resent, each.dead_lettered) for each in settled] == [(1, 0), (1, 0), (0, 1)]
    assert events.run().plan.left_alone == 1
    assert events.engine().replay(["o1"]) == 1
    assert events.run().outcomes.accepted == 1
    assert len(events.events()) == 1


def test_events_older_than_customer_io_shows_are_not_called_lost(events: EventRig) -> None:
    events.make_mart(placed(1), event("old", occurred_at=NOW - timedelta(days=60)))
    with lossy(events):
        ran = events.run()

    found = verify(events, ran.run_id)

    assert [each.event_id for each in found.differences] == ["o1"]
    assert found.read_back.too_old == 1
