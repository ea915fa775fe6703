"""Every planned event ends as one of accepted, rejected, quarantined and due, an accepted one for ever."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from cio_pipelines.sync.errors import SourceContractError, SyncInProgress
from cio_pipelines.sync.reports import Outcomes
from cio_pipelines.sync.state import accepted_events, dead_letters, open_people, sync_acks, sync_plan
from cio_pipelines.sync.windows import FULL

from .rig import NOON, EventRig, day, event

BROKEN = {"kind": "status", "status": 500, "path": "/api/v2/batch"}


def test_an_event_without_an_answer_is_due_and_the_next_run_sends_it_whatever_its_window(
    rig: EventRig,
) -> None:
    rig.add(event("a"), event("b"))
    rig.sandbox.set_faults([BROKEN])
    ran = rig.run(day("2026-05-20"))
    rig.sandbox.set_faults([])

    assert ran.outcomes == Outcomes(2, 0, 0, 0, 2, 0)
    assert ran.report.ended_by is not None
    after = rig.run(day("2001-01-01"))
    assert (after.plan.extracted, after.outcomes.accepted) == (2, 2)
    assert rig.state(open_people, "event_id") == []
    assert rig.received() == {("ada", "accepted"): 2}


def test_more_open_events_than_a_statement_names_are_sent_too(rig: EventRig) -> None:
    rig.add(*(event(f"e{number}") for number in range(1_200)))
    rig.sandbox.set_faults([BROKEN])
    assert rig.run().outcomes.due == 1_200
    rig.sandbox.set_faults([])

    assert rig.run(day("2001-01-01")).outcomes.accepted == 1_200
    assert len(rig.events()) == 1_200


def test_a_refused_event_whose_row_changes_gets_all_its_attempts_again(rig: EventRig) -> None:
    rig.add(event("a"))
    rig.refuse("ada")
    rig.run()
    rig.run()
    rig.change("a", order_id="other")
    rig.run()

    assert rig.state(open_people, "event_id", "attempts") == [("a", 1)]
    rig.refuse()
    assert rig.run().outcomes.accepted == 1
    assert [each["data"]["order_id"] for each in rig.events()] == ["other"]


def test_a_dead_letter_whose_row_changes_is_sent(rig: EventRig) -> None:
    rig.add(event("a"), event("b", name=None))
    rig.refuse("ada")
    rig.run(max_attempts=1)
    rig.refuse()
    assert rig.run().plan.left_alone == 2
    rig.change("a", order_id="other")
    rig.change("b", name="order_placed")

    assert rig.run().outcomes.accepted == 2
    assert rig.engine().letters() == []


def test_an_open_event_that_is_gone_from_the_mart_is_let_go(rig: EventRig) -> None:
    rig.add(event("a"))
    rig.refuse("ada")
    rig.run()
    rig.refuse()
    rig.execute(rig.mart.delete().where(sa.true()))

    assert rig.run(day("2001-01-01")).plan.planned == 0
    assert rig.state(open_people, "event_id") == []


def test_an_accepted_event_that_moves_to_another_day_is_not_sent_again(rig: EventRig) -> None:
    rig.add(event("a"), event("b"))
    rig.run(day("2026-05-20"))
    rig.change("a", occurred_at=NOON + timedelta(days=3))

    moved = rig.run(day("2026-05-23"))

    assert (moved.plan.planned, moved.plan.accepted_before, moved.plan.altered) == (0, 1, 1)
    full = rig.run()
    assert (full.plan.planned, full.plan.altered) == (0, 1)
    assert len(rig.events()) == 2


def test_events_of_the_last_72_hours_are_told_from_older_ones(rig: EventRig) -> None:
    now = datetime.now(UTC)
    hours = {"new": 71, "older": 73, "future": -1}
    rig.add(*(event(name, occurred_at=now - timedelta(hours=h)) for name, h in hours.items()))

    plan = rig.run().plan

    assert (plan.planned, plan.late) == (3, 1)
    assert rig.state(sync_plan, "event_id", "why") == [("future", "new"), ("new", "new"), ("older", "late")]


def test_an_event_without_a_time_is_seen_by_a_full_run_only(rig: EventRig) -> None:
    rig.add(event("a", occurred_at=None), event(""))

    assert rig.run(day("2001-01-01")).plan.extracted == 0
    ran = rig.run()

    assert ran.outcomes == Outcomes(2, 0, 0, 2, 0, 0)
    assert {(refusal.field, refusal.reason) for refusal in ran.report.refusals} == {
        ("timestamp", "required"),
        ("event_id", "required"),
    }


@pytest.mark.parametrize(("twice", "words"), [("a", "repeat"), (None, "null")])
def test_repeated_or_missing_ids_stop_the_run_and_say_what_to_do(
    rig: EventRig, twice: str | None, words: str
) -> None:
    rig.add(event("a"), {**event("b"), "event_id": twice})

    with pytest.raises(SourceContractError, match=f"1 rows.*{words}.*event_id"):
        rig.run()
    rig.execute(rig.mart.delete().where(rig.mart.c.order_id == "b"))
    assert rig.run().outcomes.accepted == 1


def test_a_mart_that_lacks_a_column_is_told(rig: EventRig) -> None:
    rig.execute(sa.text("alter table analytics.customerio_events rename column name to title"))

    with pytest.raises(SourceContractError, match=r"no column name.*title"):
        rig.run()


def test_a_dry_run_sends_nothing_and_lets_the_next_run_in(rig: EventRig) -> None:
    rig.add(event("a"), event("b", person_id="b@example.com"))
    engine = rig.engine()

    plan = engine.plan("dry", FULL, dry_run=True)

    assert plan.planned == 2
    shown = engine.preview("dry").to_string()
    assert "ada" in shown
    assert "b@example.com" not in shown
    assert rig.received() == {}
    assert engine.summary("dry").status == "dry_run"
    assert rig.run().outcomes.accepted == 2


def test_one_run_at_a_time(rig: EventRig) -> None:
    rig.add(event("a"))
    rig.engine().plan("first", FULL)

    with pytest.raises(SyncInProgress, match="first"):
        rig.engine().plan("second", FULL)
    assert rig.engine().push("first").outcomes.accepted == 1


def test_a_run_that_was_killed_after_an_answer_loses_nothing_and_sends_nothing_twice(rig: EventRig) -> None:
    rig.add(event("a"), event("b"))
    rig.engine().plan("killed", FULL)
    names = [column.name for column in sync_acks.c if column.name in sync_plan.c]
    acked = sa.select(*(sync_plan.c[name] for name in names))
    rig.execute(sync_acks.insert().from_select(names, acked.where(sync_plan.c.event_id == "a")))
    rig.execute(sa.text("delete from customerio_sync.sync_lease"))

    ran = rig.run(day("2001-01-01"))

    assert rig.state(accepted_events, "event_id", "run_id") == [("a", "killed"), ("b", ran.run_id)]
    assert [each["data"]["order_id"] for each in rig.events()] == ["b"]


def test_an_event_whose_answer_was_lost_is_sent_with_the_same_id_and_taken_once(rig: EventRig) -> None:
    rig.add(event("a"))
    rig.run()
    for table in (accepted_events, sync_acks):
        rig.execute(table.delete().where(sa.true()))

    assert rig.run().outcomes.accepted == 1
    assert rig.received() == {("ada", "accepted"): 1, ("ada", "ignored"): 1}
    assert len(rig.events()) == 1


def test_days_of_more_years_than_one_statement_may_write_are_remembered(rig: EventRig) -> None:
    rig.add(event("a", occurred_at=datetime(1990, 1, 1, tzinfo=UTC)), event("b"), event("", person_id=None))

    assert rig.run().outcomes.accepted == 2
    assert {row[0] for row in rig.state(accepted_events, "event_id")} == {"a", "b"}
    assert rig.run().plan.accepted_before == 2


def test_what_contradicts_the_ledger_is_told(rig: EventRig) -> None:
    rig.add(event("a"), event("b", name=""))
    ran = rig.run()

    rig.execute(dead_letters.delete().where(sa.true()))
    assert rig.engine().outcomes(ran.run_id).unaccounted == 1
    rig.execute(accepted_events.delete().where(sa.true()))
    assert rig.engine().outcomes(ran.run_id).unaccounted == 2
    assert rig.engine().outcomes(ran.run_id, trace=False) == ran.outcomes


def test_two_workspaces_have_each_its_own_memory(rig: EventRig) -> None:
    rig.add(event("a"))

    for workspace in ("one", "two"):
        assert rig.run(run_id=f"run of {workspace}", workspace=workspace).outcomes.accepted == 1


def test_old_plans_are_forgotten_and_what_was_accepted_is_not(rig: EventRig) -> None:
    rig.add(event("a"))
    rig.run()
    rig.execute(sa.text("update customerio_sync.sync_runs set extracted_at = extracted_at - interval 40 day"))
    rig.execute(sa.text("update customerio_sync.sync_plan set run_date = run_date - 40"))

    assert rig.run().plan.planned == 0
    assert rig.state(sync_plan, "event_id") == []
    assert rig.state(accepted_events, "event_id") == [("a",)]
