"""Promise 2: killing the process at any instant loses nothing and sends little twice."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from cio_pipelines.sync.reports import Outcomes
from cio_pipelines.sync.windows import FULL

from .rig import YEARS_AGO, Rig, SyncRig

ROOT = Path(__file__).resolve().parents[2]
PEOPLE = 12_000
# A body holds some 600 people. Answered and not yet written may be: what a flush waits for (1,000) and the
# body that completes it, two bodies in flight, and the two that came in while the flush was written.
IN_FLIGHT = 1_000 + 5 * 600
SLOW = {"kind": "slow", "seconds": 0.1, "path": "/api/v2/batch"}


@contextlib.contextmanager
def child(rig: SyncRig, run_id: str = "child") -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.sync.child", rig.url, rig.sandbox.url, run_id, rig.endpoint],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(process: subprocess.Popen[str], word: str) -> str:
    """The first line of its output that begins so."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(word):
            return line.strip()
    raise AssertionError(f"it ended without {word!r}: {process.stderr.read() if process.stderr else ''}")


def wait_for_progress(process: subprocess.Popen[str], operations: int) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        done, slash, _ = line.partition("/")
        if slash and int(done) >= operations:
            return
    raise AssertionError("it ended too early")


def make_company(rig: Rig) -> None:
    rig.make_mart(PEOPLE)
    rig.sql("update analytics.customerio_people set first_name = repeat('x', 620)")


def everybody_is_right(rig: Rig) -> None:
    expected = {
        person: {"email": email, "first_name": first_name, "plan": plan}
        for person, email, first_name, plan in rig.sql(
            "select person_id, email, first_name, plan from analytics.customerio_people"
        )
    }
    assert rig.profiles() == expected


@pytest.mark.parametrize("share", [pytest.param(0.1, marks=pytest.mark.slow), 0.7])
def test_after_a_kill_in_mid_push_nobody_is_lost_and_little_is_sent_twice(apart: Rig, share: float) -> None:
    make_company(apart)
    with apart.faults(SLOW), child(apart) as process:
        wait_for_progress(process, int(PEOPLE * share))
        process.send_signal(signal.SIGKILL)
        process.wait()
    received = apart.sent("identify").total()
    noted = apart.state("select count(*) from sync_acks")[0][0]
    assert PEOPLE * share <= received < PEOPLE

    ran = apart.run()  # no waiting: a dead owner's lease is taken over at once
    assert apart.engine().summary("child").ended_by == "killed"
    assert apart.engine().outcomes("child").complete
    assert ran.outcomes.accepted == PEOPLE - noted
    everybody_is_right(apart)
    twice = apart.sent("identify").total() - PEOPLE
    assert twice == received - noted <= IN_FLIGHT
    assert max(apart.sent("identify").values()) <= 2
    assert apart.run().plan.planned == 0


@pytest.mark.slow
def test_after_kills_at_random_moments_everything_is_right_in_the_end(apart: Rig) -> None:
    make_company(apart)
    moments = random.Random(7)
    words = ["extract", "plan", "plan", "push", "push", "push", "push"]
    for number, word in enumerate(words):
        apart.sql("update analytics.customerio_people set plan = ?, updated_at = now()", f"plan {number}")
        with child(apart, f"child-{number}") as process:
            wait_for(process, word)
            # extraction and plan take some 0.1 s here, the push and its commit some 0.5 s
            time.sleep(moments.uniform(0, 0.15 if word != "push" else 0.8))
            process.send_signal(signal.SIGKILL)
            process.wait()
    apart.run()
    everybody_is_right(apart)
    for number in range(len(words)):
        with contextlib.suppress(Exception):
            assert apart.engine().outcomes(f"child-{number}").unaccounted == 0
    assert apart.run().plan.planned == 0
    assert apart.state("select count(*), count(distinct person_id) from synced_people") == [(PEOPLE, PEOPLE)]


def test_after_a_kill_between_plan_and_push_everybody_is_due_whatever_the_window(apart: Rig) -> None:
    apart.make_mart(50)
    engine = apart.engine()
    engine.extract("dead", FULL)
    engine.plan("dead")
    # as if this process had died: nobody with its number and start is running
    apart.state("update sync_lease set pid = 4194303, process_started = 0")
    ran = apart.run(YEARS_AGO)
    assert ran.outcomes == Outcomes(50, 50, 0, 0, 0, 0)
    assert engine.outcomes("dead") == Outcomes(50, 0, 0, 0, 50, 0)


def test_an_interrupt_keeps_what_was_answered_and_ends_quickly(apart: Rig) -> None:
    make_company(apart)
    with apart.faults(SLOW), child(apart) as process:
        wait_for_progress(process, PEOPLE // 4)
        process.send_signal(signal.SIGINT)
        started = time.monotonic()
        process.communicate(timeout=20)
        assert time.monotonic() - started < 10
        assert process.returncode not in (0, -signal.SIGKILL)
    summary = apart.engine().summary("child")
    assert (summary.status, summary.ended_by) == ("committed", "interrupted")
    assert summary.outcomes.complete
    assert summary.outcomes.accepted >= PEOPLE // 4
    assert summary.outcomes.accepted + summary.outcomes.due == PEOPLE
    assert summary.requests > 0
    assert apart.state("select count(*) from synced_people") == [(summary.outcomes.accepted,)]
    assert apart.state("select count(*) from sync_lease where owner <> ''") == [(0,)]
    ran = apart.run()
    assert ran.outcomes.accepted == summary.outcomes.due
    everybody_is_right(apart)


@pytest.fixture
def hearing() -> Iterator[None]:
    """Ctrl-C is heard, also when the tests run in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("hearing")
def test_an_interrupted_push_lets_go_of_the_database(apart: Rig) -> None:
    rig = apart
    make_company(rig)
    seen = 0

    def interrupt(done: int, _: int) -> None:
        nonlocal seen
        seen = done
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as caught:  # held, with all its frames
        rig.run(progress=interrupt)
    assert seen > 0
    # DuckDB refuses a second configuration while any connection of this process is open
    duckdb.connect(str(rig.path), config={"threads": 1}).close()
    assert caught.tb is not None
    committed = rig.state("select count(*) from synced_people")[0][0]
    assert committed >= seen
    rig.run()
    everybody_is_right(rig)
