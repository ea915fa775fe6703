"""Processes that push into one warehouse: killed, at once, and after each other. Promises 1 to 4 hold.

`tests/sync/test_kill.py` has more of it on DuckDB, which one process can open at a time.
"""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy as sa

from cio_pipelines.sandbox import SandboxServer
from cio_pipelines.sync.state import sync_lease, sync_plan, synced_people
from tests.sync.test_kill import SLOW, child, wait_for, wait_for_progress

from .rig import MAY, EngineRig

pytestmark = pytest.mark.slow
PEOPLE = 6_000
# what a flush waits for and the body that completes it, two in flight, two that came in while it was written
IN_FLIGHT = 1_000 + 5 * 600
TEXT = sa.String()


@pytest.fixture
def rig(engine_rig: EngineRig, sandbox: SandboxServer, request: pytest.FixtureRequest) -> EngineRig:
    """A company of its own, in the workspace that `tests.sync.child` syncs."""
    if engine_rig.engine_name == "duckdb":
        path: Path = request.getfixturevalue("tmp_path")
        url = f"duckdb:///{path / 'warehouse.duckdb'}"
    elif engine_rig.engine_name == "postgresql":
        url = request.getfixturevalue("postgres_url")
    else:
        url = engine_rig.url.replace("test-processes", f"processes-{random.randrange(10**9)}")
    rig = EngineRig(engine_rig.engine_name, url, sandbox, engine_rig.endpoint, {"workspace": "tests"})
    rig.make_mart([], email=TEXT, first_name=TEXT)
    ids = [f"p{number}" for number in range(PEOPLE)]
    rows = {
        "person_id": ids,
        "updated_at": [MAY.replace(tzinfo=None)] * PEOPLE,
        "email": [f"{name}@example.com" for name in ids],
        "first_name": ["x" * 620] * PEOPLE,
    }
    with rig.warehouse.connect() as connection:
        connection.append(rig.mart, pa.table(rows))
    return rig


def everybody_is_right(rig: EngineRig, first_name: str = "x" * 620) -> None:
    assert rig.profiles() == {
        f"p{number}": {"email": f"p{number}@example.com", "first_name": first_name}
        for number in range(PEOPLE)
    }
    snapshot = rig.state(synced_people, "person_id", "state")
    assert Counter(state for _, state in snapshot) == {"identified": PEOPLE}
    assert len({name for name, _ in snapshot}) == PEOPLE
    assert {owner for (owner,) in rig.state(sync_lease, "owner")} == {""}
    assert rig.run().plan.planned == 0


def test_after_a_kill_in_mid_push_nobody_is_lost_and_little_is_sent_twice(rig: EngineRig) -> None:
    with rig.faults(SLOW), child(rig) as process:
        wait_for_progress(process, PEOPLE // 2)
        process.send_signal(signal.SIGKILL)
        process.wait()
    received = rig.sent("identify").total()
    assert PEOPLE // 2 <= received < PEOPLE
    rig.run()  # no waiting: a dead owner's lease is taken over at once
    assert rig.engine().summary("child").ended_by == "killed"
    assert rig.engine().outcomes("child").complete
    sent = rig.sent("identify")
    assert sent.total() - PEOPLE <= IN_FLIGHT
    assert max(sent.values()) <= 2
    everybody_is_right(rig)


def test_of_two_runs_at_once_one_sends_and_the_other_stands_back(engine: str, rig: EngineRig) -> None:
    if engine == "duckdb":
        return  # the second one cannot open the file: tests/warehouse/test_errors.py
    rig.plan()  # of two who are the first of all both may stand back: there is no lease yet to be taken
    with rig.faults(SLOW), child(rig, "one") as one, child(rig, "other") as other:
        codes = [process.wait(120) for process in (one, other)]
        said = "".join(process.stderr.read() for process in (one, other) if process.stderr)
    assert 0 in codes, said
    if codes != [0, 0]:  # the first may have ended before the second began to plan
        assert "SyncInProgress" in said or "WarehouseBusy" in said, said
    assert max(rig.sent("identify").values()) == 1
    everybody_is_right(rig)


def test_after_kills_at_random_moments_everything_is_right_in_the_end(rig: EngineRig) -> None:
    moments = random.Random(7)
    for number, word in enumerate(["extract", "plan", "push", "push", "push"]):
        rig.execute(rig.mart.update().where(sa.true()).values(first_name=f"name {number}"))
        with child(rig, f"child-{number}") as process:
            wait_for(process, word)
            time.sleep(moments.uniform(0, 0.3 if word != "push" else 1.0))
            process.send_signal(signal.SIGKILL)
            process.wait()
    rig.run()
    planned = {run for (run,) in rig.state(sync_plan, "run_id")}
    for run_id in planned & {f"child-{number}" for number in range(5)}:
        assert rig.engine().outcomes(run_id).unaccounted == 0
    everybody_is_right(rig, "name 4")
