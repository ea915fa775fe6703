"""What Customer.io says of a trigger is told, counted and kept, without saying who the people are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cio_pipelines.broadcasts.errors import TriggerRefused, TriggerUnread
from cio_pipelines.broadcasts.refusals import ErrorLine, error_lines
from cio_pipelines.customerio import RateLimited, Unauthorized
from cio_pipelines.sandbox import SandboxOptions, SandboxServer

from .rig import SPEC, TODAY, TRIGGERS, Rig, person_id

STRICT = replace(SPEC, ignore_missing=False)


@pytest.fixture(scope="module")
def failing_later() -> Iterator[SandboxServer]:
    """A sandbox that accepts broadcasts to people who are not there, and fails them later."""
    with SandboxServer(SandboxOptions(missing_recipients="fail")) as server:
        yield server


@pytest.fixture
def late(tmp_path: Path, failing_later: SandboxServer) -> Rig:
    failing_later.reset()
    failing_later.set_courses(broadcast_delay=0.0)
    return Rig(tmp_path, failing_later)


def kept(rig: Rig) -> list[tuple[object, ...]]:
    return rig.execute(
        "select attempt, trigger_id, line, reason from customerio_sync.broadcast_errors order by all"
    )


def test_a_refusal_is_told_by_its_reasons_and_the_next_run_triggers(rig: Rig) -> None:
    rig.model(TODAY, [*range(3), 97, 98])

    with pytest.raises(TriggerRefused) as error:
        rig.run(spec=STRICT)

    assert error.value.reasons == {"no customer has the id <value>": 2}
    assert "2 of 5 recipients" in str(error.value)
    assert person_id(97) not in f"{error.value} {error.value!r} {error.value.__cause__!r}"
    reason = "no customer has the id <value>"
    assert kept(rig) == [(1, 1, 4, reason), (1, 1, 5, reason)]
    assert rig.written_to() == []

    rig.join([97, 98])
    assert rig.run(spec=STRICT).reached == 5
    assert [row[1:4] for row in rig.statuses()] == [(1, "refused", 1), (2, "processed", 2)]


def test_a_wrong_key_is_a_refusal_and_the_next_run_triggers(rig: Rig) -> None:
    rig.model(TODAY, [1])

    with pytest.raises(Unauthorized):
        rig.run(client={"api_key": "wrong"})

    assert [row[1:3] for row in rig.statuses()] == [(1, "refused")]
    assert rig.run().triggered_here


def test_a_limit_is_waited_out(rig: Rig) -> None:
    rig.model(TODAY, [1])
    rig.server.set_faults([{"kind": "status", "status": 429, "count": 2, "path": TRIGGERS}])

    outcome = rig.run()

    assert (outcome.status, outcome.triggered_here) == ("processed", True)
    assert len(rig.server.triggers()) == 1


def test_a_limit_that_does_not_end_is_a_refusal_and_the_next_run_triggers(rig: Rig) -> None:
    rig.model(TODAY, [1])
    rig.server.set_faults([{"kind": "status", "status": 429, "path": TRIGGERS}])
    with pytest.raises(RateLimited):
        rig.run()

    rig.server.set_faults([])
    assert rig.run().triggered_here
    assert [row[1:3] for row in rig.statuses()] == [(1, "refused"), (2, "processed")]


def test_a_trigger_that_comes_to_nothing_is_failed_and_stays_so_until_a_person_says_otherwise(
    late: Rig,
) -> None:
    late.model(TODAY, [*range(3), 97])

    first, second = late.run(spec=STRICT), late.run(spec=STRICT)

    for outcome in (first, second):
        assert (outcome.status, outcome.reached, outcome.errors) == ("failed", 0, 1)
        assert outcome.reasons == {"no customer has the id <value>": 1}
        assert (outcome.is_failed, outcome.is_delivered) == (True, False)
    assert len(late.server.triggers()) == 1

    late.join([97])
    assert late.run(spec=STRICT, retrigger=True).reached == 4
    assert [row[1:3] for row in late.statuses()] == [(1, "failed"), (2, "processed")]


def test_what_is_not_processed_in_time_is_looked_at_by_the_next_run(late: Rig) -> None:
    late.server.set_courses(broadcast_delay=3.0)
    late.model(TODAY, range(3))

    waiting = late.run(wait_seconds=0.0)
    assert (waiting.status, waiting.reached, waiting.is_delivered) == ("triggered", None, False)
    done = late.run(wait_seconds=30.0)

    assert (done.status, done.reached, done.triggered_here) == ("processed", 3, False)
    assert done.attempt is not None
    assert done.attempt.processed_at is not None
    assert done.attempt.triggered_at is not None
    assert (done.attempt.processed_at - done.attempt.triggered_at).total_seconds() >= 2
    assert len(late.server.triggers()) == 1


def test_what_cannot_be_followed_is_triggered_all_the_same_and_said_to_be(rig: Rig) -> None:
    rig.model(TODAY, [1])
    rig.server.set_faults([{"kind": "status", "status": 500, "path": f"{TRIGGERS}/"}])
    with pytest.raises(TriggerUnread, match=r"is triggered \(number 1\).*triggers nothing"):
        rig.run()

    rig.server.set_faults([])
    assert (rig.run().status, len(rig.server.triggers())) == ("processed", 1)


def test_errors_that_are_read_again_are_kept_once(late: Rig) -> None:
    late.model(TODAY, [1, 97])
    late.run(spec=STRICT)
    late.execute("update customerio_sync.broadcast_triggers set status = 'triggered'")

    late.run(spec=STRICT)

    assert kept(late) == [(1, 1, 2, "no customer has the id <value>")]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("line 3: no customer has the id ada", ErrorLine(3, "no customer has the id <value>")),
        (
            "line 12: no customer has the email a@b.example",
            ErrorLine(12, "no customer has the email <value>"),
        ),
        ("line 1: ada is not a customer", ErrorLine(1, "<value> is not a customer")),
        ("LINE 2:customer 4711 is suppressed", ErrorLine(2, "customer <value> is suppressed")),
        ('line 4: unknown "Ada Byron"', ErrorLine(4, "unknown <value>")),
        ("line 5: order_77 belongs to +44 20 7946 0000", ErrorLine(5, "<value> belongs to <number>")),
        ("The file cannot be read.", ErrorLine(None, "The file cannot be read.")),
        ("", ErrorLine(None, "")),
    ],
)
def test_reasons_hold_no_values(text: str, line: ErrorLine) -> None:
    assert error_lines([text], ["ada", "bob"]) == [line]
