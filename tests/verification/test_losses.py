"""Promise 8: what Customer.io accepts and does not apply is found, named, and healed by the next run."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sync.rig import YEARS_AGO, Rig

from .rig import told, verify, write

UPDATED = "plan = 'pro', first_name = 'Bea'"


def test_a_sync_that_arrived_is_verified(rig: Rig) -> None:
    rig.make_mart(250)
    ran = rig.run()

    found = verify(rig, ran.run_id)

    read = found.read_back
    assert (found.verdict, found.accepted, read.sampled, read.agreed) == ("verified", 250, 250, 250)
    assert rig.state("select verdict, accepted, differing from sync_verifications") == [("verified", 250, 0)]


def test_a_run_that_had_nothing_accepted_costs_no_request(rig: Rig) -> None:
    rig.make_mart(3)
    rig.run()
    nothing = rig.run()
    before = rig.sandbox.stats()["requests"]

    found = verify(rig, nothing.run_id)

    assert (found.verdict, found.accepted) == ("verified", 0)
    assert rig.sandbox.stats()["requests"] == before


LOSSES: dict[str, tuple[dict[str, Any], set[tuple[str, str]], str]] = {
    "all": ({}, {("", "person_missing")}, "failed_batch_update"),
    "update_miss": ({}, {("", "person_missing")}, "failed_attribute_change"),
    "conflict": ({}, {("email", "missing")}, "failed_attribute_change"),
    "attribute": ({"attribute": "plan"}, {("plan", "missing")}, "failed_attribute_change"),
    "stale": ({"attribute": "plan"}, {("plan", "stale")}, "skipped_update"),
}


@pytest.mark.parametrize("trace", [False, True], ids=["silent", "traced"])
@pytest.mark.parametrize("loss", LOSSES)
def test_what_is_lost_of_a_person_is_named_and_healed_by_a_windowed_run(
    rig: Rig, loss: str, trace: bool
) -> None:
    options, lost, reason = LOSSES[loss]
    rig.make_mart(20)
    with rig.faults({"kind": "unapplied", "ids": ["p7"], "loss": loss, "trace": trace, **options}):
        ran = rig.run()

    found = verify(rig, ran.run_id)

    assert found.verdict == "verified with differences"
    assert told(found) == {("p7", attribute, kind) for attribute, kind in lost}
    assert {each.reason for each in found.differences} == {reason if trace else ""}
    assert found.applied.confirmed == int(trace)
    assert found.settled.resent == 1
    healed = rig.run(YEARS_AGO)
    assert healed.plan.whys == {"unapplied": 1}
    assert healed.outcomes.accepted == 1
    assert rig.profile("p7") == {"email": "p7@example.com", "first_name": "Ann", "plan": "free"}
    assert verify(rig, healed.run_id).verdict == "verified"
    assert rig.run().plan.planned == 0


def test_of_an_update_the_lost_attribute_is_named(rig: Rig) -> None:
    rig.make_mart(3)
    rig.run()
    rig.sandbox.set_faults([])
    rig.change("p1", UPDATED)
    with rig.faults({"kind": "unapplied", "ids": ["p1"], "loss": "stale", "attribute": "plan"}):
        ran = rig.run()

    found = verify(rig, ran.run_id)

    assert told(found) == {("p1", "plan", "stale")}
    rig.run(YEARS_AGO)
    assert (rig.profile("p1") or {})["plan"] == "pro"


def test_an_email_that_is_another_persons_is_named_with_the_logs_word_and_healed_when_it_is_free(
    rig: Rig,
) -> None:
    rig.make_mart(2)
    rig.run()
    write(rig.sandbox, "elsewhere", email="taken@example.com")
    rig.change("p1", "email = 'taken@example.com'")
    ran = rig.run()
    assert ran.outcomes.accepted == 1

    found = verify(rig, ran.run_id)

    [difference] = found.differences
    assert (difference.person_id, difference.attribute) == ("p1", "email")
    assert difference.reason == "failed_attribute_change"
    write(rig.sandbox, "elsewhere", email="another@example.com")
    rig.run(YEARS_AGO)
    assert (rig.profile("p1") or {})["email"] == "taken@example.com"


def test_a_suppression_that_was_lost_is_told_by_the_person_who_is_still_there(rig: Rig) -> None:
    rig.make_mart(3)
    rig.run()
    rig.change("p1", "opted_out = true")
    with rig.faults({"kind": "unapplied", "ids": ["p1"]}):
        ran = rig.run()

    found = verify(rig, ran.run_id)

    assert told(found) == {("p1", "", "person_present")}
    healed = rig.run(YEARS_AGO)
    assert (healed.plan.operations, healed.plan.whys) == ({"suppress": 1}, {"unapplied": 1})
    assert rig.profile("p1") is None
    assert verify(rig, healed.run_id).verdict == "verified"


def test_an_erasure_that_was_lost_is_told_and_done_again(rig: Rig) -> None:
    rig.make_mart(3)
    rig.run()
    rig.change("p1", "deleted_at = updated_at")
    with rig.faults({"kind": "unapplied", "ids": ["p1"]}):
        ran = rig.erase()

    found = verify(rig, ran.run_id)

    assert told(found) == {("p1", "", "person_present")}
    again = rig.erase()
    assert again.plan.operations == {"suppress": 1, "delete": 1}
    assert [verdict.count for verdict in again.plan.verdicts] == [0]
    assert rig.profile("p1") is None
    assert rig.erase().plan.planned == 0
