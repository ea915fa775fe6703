"""The sync's jobs: what they do to Customer.io, what Dagster shows of it, and what stops them."""

from __future__ import annotations

import importlib
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from cio_pipelines.demo import change, change_silently
from tests.people.conftest import PEOPLE, Synced
from tests.people.project import (
    CHANGED,
    DIFF,
    ERASED,
    MART,
    PUSH,
    Project,
    checks,
    failures,
    metadata,
    read_back,
    today,
)


def batches(project: Project) -> int:
    return project.sandbox.stats()["requests_by_path"].get("/api/v2/batch", 0)


def test_a_full_run_brings_the_workspace_in_step_and_a_second_sends_nothing(
    first_sync: Synced, synced: Project
) -> None:
    first = first_sync.result

    assert first.success, failures(first)
    told, plan = metadata(first, PUSH), metadata(first, DIFF)
    assert told["planned"] == told["accepted"] + told["quarantined"]
    refused = told["quarantined"]
    reasons = {record.data["reason"] for record in told["refusals"].records}
    assert reasons == {"shared", "too_long"}
    assert plan["extracted"] == PEOPLE == metadata(first, CHANGED)["dagster/row_count"]
    assert all(checks(first).values())
    lineage = told["dagster/column_lineage"]
    assert [(dep.asset_key, dep.column_name) for dep in lineage.deps_by_column["plan"]] == [(MART, "plan")]
    found, expected = read_back(synced.sandbox), synced.mart()
    assert found.keys() <= expected.keys()
    assert len(expected.keys() - found.keys()) == refused > 0
    assert all(found[person].keys() == expected[person].keys() for person in found)
    erased = {row[0] for row in synced.rows("select user_id from app.users where deleted_at is not null")}
    assert metadata(first, ERASED)["accepted"] == 2 * len(erased) > 0
    assert erased <= {name for name, person in synced.sandbox.people().items() if person["suppressed"]}

    sent = batches(synced)
    second = synced.run(full=True, partition=today())

    assert second.success, failures(second)
    assert metadata(second, PUSH)["planned"] == 0
    assert metadata(second, DIFF)["left_alone"] == refused
    assert batches(synced) == sent


def test_the_running_days_run_sends_who_changed_and_nobody_else(synced: Project) -> None:
    before = read_back(synced.sandbox)
    changed = change(synced.database, 0.02)

    result = synced.run(partition=today())

    assert result.success, failures(result)
    told, after = metadata(result, PUSH), read_back(synced.sandbox)
    differing = {person for person in after if after[person] != before.get(person)}
    assert len(differing) + told["quarantined"] >= changed - 3  # some of them opted out of everything
    assert metadata(result, DIFF)["unchanged"] > 0
    newest = synced.rows("select count(*) from app.users where updated_at >= current_date")[0][0]
    assert told["planned"] <= newest + 10


def test_a_silent_change_is_missed_by_the_day_told_by_the_check_and_sent_by_a_full_run(
    synced: Project,
) -> None:
    person = synced.rows(
        "select user_id from app.users where plan = 'free' and marketing_opt_in and first_name = 'Alice' "
        "and updated_at < current_date - 10 order by 1"
    )[0][0]
    change_silently(synced.database, person)

    day = synced.run(partition=today())

    assert metadata(day, PUSH)["planned"] == 0
    assert checks(day)["silent_changes"]

    everything = synced.run(full=True, partition=today())

    assert everything.success
    assert metadata(everything, PUSH)["accepted"] == 1
    assert not checks(everything)["silent_changes"]
    assert read_back(synced.sandbox)[person]["plan"] == "enterprise"


def test_a_plan_over_a_guards_limit_sends_nothing_until_a_person_allows_it(synced: Project) -> None:
    synced.rows("update app.users set last_name = concat(last_name, '!'), updated_at = now()::timestamp")
    sent = batches(synced)

    stopped = synced.run(full=True, partition=today())

    assert not stopped.success
    assert not checks(stopped)["changed_people"]
    assert batches(synced) == sent
    result = next(c for c in stopped.get_asset_check_evaluations() if c.check_name == "changed_people")
    assert "--allow-changes" in (result.description or "")

    allowed = synced.run(
        full=True, partition=today(), ops={"customerio__profile_diff": {"allow_changes": True}}
    )

    assert allowed.success, failures(allowed)
    assert checks(allowed)["changed_people"]
    assert batches(synced) > sent


def test_too_many_erasures_are_stopped_and_erase_nobody(synced: Project) -> None:
    synced.rows("update app.users set deleted_at = now()::timestamp where hash(user_id) % 20 = 0")

    stopped = synced.run(full=True, partition=today())

    assert not stopped.success
    assert not checks(stopped)["erased_people"]
    sent = synced.sandbox.stats()["operations_by_action"]
    assert "person.delete" not in sent
    assert "person.suppress" not in sent


def test_refusals_over_the_limit_fail_the_check_and_not_the_run(project: Project) -> None:
    project.sandbox.set_faults(
        [{"kind": "reject", "every": 10, "reason": "invalid", "field": "attributes.plan"}]
    )

    result = project.run(full=True, partition=today())

    told = metadata(result, PUSH)
    assert result.success, failures(result)
    # of every ten the first: one of a last incomplete ten too
    assert told["rejected"] == -(-(told["planned"] - told["quarantined"]) // 10)
    assert not checks(result)["rejection_rate"]
    assert checks(result)["completeness"]


def test_a_push_that_stops_early_fails_with_what_to_do_and_the_next_run_sends_the_rest(
    project: Project,
) -> None:
    project.sandbox.set_faults([{"kind": "status", "status": 401, "path": "/api/v2/batch", "after": 1}])

    stopped = project.run(full=True, partition=today())

    assert not stopped.success
    assert "CUSTOMERIO" in str(failures(stopped)) or "Site ID" in str(failures(stopped))
    assert "are due" in failures(stopped)["customerio__identified_profiles"]
    project.sandbox.set_faults([])

    # of a day on which nobody changed
    rest = project.run(partition="2015-01-01")

    assert rest.success, failures(rest)
    assert metadata(rest, PUSH)["accepted"] > 1_000
    assert (
        len(project.mart().keys() - read_back(project.sandbox).keys()) == metadata(rest, PUSH)["dead_letters"]
    )


def test_a_range_of_days_is_one_push_recorded_on_every_day(project: Project) -> None:
    end = datetime.now(UTC)
    days = [(end - timedelta(days=n)).strftime("%Y-%m-%d") for n in (9, 0)]

    result = project.run(span=(days[0], days[1]))

    assert result.success, failures(result)
    recorded = [
        event.partition for event in result.get_asset_materialization_events() if event.asset_key == PUSH
    ]
    assert len(recorded) == 10
    in_window = project.rows(
        f"select count(*) from analytics.customerio_people where updated_at >= '{days[0]}' "
        f"and updated_at < date '{days[1]}' + 1"
    )[0][0]
    assert metadata(result, CHANGED)["dagster/row_count"] == in_window > 0


def requested(schedule: str, moment: datetime) -> list[str | None]:
    """Partitions of the runs that a schedule asks for."""
    repository = importlib.import_module("cio_pipelines.definitions").defs().get_repository_def()
    context = dg.build_schedule_context(scheduled_execution_time=moment, repository_def=repository)
    ticked = repository.get_schedule_def(schedule).evaluate_tick(context)
    return [request.partition_key for request in ticked.run_requests or []]


@pytest.mark.parametrize(
    ("hour", "days"),
    [(1, ["2026-05-19", "2026-05-20"]), (5, ["2026-05-19", "2026-05-20"]), (7, ["2026-05-20"])],
)
def test_the_schedule_takes_the_day_before_while_rows_may_be_late(hour: int, days: list[str]) -> None:
    assert requested("current_day", datetime(2026, 5, 20, hour, tzinfo=UTC)) == days


def test_the_daily_schedule_asks_for_everything_once() -> None:
    assert requested("everything_daily", datetime(2026, 5, 20, 3, 30, tzinfo=UTC)) == ["2026-05-20"]
