"""A life of a people sync, told once and the same on every engine: promises 1 to 4 of the design.

Every step is a run with what was planned, received and remembered by it; the tests look at the steps.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa

from cio_pipelines.sandbox import SandboxServer
from cio_pipelines.sync.letters import DeadLetter
from cio_pipelines.sync.reports import Outcomes, Plan
from cio_pipelines.sync.state import open_people, sync_acks, sync_log, sync_plan, synced_people
from tests.sync.rig import EVERYTHING, YEARS_AGO, Ran

from .rig import MAY, EngineRig

TEXT = sa.String()
ATTRIBUTES = {"email": TEXT, "first_name": TEXT, "plan": TEXT}
LONG = "x" * 1_001


def person(name: str, **values: Any) -> dict[str, Any]:
    return {"person_id": name, "email": f"{name}@example.com", "first_name": "Ann", "plan": "free", **values}


def people() -> list[dict[str, Any]]:
    return [
        *(person(name) for name in ("steady", "changer", "silent", "emptied", "leaver", "refused", "once")),
        person("long", first_name=LONG),
        person("twin", email="Twin@example.com"),
        person("other twin", email="twin@example.com"),
        person("silent one", opted_out=True),
        person("gone", deleted_at=MAY),
    ]


@dataclass
class Step:
    """What a run did, and what was there when it had ended."""

    plan: Plan
    outcomes: Outcomes | None
    received: Counter[tuple[str, str]]
    profiles: dict[str, dict[str, Any]]
    snapshot: dict[str, str]
    waiting: dict[str, tuple[str, int]]
    letters: list[DeadLetter]


@dataclass
class Life:
    """The steps by name."""

    rig: EngineRig
    steps: dict[str, Step] = field(default_factory=dict)
    received: int = 0
    costs: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Requests and bytes of each push."""

    def ran(self, name: str, plan: Plan, ran: Ran | None = None) -> None:
        rig = self.rig
        log = rig.log()[self.received :]
        self.received += len(log)
        self.steps[name] = Step(
            plan,
            None if ran is None else ran.outcomes,
            Counter((action, who) for action, who, _ in log),
            rig.profiles(),
            dict(rig.state(synced_people, "person_id", "state")),
            {
                who: (outcome, n)
                for who, outcome, n in rig.state(open_people, "person_id", "outcome", "attempts")
            },
            rig.engine().letters(),
        )
        if ran is not None:
            self.costs[name] = ran.report.requests, ran.report.bytes_sent
        rig.sandbox.set_faults([])

    def run(self, name: str, *refused: str, window: Any = None, **options: Any) -> None:
        """A run in which these people are refused."""
        chosen = {} if window is None else {"window": window}
        faults = [{"kind": "reject", "ids": list(refused)}] if refused else []
        with self.rig.faults(*faults):
            ran = self.rig.run(**chosen, **options)
        self.ran(name, ran.plan, ran)


@pytest.fixture(scope="module")
def life(engine_rig: EngineRig, sandbox_process: SandboxServer) -> Life:
    rig = engine_rig
    sandbox_process.set_faults([])
    sandbox_process.reset()
    life = Life(rig)
    with rig.warehouse.session():
        rig.make_mart(people(), **ATTRIBUTES)
        life.run("first", "refused", "once")
        life.run("window", "refused", window=YEARS_AGO)
        rig.change("changer", email="new@example.com")
        rig.change("silent", plan="pro", touch=False)
        rig.change("emptied", first_name=None)
        rig.change("leaver", opted_out=True)
        life.run("changes", "refused")
        life.run("nothing new")
        rig.change("leaver", opted_out=False)
        assert rig.engine().replay(["refused"]) == 1
        life.run("replay and return", window=YEARS_AGO)
        life.run("return")
        rig.execute(sa.text("ALTER TABLE analytics.customerio_people DROP COLUMN plan"))
        rig.mart = sa.Table(
            rig.mart.name,
            sa.MetaData(),
            *(sa.Column(column.name, column.type) for column in rig.mart.columns if column.name != "plan"),
            schema=rig.mart.schema,
        )
        life.run("mapping", approvals=EVERYTHING)
        rig.change("steady", deleted_at=MAY)
        read = rig.engine().plan_erasure(rig.new_id(), dry_run=True)
        rig.change("steady", deleted_at=None)
        moved_on = rig.engine().plan_erasure(rig.new_id(), approved_plan=read.run_id)
        life.ran("another erasure", moved_on)
        rig.change("steady", deleted_at=MAY)
        erased = rig.erase(approved_plan=read.run_id)
        life.ran("erasure", erased.plan, erased)
        life.run("after erasure")
    return life


def step(life: Life, name: str) -> Step:
    return life.steps[name]


def test_everybody_is_new_and_ends_as_accepted_rejected_or_quarantined(life: Life) -> None:
    first = step(life, "first")
    assert first.plan.operations == {"identify": 10, "suppress": 1}
    assert first.plan.tombstoned == 1
    assert first.outcomes == Outcomes(11, 6, 2, 3, 0, 0)
    assert {refusal.reason: refusal.people for refusal in first.plan.quarantined} == {
        "shared": 2,
        "too_long": 1,
    }
    assert set(first.profiles) == {"steady", "changer", "silent", "emptied", "leaver"}
    assert first.profiles["steady"] == {"email": "steady@example.com", "first_name": "Ann", "plan": "free"}


def test_the_snapshot_holds_who_was_accepted_and_nobody_else(life: Life) -> None:
    first = step(life, "first")
    identified = dict.fromkeys(("steady", "changer", "silent", "emptied", "leaver"), "identified")
    assert first.snapshot == {**identified, "silent one": "suppressed"}
    assert first.waiting == {"refused": ("rejected", 1), "once": ("rejected", 1)}
    assert {(letter.person_id, letter.kind, letter.reason) for letter in first.letters} == {
        ("long", "quarantined", "too_long"),
        ("twin", "quarantined", "shared"),
        ("other twin", "quarantined", "shared"),
    }


def test_who_was_refused_is_tried_again_whatever_the_window(life: Life) -> None:
    window = step(life, "window")
    assert window.plan.planned == 2
    assert window.outcomes == Outcomes(2, 1, 1, 0, 0, 0)
    assert window.snapshot["once"] == "identified"
    assert window.waiting == {"refused": ("rejected", 2)}


def test_only_what_changed_is_sent_and_why_is_known(life: Life) -> None:
    changes = step(life, "changes")
    # the refused one is new still
    assert changes.plan.whys == {"changed": 2, "silent": 1, "opted_out": 1, "new": 1}
    assert changes.received == Counter(
        {
            **{("identify", name): 1 for name in ("changer", "silent", "emptied", "refused")},
            ("suppress", "leaver"): 1,
        }
    )
    assert changes.profiles["changer"]["email"] == "new@example.com"
    assert changes.profiles["silent"]["plan"] == "pro"
    assert changes.snapshot["leaver"] == "suppressed"


def test_a_value_that_is_gone_is_removed_from_the_profile(life: Life) -> None:
    assert step(life, "changes").profiles["emptied"] == {"email": "emptied@example.com", "plan": "free"}


def test_the_third_refusal_makes_a_dead_letter_that_is_left_alone(life: Life) -> None:
    changes, nothing = step(life, "changes"), step(life, "nothing new")
    assert [letter.attempts for letter in changes.letters if letter.kind == "rejected"] == [3]
    assert changes.waiting == {}
    assert nothing.plan.planned == 0
    assert nothing.plan.left_alone == 4
    assert nothing.received == Counter()


def test_a_replayed_letter_is_planned_whatever_the_window_and_is_gone_when_accepted(life: Life) -> None:
    replay = step(life, "replay and return")
    assert replay.plan.planned == 1
    assert replay.outcomes == Outcomes(1, 1, 0, 0, 0, 0)
    assert "refused" in replay.profiles
    assert {letter.kind for letter in replay.letters} == {"quarantined"}


def test_who_returns_is_unsuppressed_and_then_identified(life: Life) -> None:
    back = step(life, "return")
    assert back.plan.whys == {"returned": 1}
    assert back.received == Counter({("unsuppress", "leaver"): 1, ("identify", "leaver"): 1})
    assert back.snapshot["leaver"] == "identified"
    assert back.profiles["leaver"]["email"] == "leaver@example.com"


def test_a_dropped_column_is_announced_and_sent_as_removals_once(life: Life) -> None:
    mapping = step(life, "mapping")
    assert mapping.plan.mapping_change.removed == ("plan",)
    # whoever was quarantined is another row now
    assert mapping.plan.whys == {"mapping": 7, "new": 3}
    assert all("plan" not in attributes for attributes in mapping.profiles.values())


def touched(step: Step) -> dict[tuple[str, str], tuple[int, int, int]]:
    changes = step.plan.review.changes
    assert changes.compared == changes.updates
    return {(c.cause, c.name): (c.added, c.changed, c.removed) for c in changes.attributes}


def test_the_attributes_that_differ_are_told_before_they_are_sent(life: Life) -> None:
    assert touched(step(life, "changes")) == {
        ("data", "email"): (0, 1, 0),
        ("data", "plan"): (0, 1, 0),
        ("data", "first_name"): (0, 0, 1),
    }
    assert touched(step(life, "mapping")) == {("mapping", "plan"): (0, 0, 7)}
    assert touched(step(life, "return")) == {}


def test_a_push_needs_the_bodies_and_bytes_that_were_reckoned(life: Life) -> None:
    assert life.costs
    for name, (requests, size) in life.costs.items():
        estimate = step(life, name).plan.review.estimate
        assert (estimate.requests, estimate.bytes_sent) == (requests, size), name


def test_an_erasure_is_carried_out_by_the_approval_of_its_plan(life: Life) -> None:
    agreement = step(life, "erasure").plan.review.agreement
    assert agreement is not None
    assert agreement.passed
    refused = step(life, "another erasure").plan
    assert refused.blocked
    assert refused.review.agreement is not None
    told = refused.review.agreement
    assert (told.new, told.gone, told.different) == (0, 2, 0)


def test_a_tombstone_erases_and_leaves_no_attributes_anywhere(life: Life) -> None:
    erasure = step(life, "erasure")
    assert erasure.plan.operations == {"suppress": 2, "delete": 2}
    assert erasure.outcomes == Outcomes(4, 4, 0, 0, 0, 0)
    assert erasure.snapshot["steady"] == erasure.snapshot["gone"] == "deleted"
    assert "steady" not in erasure.profiles
    plans = life.rig.state(sync_plan, "person_id", "attributes", "removals")
    assert {row[1:] for row in plans if row[0] == "steady"} == {(None, None)}
    assert step(life, "after erasure").plan.planned == 0


def test_the_log_has_a_row_a_body_and_a_row_each_who_was_refused(life: Life) -> None:
    log = life.rig.state(sync_log, "run_id", "entry", "person_id", "reason", "field")
    refused = [row for row in log if row[1] == "rejected"]
    assert Counter(row[2] for row in refused) == {"refused": 3, "once": 1}
    assert all(row[3] for row in refused)
    assert {row[1] for row in log} == {"batch", "rejected"}
    accepted = sum(step.outcomes.accepted for step in life.steps.values() if step.outcomes)
    assert len(life.rig.state(sync_acks, "person_id")) == accepted


def test_what_is_remembered_is_what_was_sent(life: Life) -> None:
    remembered = dict(
        life.rig.state(synced_people, "person_id", "attributes"),
    )
    profiles = step(life, "after erasure").profiles
    told = {who: json.loads(text) for who, text in remembered.items() if text is not None}
    assert told == profiles
