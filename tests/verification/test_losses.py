"""Promise 8: what Customer.io accepts and does not apply is found, named, and healed by the next run."""

from __future__ import annotations

from tests.sync.rig import YEARS_AGO, Rig

from .rig import told, verify


def test_a_sync_that_arrived_is_verified(rig: Rig) -> None:
    rig.make_mart(250)
    ran = rig.run()

    found = verify(rig, ran.run_id)

    assert (found.verdict, found.accepted, found.read_back.sampled, found.read_back.agreed) == (
        "verified",
        250,
        250,
        250,
    )
    assert rig.state("select verdict, accepted, differing from sync_verifications") == [("verified", 250, 0)]


def test_a_person_lost_silently_is_named_and_healed_by_a_windowed_run(rig: Rig) -> None:
    rig.make_mart(20)
    with rig.faults({"kind": "unapplied", "ids": ["p7"]}):
        ran = rig.run()
    assert rig.profile("p7") is None

    found = verify(rig, ran.run_id)

    assert found.verdict == "verified with differences"
    assert told(found) == {("p7", "", "person_missing")}
    healed = rig.run(YEARS_AGO)
    assert healed.plan.whys == {"unapplied": 1}
    assert healed.outcomes.accepted == 1
    assert rig.profile("p7") is not None
    assert verify(rig, healed.run_id).verdict == "verified"
    assert rig.run().plan.planned == 0
