"""A plan one can read: attributes, costs and verdicts, before anything is sent."""

from __future__ import annotations

import pytest

from cio_pipelines.sync.attribute_changes import AttributeChange, count_changes
from cio_pipelines.sync.key import RunKey, SyncKey
from cio_pipelines.sync.review import Review
from cio_pipelines.sync.windows import FULL
from cio_pipelines.warehouse import open_warehouse

from .rig import YEARS_AGO, Rig


@pytest.fixture
def synced(rig: Rig) -> Rig:
    """Forty people as they were sent."""
    rig.make_mart(40)
    rig.run()
    return rig


def changes(review: Review) -> dict[tuple[str, str], tuple[int, int, int]]:
    """(cause, attribute) → people for whom it is added, changed, removed."""
    return {(c.cause, c.name): (c.added, c.changed, c.removed) for c in review.changes.attributes}


def test_each_attribute_is_counted_as_added_changed_or_removed(synced: Rig) -> None:
    synced.change("p0", "plan = 'pro', first_name = null")
    synced.change("p1", "plan = 'pro'")
    synced.change("p2", "first_name = null")
    synced.run()
    synced.change("p0", "first_name = 'Bo', plan = null", touch=False)
    synced.change("p1", "plan = 'free'")
    synced.change("p3", "email = 'new@example.com'")
    synced.sql("insert into analytics.customerio_people values ('n', now(), false, null, null, 'Cy', 'pro')")

    review = synced.plan().review

    # who is new has nothing to be compared with
    assert (review.changes.updates, review.changes.compared, review.changes.unseen) == (3, 3, 0)
    assert changes(review) == {
        ("data", "plan"): (0, 1, 1),
        ("data", "first_name"): (1, 0, 0),
        ("data", "email"): (0, 1, 0),
    }


def test_changes_of_the_mapping_stand_apart_from_those_of_the_data(synced: Rig) -> None:
    synced.sql(
        "alter table analytics.customerio_people drop column plan; "
        "alter table analytics.customerio_people add column age integer default 7"
    )
    synced.run()
    synced.sql("alter table analytics.customerio_people add column city varchar default 'Rome'")
    synced.sql("alter table analytics.customerio_people drop column age")
    synced.change("p3", "first_name = 'Bo'")

    review = synced.plan().review

    assert changes(review) == {
        ("mapping", "age"): (0, 0, 40),
        ("mapping", "city"): (40, 0, 0),
        ("mapping", "first_name"): (0, 1, 0),
    }


def test_people_who_are_quarantined_suppressed_or_return_count_for_no_attribute(synced: Rig) -> None:
    synced.change("p0", "opted_out = true")
    synced.run()
    synced.change("p0", "opted_out = false, plan = 'pro'")
    synced.change("p1", "opted_out = true, plan = 'pro'")
    synced.change("p2", "first_name = repeat('x', 2000)")

    plan = synced.plan()

    assert plan.whys == {"returned": 1, "opted_out": 1, "changed": 1}
    assert changes(plan.review) == {}


def test_of_very_many_updates_a_share_is_compared_and_stands_for_all(synced: Rig) -> None:
    synced.make_mart(3_000)
    synced.run()
    synced.sql("update analytics.customerio_people set plan = 'plan ' || person_id, updated_at = now()")
    plan = synced.plan()
    run = RunKey(SyncKey("tests", "people"), plan.run_id, plan.extracted_at.date())

    with open_warehouse(synced.url, memory_limit="500MB", threads=2).connect() as connection:
        counted = count_changes(connection, run, ["email", "first_name", "plan"], 3_000, at_most=500)

    assert 400 < counted.compared < 600
    assert counted.share == counted.compared / 3_000
    assert counted.attributes == (AttributeChange("plan", "data", 0, 3_000, 0),)


def test_a_difference_in_digits_that_json_does_not_keep_is_counted_as_unseen(rig: Rig) -> None:
    rig.make_mart(2)
    rig.sql("alter table analytics.customerio_people add column total decimal(38, 9)")
    rig.sql("update analytics.customerio_people set total = 12345678901234567890.000000001")
    rig.run()
    rig.change("p0", "total = 12345678901234567890.000000002")

    found = rig.plan().review.changes

    assert (found.compared, found.unseen, found.attributes) == (1, 1, ())


@pytest.mark.parametrize(
    ("people", "statement"),
    [
        (25_000, "select 1"),
        (3_000, "update analytics.customerio_people set first_name = repeat('ö', 400)"),
        (9_000, "update analytics.customerio_people set first_name = repeat('x', person_id[2:]::int % 900)"),
        (10, "select 1"),
    ],
    ids=["two batches of rows", "long texts", "texts of every length", "one body"],
)
def test_a_push_needs_the_estimated_requests_and_bytes(rig: Rig, people: int, statement: str) -> None:
    rig.make_mart(people)
    rig.sql(statement)

    first = rig.run()
    rig.sql("update analytics.customerio_people set plan = null, opted_out = person_id like 'p1%'")
    second = rig.run()
    rig.sql("update analytics.customerio_people set plan = 'pro', opted_out = false")
    third = rig.run()

    for ran in (first, second, third):
        estimate, report = ran.plan.review.estimate, ran.report
        assert estimate.operations == ran.plan.planned
        assert estimate.requests == pytest.approx(report.requests, rel=0.05)
        assert estimate.bytes_sent == pytest.approx(report.bytes_sent, rel=0.001)


def test_the_time_is_that_of_the_configured_rate(rig: Rig) -> None:
    rig.make_mart(4_000)

    slow, fast = (rig.plan(requests_per_second=rate).review.estimate for rate in (0.5, 50))

    assert slow.requests == fast.requests == 2
    assert slow.minutes == pytest.approx(2 / 0.5 / 60)
    assert fast.minutes == pytest.approx(slow.minutes / 100)


def test_nothing_to_send_needs_nothing(synced: Rig) -> None:
    estimate = synced.plan(YEARS_AGO).review.estimate
    assert (estimate.operations, estimate.requests, estimate.bytes_sent, estimate.minutes) == (0, 0, 0, 0.0)


def test_the_review_is_kept_with_the_run_when_the_snapshot_has_moved_on(synced: Rig) -> None:
    synced.change("p0", "plan = 'pro'")
    engine = synced.engine()
    engine.extract("r", FULL)
    plan = engine.plan("r")
    engine.push("r")

    kept = engine.summary("r").review

    assert kept == plan.review
    assert changes(plan.review) == {("data", "plan"): (0, 1, 0)}
    assert {guard.word for guard in plan.review.guards} == {"within"}
