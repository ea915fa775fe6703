"""Which rows a run looks at: half-open windows of `updated_at`, and open rows whatever the window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from cio_pipelines.sync.windows import FULL, Window

from .rig import Rig

MAY = datetime(2026, 5, 1, tzinfo=UTC)


def day(first: int, last: int | None = None) -> Window:
    """The days `first` to `last` of May 2026, both included."""
    return Window(MAY.replace(day=first), MAY.replace(day=(last or first)) + timedelta(days=1))


def put(rig: Rig, **moments: str) -> None:
    for person, moment in moments.items():
        rig.sql(
            """insert into analytics.customerio_people (person_id, updated_at, plan)
            values (?, ?::timestamp, 'free')""",
            person,
            moment,
        )


def test_a_window_holds_its_start_and_not_its_end(rig: Rig) -> None:
    put(
        rig,
        before="2026-05-01 23:59:59.999999",
        start="2026-05-02 00:00:00",
        inside="2026-05-02 23:59:59.999999",
        end="2026-05-03 00:00:00",
    )
    ran = rig.run(day(2))
    assert ran.extraction.extracted == ran.plan.extracted == 2
    assert ran.extraction.mart_rows == 4
    assert rig.profiles().keys() == {"start", "inside"}


def test_a_range_of_days_is_one_window(rig: Rig) -> None:
    put(rig, **{f"d{i}": f"2026-05-{i:02} 12:00" for i in range(1, 9)})
    ran = rig.run(day(3, 6))
    assert rig.profiles().keys() == {"d3", "d4", "d5", "d6"}
    assert rig.run(day(3, 6)).plan.planned == 0
    assert rig.run(day(1, 8)).plan.whys == {"new": 4}
    assert str(ran.plan.window) == "[2026-05-03 00:00, 2026-05-07 00:00) UTC"


def test_a_window_in_another_zone_is_the_same_moments(rig: Rig) -> None:
    put(rig, a="2026-05-01 23:00", b="2026-05-02 01:00")
    tokyo = timezone(timedelta(hours=9))
    rig.run(Window(datetime(2026, 5, 2, 9, tzinfo=tokyo), datetime(2026, 5, 2, 11, tzinfo=tokyo)))
    assert rig.profiles().keys() == {"b"}


@pytest.mark.parametrize(
    "column_type", ["timestamptz", "timestamp_s", "timestamp_ms", "timestamp_ns", "date"]
)
def test_updated_at_may_be_of_any_type_of_time(rig: Rig, column_type: str) -> None:
    put(rig, a="2026-05-01", b="2026-05-02", c="2026-05-03")
    rig.sql(
        f"set timezone = 'UTC'; alter table analytics.customerio_people alter updated_at type {column_type}"
    )
    ran = rig.run(day(2))
    assert rig.profiles().keys() == {"b"}
    assert rig.state("select source_updated_at from synced_people") == [(datetime(2026, 5, 2),)]  # noqa: DTZ001
    assert ran.plan.whys == {"new": 1}
    rig.sql("update analytics.customerio_people set plan = 'pro'")
    assert rig.run().plan.whys == {"new": 2, "silent": 1}


def test_a_silent_change_is_missed_by_the_window_and_found_and_told_by_a_full_sync(rig: Rig) -> None:
    rig.make_mart(3)
    rig.run()
    rig.change("p1", "plan = 'pro'", touch=False)
    rig.sandbox.reset()
    assert rig.run(day(2)).plan.planned == 0
    assert (rig.plan(day(1))).silent == 1  # its own day's window looks at it, and tells
    full = rig.run(FULL)
    assert (full.plan.silent, full.plan.whys) == (1, {"silent": 1})
    assert rig.sent() == {"p1": 1}


def test_a_row_without_updated_at_is_only_seen_by_a_full_sync(rig: Rig) -> None:
    rig.make_mart(2)
    rig.sql("update analytics.customerio_people set updated_at = null where person_id = 'p1'")
    assert rig.run(Window(MAY, MAY + timedelta(days=9999))).plan.extracted == 1
    assert rig.run(FULL).plan.whys == {"new": 1}
    rig.sql("update analytics.customerio_people set plan = 'pro' where person_id = 'p1'")
    assert rig.run(FULL).plan.whys == {"silent": 1}


def test_open_rows_that_need_nothing_any_more_are_closed(rig: Rig) -> None:
    rig.make_mart(3)
    rig.run()
    rig.change("p1", "plan = 'pro'")
    rig.change("p2", "plan = 'pro'")
    with rig.faults({"kind": "reject"}):
        rig.run()
    rig.change("p1", "plan = 'free'")
    rig.sql("delete from analytics.customerio_people where person_id = 'p2'")
    ran = rig.run(day(20))
    assert (ran.plan.extracted, ran.plan.planned) == (1, 0)
    assert rig.state("select count(*) from open_people") == [(0,)]


def test_what_is_replayed_while_a_run_goes_on_is_left_to_the_next(rig: Rig) -> None:
    rig.make_mart(2)
    with rig.faults({"kind": "reject", "ids": ["p1"]}):
        rig.run(max_attempts=1)
    engine = rig.engine()
    engine.extract("a", day(20))
    engine.plan("a")
    assert engine.replay() == 1  # within the very second of the extraction, most often
    engine.push("a")
    assert rig.run(day(20)).outcomes.accepted == 1


@pytest.mark.parametrize(
    ("start", "end", "match"),
    [
        (MAY, None, "both ends"),
        (None, MAY, "both ends"),
        (MAY, MAY, "after it starts"),
        (MAY.replace(tzinfo=None), MAY, "time zone"),
    ],
)
def test_a_window_that_makes_no_sense_is_refused(
    start: datetime | None, end: datetime | None, match: str
) -> None:
    with pytest.raises(ValueError, match=match):
        Window(start, end)
