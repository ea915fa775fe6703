"""Promise 7: no accidental mass change."""

from __future__ import annotations

import pytest

from cio_pipelines.sync.errors import UnknownRun
from cio_pipelines.sync.guards import (
    Approvals,
    Counts,
    GuardLimits,
    Limits,
    erasure_verdict,
    people_verdicts,
)
from cio_pipelines.sync.windows import FULL

from .rig import Rig

TIGHT = GuardLimits(changed=Limits(0.3, 2), suppressed=Limits(0.05, 1), erased=Limits(0.01, 1))


@pytest.fixture
def guarded(rig: Rig) -> Rig:
    """Forty synced people under tight guards."""
    rig.make_mart(40)
    rig.run()
    rig.sandbox.reset()
    rig.defaults["guards"] = TIGHT
    return rig


def touch(rig: Rig, people: int, assignment: str) -> None:
    rig.sql(
        f"""update analytics.customerio_people set {assignment}, updated_at = now()::timestamp
        where person_id like 'p%' and cast(person_id[2:] as integer) < ?""",
        people,
    )


@pytest.mark.parametrize(
    ("count", "known", "allowed"),
    [(0, 0, True), (2, 0, True), (3, 0, False), (2, 1, True), (30, 100, True), (31, 100, False)],
)
def test_a_limit_stops_what_is_beyond_both_share_and_number(count: int, known: int, allowed: bool) -> None:
    assert Limits(0.3, 2).allows(count, known) is allowed


def test_the_defaults_are_those_of_the_design() -> None:
    limits = GuardLimits()
    assert [limit.share for limit in (limits.changed, limits.suppressed, limits.erased)] == [0.3, 0.05, 0.01]


def test_each_guard_is_lifted_by_its_own_approval_only() -> None:
    counts = Counts(known=100, changed=90, mapping=90, suppressed=90, erased=90)

    def stopped(approvals: Approvals) -> set[str]:
        verdicts = [
            *people_verdicts(counts, TIGHT, approvals),
            erasure_verdict(counts, TIGHT, approvals),
        ]
        return {verdict.name for verdict in verdicts if not verdict.passed}

    everything = {"changed_people", "mapping_change", "suppressed_people", "erased_people"}
    assert stopped(Approvals()) == everything
    assert stopped(Approvals(changed=True)) == everything - {"changed_people"}
    assert stopped(Approvals(mapping=True)) == everything - {"mapping_change"}
    assert stopped(Approvals(suppressed=True)) == everything - {"suppressed_people"}
    assert stopped(Approvals(erased=True)) == everything - {"erased_people"}


@pytest.mark.parametrize("approved", [False, True])
def test_a_verdict_says_how_many_of_how_many_and_what_to_do(approved: bool) -> None:
    verdict = erasure_verdict(Counts(known=200, erased=50), TIGHT, Approvals(erased=approved))
    assert "50 of 200 people (25.0%), limit 1%" in str(verdict)
    assert ("--allow-erasures" in str(verdict)) is not approved


def test_too_many_changes_stop_the_plan_and_send_nothing(guarded: Rig) -> None:
    touch(guarded, 12, "plan = 'pro'")
    assert not guarded.plan().blocked
    touch(guarded, 13, "plan = 'team'")
    engine = guarded.engine()
    engine.extract("big", FULL)
    plan = engine.plan("big")
    assert plan.blocked
    assert [(v.name, v.count, v.known) for v in plan.verdicts if not v.passed] == [("changed_people", 13, 40)]
    with pytest.raises(UnknownRun, match="blocked"):
        engine.push("big")
    assert guarded.sandbox.stats()["requests"] == 0


def test_a_blocked_plan_is_not_brought_back_by_the_next_run(guarded: Rig) -> None:
    touch(guarded, 30, "plan = 'pro'")
    assert guarded.plan().blocked
    engine = guarded.engine()
    engine.extract("big", FULL)
    assert engine.plan("big").blocked
    touch(guarded, 30, "plan = 'free'")
    ran = guarded.run()
    assert ran.plan.planned == 0
    assert guarded.sandbox.operations() == []
    assert guarded.engine().summary("big").status == "blocked"
    assert guarded.state("select count(*) from open_people") == [(0,)]


def test_an_approved_plan_is_sent(guarded: Rig) -> None:
    touch(guarded, 30, "plan = 'pro'")
    assert guarded.run(approvals=Approvals(changed=True)).outcomes.accepted == 30


def test_silent_changes_count_as_changes(guarded: Rig) -> None:
    guarded.sql("update analytics.customerio_people set plan = 'pro'")
    plan = guarded.plan()
    assert (plan.blocked, plan.silent) == (True, 40)


def test_new_people_and_quarantined_ones_count_for_no_guard(guarded: Rig) -> None:
    guarded.sql(
        """insert into analytics.customerio_people
        select 'n' || i, now()::timestamp, false, null, null, 'Bo', 'free' from range(500) r(i)"""
    )
    touch(guarded, 40, "plan = repeat('x', 2000)")
    plan = guarded.plan()
    assert not plan.blocked
    assert (plan.whys["new"], plan.quarantined_people) == (500, 40)


def test_the_denominator_is_the_larger_of_snapshot_and_mart(guarded: Rig) -> None:
    guarded.sql("delete from analytics.customerio_people where person_id >= 'p3'")
    shrunken = guarded.plan()
    assert {verdict.known for verdict in shrunken.verdicts} == {40}
    guarded.sql(
        """insert into analytics.customerio_people
        select 'n' || i, now()::timestamp, false, null, null, 'Bo', 'free' from range(100) r(i)"""
    )
    living = guarded.sql("select count(*) from analytics.customerio_people")[0][0]
    assert {verdict.known for verdict in guarded.plan().verdicts} == {living}


def test_a_first_sync_may_identify_everybody_but_not_suppress_them(rig: Rig) -> None:
    rig.make_mart(400)
    assert not rig.plan(guards=TIGHT).blocked
    rig.sql("update analytics.customerio_people set opted_out = true where person_id like 'p1%'")
    plan = rig.plan(guards=TIGHT)
    assert [verdict.name for verdict in plan.verdicts if not verdict.passed] == ["suppressed_people"]
    assert not rig.plan(guards=TIGHT, approvals=Approvals(suppressed=True)).blocked


def test_too_many_erasures_stop_the_plan_and_send_nothing(guarded: Rig) -> None:
    touch(guarded, 2, "deleted_at = now()::timestamp")
    engine = guarded.engine()
    plan = engine.plan_erasure("e1")
    assert plan.blocked
    assert [(v.count, v.known) for v in plan.verdicts] == [(2, 40)]
    with pytest.raises(UnknownRun):
        engine.push("e1")
    assert guarded.sandbox.operations() == []
    assert guarded.erase(Approvals(erased=True)).outcomes.accepted == 4


def test_an_empty_or_shrunken_mart_erases_nobody(guarded: Rig) -> None:
    for condition in ("person_id >= 'p2'", "true"):
        guarded.sql(f"delete from analytics.customerio_people where {condition}")
        assert guarded.run().plan.planned == 0
        assert guarded.erase().plan.planned == 0
    assert guarded.sandbox.operations() == []
    assert guarded.state("select count(*) from synced_people where state = 'identified'") == [(40,)]


def test_a_dry_run_is_kept_to_be_read_and_can_never_be_sent(guarded: Rig) -> None:
    touch(guarded, 2, "plan = 'pro'")
    plan = guarded.plan()
    assert (plan.dry_run, plan.planned) == (True, 2)
    shown = guarded.engine().preview(plan.run_id)
    assert shown["changes"].tolist() == ["plan: f…(4) → p…(3)"] * 2
    assert shown["person_id"].tolist() == ["p0", "p1"]
    with pytest.raises(UnknownRun, match="dry_run"):
        guarded.engine().push(plan.run_id)
    assert guarded.run().plan.whys == {"changed": 2}
