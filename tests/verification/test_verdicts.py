"""What counts as a loss and what does not, and what becomes of it by the settable rule."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from cio_pipelines.sandbox import SandboxOptions, SandboxServer
from cio_pipelines.sync.key import SyncKey
from cio_pipelines.sync.specs import PEOPLE
from cio_pipelines.sync.windows import FULL
from cio_pipelines.verification.engine import Verifier
from cio_pipelines.verification.reports import NotVerifiable, Rule, VerificationSettings
from tests.sync.rig import YEARS_AGO, Rig

from .rig import told, verify, write

LOST = {"kind": "unapplied", "ids": ["p1"]}
LATER = 10
"""Seconds by which somebody else's write claims to be newer than the run."""


def test_somebody_elses_newer_word_is_no_loss(rig: Rig) -> None:
    rig.make_mart(3)
    ran = rig.run()
    write(rig.sandbox, "p1", plan="elsewhere", _timestamp=int(time.time()) + LATER)

    found = verify(rig, ran.run_id)

    assert (found.verdict, found.read_back.overwritten, found.read_back.agreed) == ("verified", 1, 3)
    assert rig.run(YEARS_AGO).plan.planned == 0


def test_what_somebody_else_has_removed_since_is_no_loss(rig: Rig) -> None:
    rig.make_mart(3)
    ran = rig.run()
    while time.time() < ran.extraction.extracted_at.timestamp() + 1:
        time.sleep(0.05)
    write(rig.sandbox, "p1", plan=None)

    found = verify(rig, ran.run_id)

    assert (found.verdict, found.read_back.overwritten) == ("verified", 1)


def test_an_older_write_that_counts_is_a_loss(rig: Rig) -> None:
    rig.make_mart(3)
    with rig.faults({"kind": "unapplied", "ids": ["p1"], "loss": "attribute", "attribute": "plan"}):
        ran = rig.run()
    write(rig.sandbox, "p1", plan="elsewhere", _timestamp=int(time.time()) - 1_000)

    assert told(verify(rig, ran.run_id)) == {("p1", "plan", "stale")}


def test_what_is_lost_again_and_again_becomes_a_dead_letter_that_can_be_replayed(rig: Rig) -> None:
    rig.make_mart(3)
    with rig.faults(LOST):
        for attempt in range(3):
            ran = rig.run(YEARS_AGO if attempt else FULL)
            assert ran.outcomes.accepted == (1 if attempt else 3)
            found = verify(rig, ran.run_id)
            assert (found.settled.resent, found.settled.dead_lettered) == ((1, 0) if attempt < 2 else (0, 1))
    [letter] = rig.engine().letters()
    assert (letter.person_id, letter.kind, letter.attempts) == ("p1", "unapplied", 3)
    assert letter.reason == "person_missing"

    after = rig.run()

    assert (after.plan.planned, after.plan.left_alone) == (0, 1)
    assert rig.engine().replay(["p1"]) == 1
    assert rig.run(YEARS_AGO).outcomes.accepted == 1
    assert rig.profile("p1") is not None
    assert rig.engine().letters() == []


def test_a_dead_letter_is_tried_again_when_its_row_changes_which_the_guards_count(rig: Rig) -> None:
    rig.make_mart(3)
    with rig.faults(LOST):
        verify(rig, rig.run().run_id, rule="dead_letter")
    assert rig.run().plan.left_alone == 1

    rig.change("p1", "plan = 'pro'")
    ran = rig.run()

    assert ran.plan.whys == {"changed": 1}
    assert (rig.profile("p1") or {})["plan"] == "pro"


@pytest.mark.parametrize(("rule", "planned", "letters"), [("report", 0, 0), ("dead_letter", 0, 1)])
def test_by_the_rule_a_loss_is_only_told_or_given_up_at_once(
    rig: Rig, rule: Rule, planned: int, letters: int
) -> None:
    rig.make_mart(3)
    with rig.faults(LOST):
        ran = rig.run()

    found = verify(rig, ran.run_id, rule=rule)

    assert found.verdict == "verified with differences"
    assert rig.run().plan.planned == planned
    assert len(rig.engine().letters()) == letters


def test_verifying_a_run_twice_counts_one_attempt(rig: Rig) -> None:
    rig.make_mart(3)
    with rig.faults(LOST):
        ran = rig.run()

    for _ in range(2):
        verify(rig, ran.run_id)

    assert rig.state("select person_id, attempts, outcome from open_people") == [("p1", 1, "unapplied")]
    assert rig.state("select count(*) from sync_differences") == [(1,)]


def test_what_a_later_run_has_sent_since_is_left_alone(rig: Rig) -> None:
    rig.make_mart(3)
    with rig.faults(LOST):
        ran = rig.run()
    rig.change("p1", "plan = 'pro'")
    rig.run()

    found = verify(rig, ran.run_id)

    assert found.settled.resent == 0
    assert rig.run(YEARS_AGO).plan.planned == 0


def test_customer_io_has_its_time_until_it_has_applied_what_it_accepted(tmp_path: Path) -> None:
    with SandboxServer(SandboxOptions(apply_delay=1.0)) as slow:
        rig = Rig(tmp_path / "warehouse.duckdb", slow)
        rig.make_mart(5)
        ran = rig.run()

        found = verify(rig, ran.run_id, wait_seconds=20)

    assert found.verdict == "verified"
    assert 0 < found.read_back.waited_seconds < 15


def test_who_is_named_by_the_log_is_read_back_beside_the_sample(rig: Rig) -> None:
    rig.make_mart(200)
    lost = {"kind": "unapplied", "ids": [f"p{n}" for n in range(150)], "loss": "conflict", "trace": True}
    with rig.faults(lost):
        ran = rig.run()

    found = verify(rig, ran.run_id, sample=5)

    assert told(found) == {(f"p{n}", "email", "missing") for n in range(150)}
    assert found.applied.confirmed == 150


def test_what_is_not_looked_at_in_the_log_is_told(rig: Rig) -> None:
    rig.make_mart(150)
    with rig.faults({"kind": "unapplied", "loss": "conflict", "trace": True}):
        ran = rig.run()

    found = verify(rig, ran.run_id, sample=1, pages=1)

    assert found.applied.unread == ("failed_attribute_change",)
    assert found.applied.entries == {"failed_attribute_change": 100}


def test_without_reading_back_the_log_alone_judges(rig: Rig) -> None:
    rig.make_mart(5)
    with rig.faults({**LOST, "loss": "conflict", "trace": True}):
        ran = rig.run()

    found = verify(rig, ran.run_id, sample=0)

    assert told(found) == {("p1", "email", "reported")}
    assert rig.run(YEARS_AGO).plan.whys == {"unapplied": 1}
    assert verify(rig, rig.run().run_id, sample=0).verdict == "verified"


def test_a_sample_has_people_of_every_kind(rig: Rig) -> None:
    rig.make_mart(100)
    rig.run()
    rig.sql("update analytics.customerio_people set plan = 'pro', opted_out = person_id in ('p3', 'p4')")
    with rig.faults({"kind": "unapplied", "ids": ["p3", "p4"]}):
        ran = rig.run()

    found = verify(rig, ran.run_id, sample=20)

    assert found.read_back.sampled == 20
    assert told(found) == {("p3", "", "person_present"), ("p4", "", "person_present")}


@pytest.mark.parametrize("status", [403, 404, 500])
def test_an_app_api_that_does_not_answer_is_no_failure_and_no_verdict(rig: Rig, status: int) -> None:
    rig.make_mart(3)
    ran = rig.run()
    with rig.faults({"kind": "status", "status": status, "path": "/v1/"}):
        found = verify(rig, ran.run_id)

    assert found.verdict == "not verifiable"
    assert str(status) in (found.why or "")
    assert rig.run().plan.planned == 0


def test_a_workspace_that_nothing_can_be_read_from_says_so(rig: Rig) -> None:
    rig.make_mart(3)
    ran = rig.run()

    def connect() -> object:
        raise NotVerifiable("there is no key")

    verifier = Verifier(
        rig.warehouse,
        SyncKey("tests", PEOPLE.name),
        VerificationSettings(),
        connect,  # type: ignore[arg-type]
    )
    found = verifier.verify(ran.run_id)

    assert (found.verdict, found.why) == ("not verifiable", "there is no key")
    assert rig.state("select verdict, why from sync_verifications") == [("not verifiable", "there is no key")]


def test_a_sandbox_that_discards_is_not_verifiable(tmp_path: Path) -> None:
    with SandboxServer(SandboxOptions(discard=True)) as server:
        rig = Rig(tmp_path / "warehouse.duckdb", server)
        rig.make_mart(5)
        ran = rig.run()
        found = verify(rig, ran.run_id)

    assert found.verdict == "not verifiable"
