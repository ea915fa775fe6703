"""One writer: a run plans and pushes only while it holds the lease of its workspace and sync."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from datetime import datetime
from typing import Any

import psutil
import pytest

from cio_pipelines.sync.errors import PlanOutdated, SyncInProgress, UnknownRun
from cio_pipelines.sync.windows import FULL

from .rig import Rig


def planned(rig: Rig, run_id: str) -> Any:
    engine = rig.engine()
    engine.extract(run_id, FULL)
    engine.plan(run_id)
    return engine


def test_a_second_run_is_told_who_is_at_it_and_harms_nothing(rig: Rig) -> None:
    rig.make_mart(5)
    first = planned(rig, "first")
    second = rig.engine()
    second.extract("second", FULL)
    with pytest.raises(SyncInProgress, match=rf"Run first \(process {os.getpid()} on ") as caught:
        second.plan("second")
    assert "UTC" in caught.value.remedy
    with pytest.raises(SyncInProgress):
        second.plan_erasure("erasure")
    assert first.push("first").outcomes.accepted == 5
    assert second.plan("second").planned == 0


def test_the_lease_is_given_back_by_push_by_a_dry_run_and_by_a_plan_that_is_blocked(rig: Rig) -> None:
    from .test_guards import TIGHT

    rig.make_mart(5)
    rig.run()
    assert rig.state("select count(*) from sync_lease where owner <> ''") == [(0,)]
    rig.plan()
    assert rig.state("select count(*) from sync_lease where owner <> ''") == [(0,)]
    rig.sql("update analytics.customerio_people set plan = 'pro'")
    engine = rig.engine(guards=TIGHT)
    engine.extract("blocked", FULL)
    assert engine.plan("blocked").blocked
    assert rig.state("select count(*) from sync_lease where owner <> ''") == [(0,)]


def test_other_workspaces_have_leases_of_their_own(rig: Rig) -> None:
    rig.make_mart(2)
    planned(rig, "first")
    assert rig.run(workspace="another").outcomes.accepted == 2


def test_a_dead_owner_s_lease_is_taken_over_at_once(rig: Rig) -> None:
    rig.make_mart(2)
    planned(rig, "dead")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    rig.state("update sync_lease set pid = ?", ended.pid)
    assert rig.run().outcomes.accepted == 2


def test_a_process_id_that_was_used_again_is_not_the_owner(rig: Rig) -> None:
    rig.make_mart(2)
    planned(rig, "dead")
    started = psutil.Process().create_time()
    rig.state("update sync_lease set process_started = ?", started - 3600)
    assert rig.run().outcomes.accepted == 2


def test_an_owner_on_another_machine_keeps_its_lease_until_it_expires(rig: Rig) -> None:
    rig.make_mart(2)
    planned(rig, "elsewhere")
    assert rig.state("select host from sync_lease") == [(socket.gethostname(),)]
    rig.state("update sync_lease set host = 'another-machine', pid = 1, process_started = 0")
    with pytest.raises(SyncInProgress, match="another-machine"):
        rig.run()
    rig.state("update sync_lease set expires_at = now() at time zone 'UTC' - interval 1 second")
    assert rig.run().outcomes.accepted == 2


def test_a_plan_whose_lease_was_taken_over_is_not_sent(rig: Rig) -> None:
    rig.make_mart(3)
    slow = planned(rig, "slow")
    rig.state("update sync_lease set expires_at = ?", datetime(2020, 1, 1))  # noqa: DTZ001
    assert rig.run().outcomes.accepted == 3
    rig.sandbox.reset()
    with pytest.raises((PlanOutdated, UnknownRun)):
        slow.push("slow")
    assert rig.sandbox.operations() == []
    assert slow.outcomes("slow").complete


def test_a_lease_lost_before_the_push_begins_stops_it(rig: Rig) -> None:
    rig.make_mart(3)
    engine = planned(rig, "a")
    rig.state("update sync_lease set owner = 'another'")
    with pytest.raises(PlanOutdated, match="no longer holds the lease"):
        engine.push("a")
    assert rig.sandbox.operations() == []
    assert rig.state("select owner from sync_lease") == [("another",)]


@pytest.mark.parametrize("heartbeat", [-1.0, 1000.0], ids=["seen by a heartbeat", "seen at the end"])
def test_a_lease_lost_in_mid_push_ends_it_without_undoing_the_work_of_who_took_it(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, heartbeat: float
) -> None:
    from cio_pipelines.sync import push

    monkeypatch.setattr(push, "_HEARTBEAT_SECONDS", heartbeat)
    rig.make_mart(9_000)
    engine = planned(rig, "a")

    def taken(done: int, total: int) -> None:
        if done == total:
            # the other run has committed this one, and planned p1 as open
            rig.state("update sync_lease set owner = 'another'")
            rig.state(
                """insert into open_people
                (workspace, sync, person_id, operation, attributes_hash, attempts, since, outcome)
                values ('tests', 'people', 'p1', 'identify', 'h', 2, '2020-01-01', 'rejected')"""
            )

    with pytest.raises(PlanOutdated):
        engine.push("a", taken)
    assert rig.state("select person_id, attempts from open_people") == [("p1", 2)]
    assert rig.state("select owner from sync_lease") == [("another",)]


def test_planning_twice_is_refused_and_leaves_the_plan_and_its_lease_alone(rig: Rig) -> None:
    rig.make_mart(3)
    engine = planned(rig, "a")
    with pytest.raises(UnknownRun, match="planned, not extracted"):
        engine.plan("a")
    assert engine.push("a").outcomes.accepted == 3
    with pytest.raises(UnknownRun, match="committed, not planned"):
        engine.push("a")


def test_a_run_that_nobody_began_is_named(rig: Rig) -> None:
    rig.make_mart(1)
    for call in (rig.engine().plan, rig.engine().push, rig.engine().summary):
        with pytest.raises(UnknownRun, match="Run nobody is not in the ledger"):
            call("nobody")


def test_a_step_that_is_tried_again_under_its_run_id_keeps_what_was_accepted(rig: Rig) -> None:
    rig.make_mart(4)
    engine = planned(rig, "again")
    # its first try was killed after p0 and p1 were accepted and written
    rig.state("update sync_runs set status = 'sending'")
    rig.state(
        """insert into sync_acks by name
        select workspace, sync, run_id, run_date, person_id, phase from sync_plan
        where person_id in ('p0', 'p1')"""
    )
    engine.extract("again", FULL)
    assert engine.plan("again").whys == {"new": 2}
    assert engine.push("again").outcomes.accepted == 2
    assert rig.sent() == {"p2": 1, "p3": 1}
    assert engine.outcomes("again").complete
