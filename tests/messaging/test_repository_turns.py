"""One at a time: a call waits for whoever syncs the workspace, and what a killed one left is finished."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cio_pipelines.sandbox import SandboxServer
from cio_pipelines.sync.errors import SyncInProgress
from cio_pipelines.sync.windows import FULL
from tests.sync.rig import Rig

from .repository_rig import repository

ROOT = Path(__file__).resolve().parents[2]
MAY = datetime(2026, 5, 1, tzinfo=UTC)
LATER = MAY + timedelta(hours=1)


@pytest.fixture
def rig(tmp_path: Path, sandbox: SandboxServer) -> Rig:
    """Three people who are synced; the file is closed between the steps, as other processes need it."""
    rig = Rig(tmp_path / "warehouse.duckdb", sandbox)
    rig.make_mart(3)
    rig.run()
    return rig


@contextmanager
def child(rig: Rig, word: str) -> Iterator[subprocess.Popen[str]]:
    """A process that syncs p1 with the plan `word`, and deletes p2."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.messaging.repository_child", rig.url, rig.sandbox.url, word],
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


def test_a_call_waits_for_the_scheduled_run_and_then_goes_on(rig: Rig) -> None:
    rig.change("p0", "plan = 'team'")
    scheduled = rig.engine()
    scheduled.extract("scheduled", FULL)
    scheduled.plan("scheduled")
    timer = threading.Timer(0.5, lambda: scheduled.push("scheduled"))
    timer.start()
    outcome = repository(rig, wait_seconds=60.0).sync_user(
        {"person_id": "p0", "updated_at": LATER, "first_name": "Bo"}
    )
    timer.join()
    assert outcome.outcome == "accepted"
    assert rig.profile("p0") == {"email": "p0@example.com", "first_name": "Bo", "plan": "team"}
    assert [action for action, who, _ in rig.log() if who == "p0"] == ["identify"] * 3


def test_a_call_that_waited_in_vain_says_who_is_at_it_and_what_to_do(rig: Rig) -> None:
    rig.change("p0", "plan = 'team'")
    scheduled = rig.engine()
    scheduled.extract("scheduled", FULL)
    scheduled.plan("scheduled")
    started = time.monotonic()
    with pytest.raises(SyncInProgress, match=rf"Run scheduled \(process {os.getpid()} on ") as caught:
        repository(rig, wait_seconds=0.3).on_user_deleted("p0")
    assert time.monotonic() - started < 10
    assert "waited for 0.3 s and nothing was sent: call again later, or enqueue it" in caught.value.remedy
    assert scheduled.push("scheduled").outcomes.accepted == 1


def test_a_call_waits_while_another_process_has_the_file(rig: Rig) -> None:
    code = (
        "import duckdb, sys, time; c = duckdb.connect(sys.argv[1]); print('open', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(rig.path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        user = {"person_id": "p0", "updated_at": LATER, "plan": "pro"}
        with pytest.raises(SyncInProgress, match="is locked by"):
            repository(rig, wait_seconds=0.2).sync_user(user)
        threading.Timer(0.3, process.kill).start()
        assert repository(rig, wait_seconds=60.0).sync_user(user).outcome == "accepted"
    finally:
        process.kill()
        process.communicate()


def test_of_two_at_once_both_are_done_and_the_later_word_stays(rig: Rig) -> None:
    users = [repository(rig, wait_seconds=120.0) for _ in range(4)]
    words = [
        {"person_id": "p1", "updated_at": LATER + timedelta(seconds=n), "plan": f"plan {n}"} for n in range(4)
    ]
    with ThreadPoolExecutor(4) as pool:
        outcomes = [
            f.result() for f in [pool.submit(u.sync_user, w) for u, w in zip(users, words, strict=True)]
        ]
    assert {outcome.outcome for outcome in outcomes} <= {"accepted", "outdated"}
    assert outcomes[3].outcome == "accepted"
    assert rig.profiles()["p1"]["plan"] == "plan 3"
    assert rig.state("select owner from sync_lease") == [("",)]


def test_of_two_processes_at_once_both_are_done(rig: Rig) -> None:
    with child(rig, "one") as one, child(rig, "two") as two:
        outputs = [process.communicate(timeout=120) for process in (one, two)]
    assert [process.returncode for process in (one, two)] == [0, 0], outputs
    assert rig.profiles()["p1"]["plan"] in ("one", "two")
    assert rig.state("select state from synced_people where person_id = 'p2'") == [("deleted",)]
    assert rig.run().plan.planned == 0


def test_after_a_kill_between_the_answer_and_the_commit_a_second_call_ends_right(rig: Rig) -> None:
    with rig.faults({"kind": "slow", "seconds": 3.0, "path": "/api/v2/batch"}), child(rig, "pro") as process:
        while rig.profiles()["p1"]["plan"] != "pro":
            assert process.poll() is None
            time.sleep(0.02)
        # Customer.io has it, and this process has not heard so
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert rig.state("select status from sync_runs where kind = 'direct'") == [("sending",)]
    assert rig.state("select direct from synced_people where person_id = 'p1'") == [(False,)]

    users = repository(rig)
    assert users.sync_user({"person_id": "p1", "updated_at": LATER, "plan": "pro"}).outcome == "accepted"

    assert rig.state(
        "select status, ended_by from sync_runs where kind = 'direct' order by extracted_at"
    ) == [
        ("committed", "killed"),
        ("committed", None),
    ]
    assert rig.state("select count(*) from open_people") == [(0,)]
    assert rig.sent("identify")["p1"] == 3
    assert rig.run().plan.planned == 0


def test_what_a_killed_call_had_in_the_ledger_is_committed_as_its_own_word(rig: Rig) -> None:
    rig.state(
        """insert into sync_runs by name select workspace, sync, 'direct-dead' as run_id, 'direct' as kind,
            'sending' as status, extracted_at, mapping_version, mapping, 1 as planned from sync_runs;
        insert into sync_plan by name select workspace, sync, 'direct-dead' as run_id, run_date, person_id,
            operation, phase, 'changed' as why, '{"plan":"pro"}' as attributes, 'h' as attributes_hash,
            timestamp '2026-05-01 01:00' as source_updated_at, 0 as attempts, planned_at
            from sync_plan where person_id = 'p1';
        insert into sync_acks by name
            select workspace, sync, 'direct-dead' as run_id, run_date, person_id, phase
            from sync_acks where person_id = 'p1'"""
    )
    ran = rig.run()
    assert (ran.plan.planned, ran.plan.ahead) == (0, 1)
    assert rig.state("select attributes_hash, direct from synced_people where person_id = 'p1'") == [
        ("h", True)
    ]
