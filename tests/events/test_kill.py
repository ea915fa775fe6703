"""Killing the process at any moment loses no event, and what is sent twice is taken once."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa

from cio_pipelines.sandbox import SandboxServer
from cio_pipelines.sync.state import accepted_events

from .rig import EventRig, day

ROOT = Path(__file__).resolve().parents[2]
EVENTS = 12_000
IN_FLIGHT = 1_000 + 5 * 1_000
"""A body holds fewer than 1,000 of these events, see `tests/sync/test_kill.py`."""
SLOW = {"kind": "slow", "seconds": 0.1, "path": "/api/v2/batch"}


@pytest.mark.parametrize("share", [pytest.param(0.1, marks=pytest.mark.slow), 0.6])
def test_after_a_kill_in_mid_push_each_event_is_there_once(
    tmp_path: Path, sandbox: SandboxServer, share: float
) -> None:
    rig = EventRig(f"duckdb:///{tmp_path / 'warehouse.duckdb'}", sandbox)
    rig.make_mart()
    rig.execute(
        sa.text(
            "insert into analytics.customerio_events (event_id, person_id, name, occurred_at, order_id) "
            f"select 'e' || i, 'p' || i % 100, 'n', timestamp '2026-05-20', i || repeat('x', 400) "
            f"from range({EVENTS}) as r(i)"
        )
    )
    sandbox.set_faults([SLOW])
    command = [sys.executable, "-m", "tests.events.child", rig.url, sandbox.url, "killed"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line.partition("/")[0]) >= EVENTS * share:
                break
        process.send_signal(signal.SIGKILL)
    sandbox.set_faults([])
    received = rig.received().total()
    assert EVENTS * share <= received < EVENTS

    # of a day on which nothing happened: what was left open is sent in any case
    ran = rig.run(day("2001-01-01"))

    assert ran.outcomes.due == 0
    assert len({each["data"]["order_id"] for each in rig.events()}) == len(rig.events()) == EVENTS
    outcomes = Counter(each["outcome"] for each in sandbox.operations())
    assert outcomes["accepted"] == EVENTS
    assert outcomes["ignored"] <= IN_FLIGHT
    remembered = rig.state(accepted_events, "event_id", "run_id")
    assert len({event_id for event_id, _ in remembered}) == len(remembered) == EVENTS
    assert {run_id for _, run_id in remembered} <= {"killed", ran.run_id}
    assert rig.run().plan.planned == 0
