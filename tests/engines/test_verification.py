"""What was accepted and not applied is found and sent again on every engine."""

from __future__ import annotations

import sqlalchemy as sa

from cio_pipelines.sync.key import SyncKey
from cio_pipelines.sync.specs import PEOPLE
from cio_pipelines.sync.state import open_people, sync_differences, sync_verifications, synced_people
from cio_pipelines.sync.windows import FULL
from cio_pipelines.verification.engine import Verifier
from cio_pipelines.verification.reports import Verification, VerificationSettings
from tests.sync.rig import YEARS_AGO
from tests.verification.rig import app, told

from .rig import EngineRig


def verify(rig: EngineRig, run_id: str) -> Verification:
    key = SyncKey(rig.workspace, PEOPLE.name)
    settings = VerificationSettings(wait_seconds=0)
    return Verifier(rig.warehouse, key, settings, lambda: app(rig.sandbox)).verify(run_id)


def test_a_lost_person_is_named_written_down_and_sent_again_by_a_windowed_run(rig: EngineRig) -> None:
    people = [{"person_id": f"p{n}", "plan": "free", "amount": n} for n in range(6)]
    rig.make_mart(people, plan=sa.String(), amount=sa.Numeric(18, 4))
    lost = {"kind": "unapplied", "ids": ["p1", "p2"], "loss": "attribute", "attribute": "plan"}
    with rig.faults({**lost, "ids": ["p2"]}, {"kind": "unapplied", "ids": ["p1"]}):
        ran = rig.run(FULL)

    found = verify(rig, ran.run_id)

    differences = {("p1", "", "person_missing"), ("p2", "plan", "missing")}
    assert told(found) == differences
    assert found.ledger.contradictions == 0
    assert set(rig.state(sync_differences, "person_id", "attribute", "kind")) == differences
    assert rig.state(sync_verifications, "verdict", "differing") == [("verified with differences", 2)]
    assert rig.state(open_people, "person_id", "attempts") == [("p1", 1), ("p2", 1)]
    assert len({row[1] for row in rig.state(synced_people, "person_id", "attributes_hash")}) == 5
    healed = rig.run(YEARS_AGO)
    assert healed.plan.whys == {"unapplied": 2}
    assert verify(rig, healed.run_id).verdict == "verified"
    assert set(rig.profiles()) == {f"p{n}" for n in range(6)}
