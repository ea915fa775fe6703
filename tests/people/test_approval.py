"""A plan read in the Dagster UI and approved in the launchpad, by real runs of the jobs."""

from __future__ import annotations

import pytest

from tests.people.project import DIFF, ERASED, PUSH, Project, checks, failures, metadata, today


@pytest.fixture
def moved(synced: Project) -> Project:
    """More people have changed, and are to be erased, than the guards allow."""
    synced.rows("update app.users set plan = concat(plan, '!'), updated_at = now()::timestamp")
    synced.rows("update app.users set deleted_at = now()::timestamp where hash(user_id) % 20 = 0")
    synced.sandbox.reset()
    return synced


def sent(project: Project) -> int:
    return len(project.sandbox.operations())


def test_a_blocked_run_tells_what_it_would_do_and_is_carried_out_when_it_is_approved(moved: Project) -> None:
    stopped = moved.run(full=True, partition=today())

    assert not stopped.success
    assert not checks(stopped)["changed_people"]
    assert sent(moved) == 0
    told = metadata(stopped, DIFF)
    attributes = [record.data for record in told["changed_attributes"].records]
    assert [(row["attribute"], row["because_of"]) for row in attributes] == [("plan", "data")]
    # some had no plan
    assert attributes[0]["added"] + attributes[0]["changed"] == told["updated_people"] > 1_000
    guards = {record.data["guard"]: record.data["verdict"] for record in told["guards"].records}
    assert guards == {"changed_people": "over", "mapping_change": "within", "suppressed_people": "within"}
    assert told["approve"] == f"cio sync people --approve {stopped.run_id}"
    words = next(c for c in stopped.get_asset_check_evaluations() if c.check_name == "changed_people")
    assert told["approve"] in (words.description or "")
    erasure = metadata(stopped, ERASED)
    assert erasure["approve"] == f"{told['approve']}/erasure"

    approval = {"approved_plan": stopped.run_id}
    ops = {"customerio__profile_diff": approval, "customerio__erased_profiles": approval}
    approved = moved.run(full=True, partition=today(), ops=ops)

    assert approved.success, failures(approved)
    assert all(checks(approved).values())
    pushed, erased = metadata(approved, PUSH), metadata(approved, ERASED)
    assert pushed["accepted"] + pushed["quarantined"] == told["dagster/row_count"]
    assert erased["accepted"] == erasure["dagster/row_count"] > 20
    assert pushed["requests"] == told["requests_needed"]
    assert pushed["bytes"] == pytest.approx(told["bytes_needed"], rel=0.01)

    before = sent(moved)
    again = moved.run(full=True, partition=today(), ops=ops)

    assert not again.success
    assert all("an approval is good for one push" in words for words in failures(again).values())
    assert len(failures(again)) == 2
    assert sent(moved) == before


@pytest.mark.slow
def test_a_dry_run_that_is_approved_after_the_data_moved_on_is_refused_before_anything_is_sent(
    moved: Project,
) -> None:
    dry = moved.run(full=True, partition=today(), ops={"customerio__profile_diff": {"dry_run": True}})
    assert not dry.success
    changed = moved.rows(
        "update app.users set first_name = 'Zoe' where user_id in (select person_id from "
        "customerio_sync.synced_people where state = 'identified' order by 1 limit 3) "
        "and deleted_at is null returning user_id"
    )
    assert changed

    result = moved.run(
        full=True, partition=today(), ops={"customerio__profile_diff": {"approved_plan": dry.run_id}}
    )

    assert not result.success
    assert not checks(result)["approved_plan"]
    assert sent(moved) == 0
    check = next(
        c for c in result.get_asset_check_evaluations() if c.check_name == "approved_plan" and not c.passed
    )
    assert check.metadata["different"].value == len(changed)
    assert (check.metadata["new"].value, check.metadata["gone"].value) == (0, 0)
    assert f"cio sync people --approve {result.run_id}" in (check.description or "")
