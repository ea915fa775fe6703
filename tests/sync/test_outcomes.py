"""Promise 1: every planned operation ends as exactly one of accepted, rejected, quarantined and due."""

from __future__ import annotations

import pytest

from cio_pipelines.customerio import RetryPolicy
from cio_pipelines.sync.reports import Outcomes, Refusals
from cio_pipelines.sync.state import metadata
from cio_pipelines.sync.windows import Window

from .rig import YEARS_AGO, Rig

REFUSE_TENTHS = {"kind": "reject", "every": 10, "field": "attributes.plan", "reason": "invalid"}
BROKEN = {"kind": "status", "status": 500, "path": "/api/v2/batch"}


def people(rig: Rig, table: str, columns: str = "person_id") -> set[tuple[object, ...]]:
    return set(rig.state(f"select {columns} from {table}"))


def test_everybody_is_accepted_and_the_report_and_the_ledger_say_so(rig: Rig) -> None:
    rig.make_mart(250)
    ran = rig.run()
    assert ran.outcomes == Outcomes(
        planned=250, accepted=250, rejected=0, quarantined=0, due=0, unaccounted=0
    )
    assert ran.report.refusals == ()
    assert ran.report.ended_by is None
    assert ran.report.requests == rig.sandbox.stats()["requests"] - 1  # the preflight
    assert len(rig.profiles()) == 250
    summary = rig.engine().summary(ran.run_id)
    assert (summary.status, summary.extracted, summary.unchanged) == ("committed", 250, 0)
    assert summary.outcomes == ran.outcomes
    assert summary.requests == ran.report.requests


def test_operations_refused_by_a_207_are_rejected_and_only_they_are_sent_again(rig: Rig) -> None:
    rig.make_mart(200)
    with rig.faults(REFUSE_TENTHS):
        first = rig.run()
    refused = {o["id"] for o in rig.sandbox.operations() if o["outcome"] == "rejected"}
    assert len(refused) == 20
    assert (first.outcomes.accepted, first.outcomes.rejected) == (180, 20)
    assert first.report.refusals == (Refusals("customer.io", "attributes.plan", "invalid", 20),)
    assert people(rig, "sync_log where entry = 'rejected'") == {(p,) for p in refused}
    assert people(rig, "open_people", "person_id, outcome, attempts") == {(p, "rejected", 1) for p in refused}

    rig.sandbox.reset()
    second = rig.run(YEARS_AGO)
    assert second.outcomes.accepted == 20
    assert rig.sent() == dict.fromkeys(refused, 1)
    assert people(rig, "open_people") == set()


def test_three_refusals_in_all_make_a_dead_letter_that_costs_no_further_request(rig: Rig) -> None:
    rig.make_mart(30)
    with rig.faults({"kind": "reject", "ids": ["p3", "p7"], "message": "no such plan"}):
        attempts = [rig.run(window) for window in (YEARS_AGO, *[Window()] * 3)]
    assert [ran.outcomes.rejected for ran in attempts] == [0, 2, 2, 2]
    assert [ran.report.dead_letters for ran in attempts] == [0, 0, 0, 2]
    assert rig.sent()["p3"] == 3

    rig.sandbox.reset()
    after = rig.run()
    assert (after.plan.left_alone, after.plan.planned, after.report.requests) == (2, 0, 0)
    assert after.plan.extracted == after.plan.unchanged + after.plan.left_alone
    assert rig.sandbox.operations() == []
    letters = rig.engine().letters()
    assert [(x.person_id, x.kind, x.attempts, x.field, x.reason) for x in letters] == [
        ("p3", "rejected", 3, "attributes", "invalid"),
        ("p7", "rejected", 3, "attributes", "invalid"),
    ]
    assert [x.person_id for x in rig.engine().letters(limit=1)] == ["p3"]


def test_a_dead_letter_is_tried_again_when_its_row_changes(rig: Rig) -> None:
    rig.make_mart(5)
    with rig.faults({"kind": "reject", "ids": ["p3"]}):
        rig.run(max_attempts=1)
    rig.change("p3", "plan = 'pro'", touch=False)
    ran = rig.run(max_attempts=1)
    assert ran.outcomes.accepted == 1
    assert (rig.profile("p3") or {})["plan"] == "pro"
    assert rig.engine().letters() == []


def test_a_change_gives_a_refused_row_all_its_attempts_again(rig: Rig) -> None:
    rig.make_mart(1)
    with rig.faults({"kind": "reject", "ids": ["p0"]}):
        rig.run()
        rig.run()
        rig.change("p0", "plan = 'pro'")
        rig.run()
        rig.run()
        assert rig.engine().letters() == []
        rig.run()
        assert [letter.attempts for letter in rig.engine().letters()] == [3]
    assert rig.sent()["p0"] == 5


def test_a_replayed_letter_is_tried_again_whatever_the_window_with_all_its_attempts(rig: Rig) -> None:
    rig.make_mart(6)
    fault = {"kind": "reject", "ids": ["p1", "p2"]}
    with rig.faults(fault):
        rig.run(max_attempts=2)
        rig.run(max_attempts=2)
    assert rig.engine().replay(["p1", "nobody"]) == 1
    assert rig.engine().replay(["nobody"]) == 0
    rig.sandbox.reset()
    with rig.faults(fault):
        ran = rig.run(YEARS_AGO, max_attempts=2)
    assert rig.sent() == {"p1": 1}
    assert (ran.outcomes.rejected, ran.report.dead_letters) == (1, 1)
    assert people(rig, "open_people", "person_id, attempts") == {("p1", 1)}
    assert rig.engine().replay() == 1
    assert rig.run(YEARS_AGO, max_attempts=2).outcomes.accepted == 2
    assert rig.profiles().keys() == {"p1", "p2"}


def test_an_operation_with_several_errors_is_rejected_once(rig: Rig) -> None:
    rig.make_mart(20)
    with rig.faults({"kind": "reject", "every": 5, "entries": 3}):
        ran = rig.run()
    assert (ran.outcomes.accepted, ran.outcomes.rejected) == (16, 4)
    assert [refusal.people for refusal in ran.report.refusals] == [4]


def test_a_body_refused_whole_is_split_until_the_guilty_operations_are_found(rig: Rig) -> None:
    rig.make_mart(64)
    # The first two answers are a 400 for the whole body: 64 operations, then their first half.
    with rig.faults({"kind": "status", "status": 400, "path": "/api/v2/batch", "count": 2}):
        ran = rig.run()
    assert ran.outcomes == Outcomes(64, 64, 0, 0, 0, 0)
    assert ran.report.requests == 5
    assert max(rig.sent().values()) == 1


def test_a_single_operation_refused_with_400_is_rejected_and_the_rest_is_accepted(rig: Rig) -> None:
    rig.make_mart(8)
    # 8, 4, 2 and 1 operations are refused whole; the other halves pass.
    with rig.faults({"kind": "status", "status": 400, "path": "/api/v2/batch", "count": 4}):
        ran = rig.run()
    assert (ran.outcomes.accepted, ran.outcomes.rejected, ran.outcomes.due) == (7, 1, 0)
    rig.sandbox.reset()
    assert rig.run(YEARS_AGO).outcomes.accepted == 1


def test_people_without_an_answer_are_due_and_the_next_run_sends_them_whatever_its_window(rig: Rig) -> None:
    rig.make_mart(40)
    with rig.faults(BROKEN):
        ran = rig.run()
    assert ran.outcomes == Outcomes(40, 0, 0, 0, 40, 0)
    assert people(rig, "open_people", "outcome, attempts") == {("due", 0)}
    assert rig.sandbox.operations() == []
    after = rig.run(YEARS_AGO)
    assert (after.extraction.extracted, after.outcomes.accepted) == (40, 40)
    assert max(rig.sent().values()) == 1


def test_a_server_that_fails_for_ever_ends_the_push_after_three_bodies(rig: Rig) -> None:
    rig.make_mart(20_000)
    with rig.faults(BROKEN):
        ran = rig.run(client={"max_in_flight": 1, "retry": RetryPolicy(max_attempts=1)})
        assert ran.report.requests <= 3 + 10  # bodies in flight when the third ends are answered too
    assert "ServerError" in rig.state("select string_agg(distinct reason) from sync_log")[0][0]
    assert ran.report.ended_by is not None
    assert "500" in ran.report.ended_by
    assert (ran.outcomes.due, ran.outcomes.planned) == (20_000, 20_000)


def test_nobody_at_the_address_leaves_everybody_due_and_says_so(rig: Rig) -> None:
    rig.make_mart(12)
    ran = rig.run(client={"base_url": "http://127.0.0.1:9"})
    assert ran.outcomes == Outcomes(12, 0, 0, 0, 12, 0)
    assert ran.report.ended_by is not None
    assert "reachable" in ran.report.ended_by
    assert rig.run(YEARS_AGO).outcomes.accepted == 12


def test_wrong_credentials_end_the_push_before_anything_is_sent(rig: Rig) -> None:
    rig.make_mart(12)
    ran = rig.run(client={"api_key": "another-key"})
    assert ran.outcomes.due == 12
    assert ran.report.ended_by is not None
    assert "Track API key" in ran.report.ended_by
    assert "another-key" not in ran.report.ended_by
    assert rig.sandbox.operations() == []


def test_another_region_ends_the_push_before_anything_is_sent(rig: Rig) -> None:
    from cio_pipelines.customerio import Region

    rig.make_mart(3)
    ran = rig.run(region=Region.EU)
    assert ran.outcomes.due == 3
    assert "CUSTOMERIO_REGION=us" in str(ran.report.ended_by)
    assert rig.sandbox.operations() == []


def test_credentials_revoked_in_mid_run_leave_the_rest_due(rig: Rig) -> None:
    rig.make_mart(20_000)
    fault = {"kind": "status", "status": 401, "path": "/api/v2/batch", "after": 2}
    with rig.faults(fault):
        ran = rig.run()
    assert ran.outcomes.accepted > 0
    assert ran.outcomes.due > 0
    assert ran.outcomes.accepted + ran.outcomes.due == 20_000
    rig.sandbox.reset()
    after = rig.run(YEARS_AGO)
    assert after.outcomes.accepted == ran.outcomes.due
    assert len(rig.sent()) == ran.outcomes.due


def test_a_region_that_cannot_be_verified_is_a_warning_and_the_push_goes_on(rig: Rig) -> None:
    rig.make_mart(3)
    with rig.faults({"kind": "status", "status": 404, "path": "/api/v1/accounts/region", "body": "html"}):
        ran = rig.run()
    assert ran.outcomes.accepted == 3
    assert "not verified" in str(ran.report.preflight)


def test_an_answer_that_cannot_be_read_is_no_acceptance(rig: Rig) -> None:
    rig.make_mart(9)
    with rig.faults({"kind": "bogus_indexes"}):
        ran = rig.run()
    assert ran.outcomes.due == 9
    assert rig.run(YEARS_AGO).outcomes.accepted == 9


def test_all_four_outcomes_add_up_in_one_run(rig: Rig) -> None:
    rig.make_mart(12_000)
    rig.sql("update analytics.customerio_people set plan = repeat('x', 1001) where person_id < 'p1001'")
    quarantined = rig.sql("select count(*) from analytics.customerio_people where length(plan) > 1000")[0][0]
    stop = {"kind": "status", "status": 401, "path": "/api/v2/batch", "after": 2}
    with rig.faults(REFUSE_TENTHS, stop):
        ran = rig.run()
    outcomes = ran.outcomes
    assert outcomes.quarantined == quarantined > 0
    assert min(outcomes.accepted, outcomes.rejected, outcomes.due) > 0
    assert outcomes.accepted + outcomes.rejected + outcomes.quarantined + outcomes.due == 12_000
    assert {refusal.source for refusal in ran.report.refusals} == {"customer.io", "quarantine"}
    told = sum(refusal.people for refusal in ran.report.refusals)
    assert told == outcomes.rejected + outcomes.quarantined
    assert outcomes.rejected_share == pytest.approx(0.1, abs=0.01)


def test_progress_counts_every_answered_operation_up_to_the_total(rig: Rig) -> None:
    rig.make_mart(9_000)
    seen: list[tuple[int, int]] = []
    rig.run(progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (9_000, 9_000)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


DAMAGE = {
    "two outcomes": """insert into sync_log (workspace, sync, run_id, run_date, entry, person_id, phase)
        select workspace, sync, run_id, run_date, 'rejected', person_id, phase from sync_acks limit 1""",
    "an acknowledgement is gone": "delete from sync_acks where person_id = 'p5'",
    "an acknowledgement is there twice": "insert into sync_acks select * from sync_acks limit 1",
    "somebody else's acknowledgement": """insert into sync_acks by name
        select workspace, sync, run_id, run_date, 'stranger' as person_id, phase from sync_acks limit 1""",
    "an answered body is gone": "delete from sync_log where entry = 'batch'",
    "a refusal is gone": "delete from sync_log where entry = 'rejected' and person_id = 'p3'",
    "a refusal of nobody": "update sync_log set person_id = 'stranger' where person_id = 'p3'",
    "a refusal is there twice": "insert into sync_log select * from sync_log where entry = 'rejected'",
    "an accepted operation is gone from the plan": "delete from sync_plan where person_id = 'p5'",
    "a refused operation is gone from the plan": "delete from sync_plan where person_id = 'p3'",
    "a quarantined operation is gone from the plan": "delete from sync_plan where person_id = 'p4'",
    "an operation is planned twice": "insert into sync_plan select * from sync_plan where person_id = 'p4'",
    "the snapshot lacks an accepted person": "delete from synced_people where person_id = 'p5'",
    "nobody remembers a refused person": "delete from open_people where person_id = 'p3'",
    "nobody remembers a quarantined person": "delete from dead_letters where person_id = 'p4'",
    "an accepted person is of another run": "update synced_people set run_id = 'x' where person_id = 'p5'",
}


def test_tables_that_contradict_each_other_are_told(rig: Rig) -> None:
    rig.make_mart(10)
    rig.change("p4", "plan = repeat('x', 2000)")
    with rig.faults({"kind": "reject", "ids": ["p3"]}):
        ran = rig.run()
    assert ran.outcomes == Outcomes(10, 8, 1, 1, 0, 0)
    engine = rig.engine()
    tables = [table.name for table in metadata.sorted_tables]
    rig.sql(
        "create schema whole;"
        + "".join(f"create table whole.{t} as from customerio_sync.{t};" for t in tables)
    )
    for damage, statement in DAMAGE.items():
        rig.state(statement)
        outcomes = engine.outcomes(ran.run_id)
        assert outcomes.unaccounted > 0, damage
        assert not outcomes.complete, damage
        rig.sql(
            "".join(
                f"delete from customerio_sync.{t}; insert into customerio_sync.{t} from whole.{t};"
                for t in tables
            )
        )
        assert engine.outcomes(ran.run_id) == ran.outcomes, damage


def test_what_later_runs_do_is_no_contradiction_of_an_earlier_one(rig: Rig) -> None:
    rig.make_mart(10)
    with rig.faults({"kind": "reject", "ids": ["p3"]}):
        first = rig.run()
    rig.sql("delete from analytics.customerio_people where person_id = 'p3'")
    rig.change("p5", "opted_out = true")
    rig.run()
    assert rig.engine().outcomes(first.run_id) == first.outcomes


def test_the_same_run_id_in_two_workspaces_has_two_ledgers(rig: Rig) -> None:
    rig.make_mart(4)
    for workspace in ("a", "b"):
        engine = rig.engine(workspace=workspace)
        engine.extract("same", Window())
        engine.plan("same")
        assert engine.push("same").outcomes == Outcomes(4, 4, 0, 0, 0, 0)
    assert rig.engine(workspace="a").outcomes("same").accepted == 4
    assert rig.sent() == dict.fromkeys(["p0", "p1", "p2", "p3"], 2)


def test_a_run_id_used_again_begins_anew(rig: Rig) -> None:
    rig.make_mart(4)
    engine = rig.engine()
    engine.extract("again", Window())
    engine.plan("again")
    assert engine.push("again").outcomes.accepted == 4
    rig.change("p1", "plan = 'pro'")
    engine.extract("again", Window())
    assert engine.plan("again").planned == 1
    assert engine.push("again").outcomes == Outcomes(1, 1, 0, 0, 0, 0)
    assert (rig.profile("p1") or {})["plan"] == "pro"


def test_no_personal_data_is_in_the_log_the_report_or_the_preview(rig: Rig) -> None:
    rig.sql(
        """insert into analytics.customerio_people
        values ('p1', now()::timestamp, false, null, 'zoe.secret@example.com', 'Zoë-Secret', 'free')"""
    )
    with rig.faults({"kind": "reject", "message": "value zoe.secret@example.com is invalid"}):
        ran = rig.run()
    logged = str(rig.state("select * exclude (person_id) from sync_log")) + str(ran.report) + str(ran.plan)
    logged += str(rig.state("select * from dead_letters")) + str(rig.state("select * from open_people"))
    logged += rig.engine().preview(ran.run_id).to_string()
    assert "secret" not in logged.lower()
