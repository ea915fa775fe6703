"""Nothing is triggered twice: an answer is lost, a process is killed, or somebody else triggers too."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from cio_pipelines.broadcasts.errors import TriggerUnclear
from cio_pipelines.customerio import NotFound

from .rig import TODAY, TRIGGERS, YESTERDAY, Rig, person_id

LOST_AFTER = {"kind": "reset_after", "count": 1, "path": TRIGGERS}
LOST_BEFORE = {"kind": "reset", "count": 1, "path": TRIGGERS}


@contextmanager
def child(rig: Rig) -> Iterator[None]:
    """Today's broadcast in a process of its own, which is killed at the end."""
    command = [sys.executable, "-m", "tests.broadcasts.child", str(rig.database), rig.server.url]
    with subprocess.Popen(command) as process:
        try:
            yield
        finally:
            process.kill()


def wait_for(happened: Callable[[], object]) -> None:
    until = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.02)


def foreign_trigger(rig: Rig, **body: object) -> int:
    """A trigger that somebody else makes."""
    headers = {"Authorization": rig.server.app_authorization}
    answer = httpx.post(f"{rig.server.url}{TRIGGERS}", json=body, headers=headers, trust_env=False)
    return answer.raise_for_status().json()["id"]


def hits(rig: Rig) -> int:
    answer = httpx.get(f"{rig.server.url}/_sandbox/faults", trust_env=False).raise_for_status().json()
    return sum(fault["hits"] for fault in answer["faults"])


def test_a_run_that_is_killed_after_its_request_is_found_in_customerios_list(rig: Rig) -> None:
    rig.model(TODAY, range(5))
    # the sandbox does it at once; its answer comes when the child is gone
    rig.server.set_faults([{"kind": "slow", "seconds": 60.0, "path": TRIGGERS, "count": 1}])
    with child(rig):
        wait_for(rig.server.triggers)
    assert [row[2:4] for row in rig.statuses()] == [("intended", None)]

    outcome = rig.run()

    assert (outcome.status, outcome.triggered_here, outcome.reached) == ("processed", False, 5)
    assert rig.statuses() == [(TODAY, 1, "processed", 1, True)]
    assert rig.written_to() == [person_id(n) for n in range(5)]


def test_a_run_that_is_killed_before_its_request_is_for_a_person_to_judge(rig: Rig) -> None:
    rig.model(TODAY, range(5))
    # the child is told to wait, and is killed waiting
    refused = {"kind": "status", "status": 429, "retry_after": 15, "path": TRIGGERS, "count": 1}
    rig.server.set_faults([refused])
    with child(rig):
        wait_for(lambda: hits(rig))

    for _ in range(2):
        with pytest.raises(TriggerUnclear, match="lists no trigger of that time") as error:
            rig.run()
    assert "retrigger" in str(error.value)
    assert rig.server.triggers() == []

    assert rig.run(retrigger=True).triggered_here
    assert not rig.run(retrigger=True).triggered_here
    assert [row[1:3] for row in rig.statuses()] == [(1, "intended"), (2, "processed")]
    assert len(rig.written_to()) == 5


@pytest.mark.parametrize("kind", ["reset_after", "truncate"])
def test_an_answer_that_is_lost_is_looked_for_at_once(rig: Rig, kind: str) -> None:
    rig.model(TODAY, range(5))
    rig.server.set_faults([{"kind": kind, "count": 1, "path": TRIGGERS}])

    outcome = rig.run()

    assert outcome.attempt is not None
    assert (outcome.status, outcome.triggered_here, outcome.attempt.adopted) == ("processed", False, True)
    assert len(rig.server.triggers()) == 1
    assert not rig.run().triggered_here


@pytest.mark.parametrize(
    "fault",
    [LOST_BEFORE, {"kind": "status", "status": 500, "count": 1, "path": TRIGGERS}],
    ids=["reset", "500"],
)
def test_what_may_have_been_taken_and_is_not_listed_waits_for_a_person(
    rig: Rig, fault: dict[str, object]
) -> None:
    rig.model(TODAY, range(5))
    rig.server.set_faults([fault])

    for _ in range(2):
        with pytest.raises(TriggerUnclear, match=r"not known.*retrigger"):
            rig.run()

    assert rig.server.triggers() == []
    assert [row[1:4] for row in rig.statuses()] == [(1, "unknown", None)]


def test_a_list_that_cannot_be_read_leaves_it_open_until_it_can(rig: Rig) -> None:
    rig.model(TODAY, range(5))
    rig.server.set_faults([LOST_AFTER, {"kind": "status", "status": 503, "path": "/v1/broadcasts"}])
    with pytest.raises(TriggerUnclear, match="cannot be read"):
        rig.run()

    rig.server.set_faults([])
    assert not rig.run().triggered_here
    assert len(rig.server.triggers()) == 1


def test_of_several_triggers_that_may_be_it_a_person_says_which(rig: Rig) -> None:
    rig.model(TODAY, range(5))
    foreign = foreign_trigger(rig, ids=[person_id(9)])
    rig.server.set_faults([LOST_AFTER])

    with pytest.raises(TriggerUnclear, match=rf"may be it: {foreign} \(to 1\), {foreign + 1} \(to 5\)"):
        rig.run()
    with pytest.raises(NotFound):
        rig.run(adopt=99)
    outcome = rig.run(adopt=foreign + 1)

    assert outcome.attempt is not None
    assert (outcome.attempt.trigger_id, outcome.reached) == (foreign + 1, 5)
    assert len(rig.server.triggers()) == 2


@pytest.mark.parametrize(
    "body",
    [
        {"ids": [person_id(n) for n in range(10)]},
        {"recipients": {"attribute": {"field": "id", "operator": "eq", "value": person_id(1)}}},
    ],
    ids=["more people", "a filter"],
)
def test_a_trigger_that_cannot_be_it_is_not_taken_for_it(rig: Rig, body: dict[str, object]) -> None:
    rig.model(TODAY, range(5))
    foreign = foreign_trigger(rig, **body)
    rig.server.set_faults([LOST_AFTER])

    outcome = rig.run()

    assert outcome.attempt is not None
    assert outcome.attempt.trigger_id == foreign + 1


@pytest.mark.parametrize("seconds", [60, -186])
def test_a_trigger_of_another_time_is_not_taken_for_it(rig: Rig, seconds: int) -> None:
    rig.model(TODAY, range(5))
    rig.server.set_faults([LOST_BEFORE])
    with pytest.raises(TriggerUnclear):
        rig.run()
    foreign_trigger(rig, ids=[person_id(n) for n in range(10, 15)])
    rig.execute(
        "update customerio_sync.broadcast_triggers "
        f"set requested_at = requested_at + interval ({seconds}) second"
    )

    with pytest.raises(TriggerUnclear, match="lists no trigger of that time"):
        rig.run()


def test_a_trigger_that_reached_far_fewer_is_for_a_person_to_judge(rig: Rig) -> None:
    rig.model(TODAY, range(5))
    foreign_trigger(rig, ids=[person_id(9)])
    rig.server.set_faults([LOST_BEFORE])

    with pytest.raises(TriggerUnclear, match=r"may be it: 1 \(to 1\)"):
        rig.run()


def test_a_trigger_that_may_be_it_is_waited_for(rig: Rig) -> None:
    rig.model(TODAY, range(5))
    rig.server.set_courses(broadcast_delay=2.0)
    rig.server.set_faults([LOST_AFTER])
    try:
        with pytest.raises(TriggerUnclear, match="not processed yet"):
            rig.run(wait_seconds=0.0)
        assert rig.run(wait_seconds=30.0).reached == 5
    finally:
        rig.server.set_courses(broadcast_delay=0.0)
    assert len(rig.server.triggers()) == 1


def test_a_trigger_that_may_be_of_two_days_is_nobodys_until_a_person_says_so(rig: Rig) -> None:
    rig.model(YESTERDAY, [1])
    rig.model(TODAY, [2])
    rig.server.set_faults([LOST_BEFORE])
    with pytest.raises(TriggerUnclear, match="lists no trigger"):
        rig.run(YESTERDAY)
    rig.server.set_faults([LOST_AFTER])

    with pytest.raises(TriggerUnclear, match=r"may be it: 1 \(to 1\)"):
        rig.run(TODAY)
    assert rig.run(TODAY, adopt=1).status == "processed"
    with pytest.raises(TriggerUnclear, match="another day's"):
        rig.run(YESTERDAY, adopt=1)
    with pytest.raises(TriggerUnclear, match="lists no trigger"):
        rig.run(YESTERDAY)


def test_nobody_is_named_in_what_a_person_is_asked(rig: Rig) -> None:
    rig.model(TODAY, [1])
    rig.server.set_faults([LOST_BEFORE])

    with pytest.raises(TriggerUnclear) as error:
        rig.run()

    assert person_id(1) not in f"{error.value!r} {error.value.__cause__!r}"
