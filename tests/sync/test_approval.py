"""A plan that was read and approved is sent as it was read, once, or not at all."""

from __future__ import annotations

from typing import Any

import pytest

from cio_pipelines.sync.errors import ApprovalRefused, UnknownRun
from cio_pipelines.sync.guards import Approvals, GuardLimits, Limits
from cio_pipelines.sync.reports import Plan
from cio_pipelines.sync.runs import ERASURE
from cio_pipelines.sync.windows import FULL, Window

from .rig import YEARS_AGO, Rig

TIGHT = GuardLimits(changed=Limits(0.1, 1), suppressed=Limits(0.05, 1), erased=Limits(0.01, 1))


@pytest.fixture
def read(rig: Rig) -> Rig:
    """Forty synced people under tight guards, of whom five have changed since."""
    rig.make_mart(40)
    rig.run()
    rig.sandbox.reset()
    rig.defaults["guards"] = TIGHT
    for person in ("p1", "p2", "p3", "p4", "p5"):
        rig.change(person, "plan = 'pro'")
    return rig


def plan(rig: Rig, approved: str | None, window: Window = FULL, **settings: Any) -> Plan:
    """A plan that may go on to be pushed."""
    run_id = rig.new_id()
    engine = rig.engine(**settings)
    engine.extract(run_id, window)
    return engine.plan(run_id, approved_plan=approved)


def carry_out(rig: Rig, approved: str) -> Plan:
    made = plan(rig, approved)
    assert not made.blocked, made.review.agreement
    assert rig.engine().push(made.run_id).outcomes.accepted == made.planned
    return made


def counts(made: Plan) -> tuple[int, int, int]:
    """Operations that are new, gone and different."""
    agreement = made.review.agreement
    assert agreement is not None
    return agreement.new, agreement.gone, agreement.different


def refused(rig: Rig, made: Plan) -> bool:
    """Whether a plan can never be sent, and nothing of it was."""
    with pytest.raises(UnknownRun, match="blocked"):
        rig.engine().push(made.run_id)
    return made.blocked and rig.sandbox.operations() == []


def test_a_dry_run_that_is_approved_is_sent_though_it_is_over_a_guards_limit(read: Rig) -> None:
    dry = read.plan()
    assert dry.blocked

    made = carry_out(read, dry.run_id)

    assert read.sent() == dict.fromkeys(("p1", "p2", "p3", "p4", "p5"), 1)
    assert counts(made) == (0, 0, 0)
    assert {guard.name: guard.word for guard in made.review.guards}["changed_people"] == "approved"
    assert read.run().plan.planned == 0


def test_a_plan_that_a_guard_has_stopped_names_the_command_that_approves_it(read: Rig) -> None:
    stopped = plan(read, None)
    [verdict] = [verdict for verdict in stopped.verdicts if not verdict.passed]
    assert f"cio sync people --approve {stopped.run_id}" in str(verdict)

    assert carry_out(read, stopped.run_id).planned == 5


def test_data_that_moved_on_is_told_by_how_much_and_nothing_is_sent(read: Rig) -> None:
    dry = read.plan()
    read.change("p1", "plan = 'team'")  # another text
    read.change("p2", "plan = 'free'")  # as it was sent
    read.change("p6", "plan = 'pro'")
    read.change("p7", "plan = 'pro'")
    read.change("p3", "opted_out = true")  # another operation, in another phase

    made = plan(read, dry.run_id)

    assert counts(made) == (3, 2, 1)
    assert refused(read, made)
    told = str(made.review.agreement)
    assert "3 operations are new, 2 are gone and 1 are different" in told
    assert "Nothing was sent" in told


def test_the_plan_that_was_refused_can_be_read_and_approved_in_its_turn(read: Rig) -> None:
    dry = read.plan()
    read.change("p6", "plan = 'pro'")
    made = plan(read, dry.run_id)
    assert refused(read, made)
    assert read.engine().preview(made.run_id)["person_id"].tolist() == [f"p{n}" for n in range(1, 7)]

    assert carry_out(read, made.run_id).planned == 6


def test_a_plan_within_the_limits_is_refused_too_when_it_is_not_the_approved_one(read: Rig) -> None:
    read.defaults["guards"] = GuardLimits()
    dry = read.plan()
    assert not dry.blocked
    read.change("p1", "plan = 'free'")

    assert refused(read, plan(read, dry.run_id))


def test_an_attribute_that_is_to_be_removed_makes_another_plan_though_the_texts_are_the_same(
    read: Rig,
) -> None:
    dry = read.plan()
    # as if another run had sent p1 one more attribute in between
    read.state(
        "update synced_people set attributes = replace(attributes, '}', ',\"was\":1}') where person_id = 'p1'"
    )

    made = plan(read, dry.run_id)

    assert counts(made) == (0, 0, 1)
    assert refused(read, made)


def test_somebody_who_is_quarantined_now_makes_another_plan(read: Rig) -> None:
    dry = read.plan()
    read.sql("update analytics.customerio_people set email = 'p1@example.com' where person_id = 'p20'")
    read.state("update synced_people set attributes_hash = 'x' where person_id = 'p1'")

    made = plan(read, dry.run_id)

    # p1 is planned with the very same content, and held back for sharing an e-mail
    assert counts(made) == (1, 0, 1)
    assert refused(read, made)


def test_a_mapping_that_moved_on_is_refused(read: Rig) -> None:
    dry = read.plan()
    read.sql("alter table analytics.customerio_people add column city varchar default 'Rome'")

    made = plan(read, dry.run_id)

    assert counts(made) == (35, 0, 5)
    assert refused(read, made)


def test_a_mapping_change_that_was_read_is_sent(read: Rig) -> None:
    read.sql("alter table analytics.customerio_people add column city varchar default 'Rome'")
    dry = read.plan()
    assert [verdict.name for verdict in dry.verdicts if not verdict.passed] == ["mapping_change"]

    assert carry_out(read, dry.run_id).planned == 40


def test_another_window_is_told(read: Rig) -> None:
    made = plan(read, read.plan().run_id, YEARS_AGO)

    assert counts(made) == (0, 5, 0)
    assert "It looked at the whole mart, and this run at [2001-01-01" in str(made.review.agreement)
    assert refused(read, made)


def test_an_approval_is_good_for_one_push(read: Rig) -> None:
    dry = read.plan()
    made = carry_out(read, dry.run_id)

    with pytest.raises(ApprovalRefused, match=f"carried out by run {made.run_id}"):
        plan(read, dry.run_id)
    with pytest.raises(ApprovalRefused, match="good for one push"):
        read.engine().approvable(dry.run_id)


def test_an_approval_that_was_refused_is_not_used_up(read: Rig) -> None:
    dry = read.plan()
    read.change("p6", "plan = 'pro'")
    assert plan(read, dry.run_id).blocked
    read.change("p6", "plan = 'free'")

    assert carry_out(read, dry.run_id).planned == 5


def test_a_push_that_was_stopped_has_used_the_approval(read: Rig) -> None:
    dry = read.plan()
    made = plan(read, dry.run_id)
    with read.faults({"kind": "status", "status": 401, "path": "/api/v2/batch"}):
        assert read.engine().push(made.run_id).outcomes.due == 5

    with pytest.raises(ApprovalRefused, match="approved before"):
        plan(read, dry.run_id)


@pytest.mark.parametrize(
    ("which", "words"),
    [
        ("nobody's", "mistyped, of another workspace, or was forgotten after 30 days"),
        ("run-1", "was carried out by its own run"),
        ("only extracted", "ended before it had a plan"),
        ("erasure", "is of kind erasure"),
    ],
)
def test_what_is_no_plan_to_approve_is_refused_with_the_reason(read: Rig, which: str, words: str) -> None:
    read.engine().extract("only extracted", FULL)
    read.engine().plan_erasure("erasure", dry_run=True)

    with pytest.raises(ApprovalRefused, match=words) as caught:
        plan(read, which)

    assert "--dry-run" in caught.value.remedy
    assert read.sandbox.operations() == []
    # the lease was given back
    assert plan(read, None).planned == 5


def test_a_plan_of_another_workspace_is_refused(read: Rig) -> None:
    dry = read.plan()

    with pytest.raises(ApprovalRefused, match="of another workspace"):
        plan(read, dry.run_id, workspace="another")


def test_an_expired_plan_is_refused_whether_or_not_it_was_forgotten_yet(read: Rig) -> None:
    dry = read.plan()
    read.age(31, dry.run_id)
    with pytest.raises(ApprovalRefused, match="older than the 30 days that plans are kept"):
        read.engine().approvable(dry.run_id)

    with pytest.raises(ApprovalRefused, match="forgotten after 30 days"):
        plan(read, dry.run_id)


def test_a_plan_tells_its_window_to_who_approves_it(read: Rig) -> None:
    assert read.engine().approvable(read.plan(YEARS_AGO).run_id) == YEARS_AGO


def test_an_erasure_is_approved_as_a_sync_is(read: Rig) -> None:
    for person in ("p10", "p11", "p12"):
        read.change(person, "deleted_at = now()::timestamp")
    engine = read.engine()
    stopped = engine.plan_erasure("stopped")
    assert stopped.blocked
    assert "cio sync people --approve stopped" in str(stopped.verdicts[0])
    assert engine.approvable("stopped", ERASURE).is_full
    read.change("p13", "deleted_at = now()::timestamp")

    moved_on = engine.plan_erasure("moved on", approved_plan="stopped")

    assert counts(moved_on) == (2, 0, 0)
    assert refused(read, moved_on)
    made = engine.plan_erasure("made", approved_plan="moved on")
    assert not made.blocked
    assert engine.push("made").outcomes.accepted == 8
    with pytest.raises(ApprovalRefused, match="carried out by run made"):
        engine.plan_erasure("again", Approvals(erased=True), approved_plan="moved on")
    with pytest.raises(ApprovalRefused, match="is of kind people"):
        engine.plan_erasure("of people", approved_plan=read.plan().run_id)
