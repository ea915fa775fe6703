"""A day is triggered once, by whatever way of naming people, and only for who is meant."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from cio_pipelines.broadcasts.errors import (
    AudienceTooLarge,
    BroadcastInProgress,
    PartitionLate,
    RecipientsError,
)
from cio_pipelines.broadcasts.specs import AudienceLimits, BroadcastSpec
from cio_pipelines.customerio import ConfigurationError, InvalidOperation

from .rig import SPEC, TODAY, TRIGGERS, YESTERDAY, Rig, person_id


def test_a_day_that_is_run_twice_is_triggered_once(rig: Rig) -> None:
    rig.model(TODAY, range(5))

    first, second = rig.run(), rig.run()

    assert (first.status, first.triggered_here, first.reached) == ("processed", True, 5)
    assert (second.status, second.triggered_here, second.reached) == ("processed", False, 5)
    assert first.is_delivered
    assert rig.written_to() == [person_id(n) for n in range(5)]
    (trigger,) = rig.server.triggers()
    assert trigger["audience"] == "ids"
    assert trigger["data"] == {"subject": "We miss you", "cio_pipelines_key": f"win_back/{TODAY}/1"}
    assert rig.statuses() == [(TODAY, 1, "processed", trigger["id"], False)]


def test_each_day_has_a_trigger_and_people_of_its_own(rig: Rig) -> None:
    days = [TODAY - timedelta(days=n) for n in range(3)]
    for number, day in enumerate(days):
        rig.model(day, [number])

    with rig.broadcast() as broadcast:
        for day in days * 2:
            broadcast.run(day, "one-run")

    assert len(rig.server.triggers()) == 3
    assert rig.written_to() == [person_id(n) for n in range(3)]


def test_people_by_email_and_data_of_their_own_reach_the_message(rig: Rig) -> None:
    seen = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).replace(tzinfo=None)
    rig.model(TODAY, [3], score=Decimal("12.50"), seen_at=seen)
    rig.model(TODAY, [4], score=None, seen_at=None)
    spec = replace(SPEC, identified_by="email", identifier="email", person_data=("score", "seen_at"))

    outcome = rig.run(spec=spec)

    assert (outcome.reached, outcome.unsynced) == (2, None)
    data = {each["person"]: each["message_data"] for each in rig.server.deliveries()}
    assert data[person_id(3)]["score"] == 12.5
    assert data[person_id(3)]["seen_at"] == 1_767_323_045
    assert "score" not in data[person_id(4)]


def test_emails_without_data_are_an_audience_too(rig: Rig) -> None:
    rig.model(TODAY, [3, 4])

    assert rig.run(spec=replace(SPEC, identified_by="email", identifier="email")).reached == 2
    assert rig.server.triggers()[0]["audience"] == "emails"


def test_nobody_is_nothing_to_trigger_and_later_rows_are(rig: Rig) -> None:
    empty = rig.run()
    rig.model(TODAY, [1])

    assert (empty.status, empty.recipients, empty.is_delivered) == ("empty", 0, True)
    assert rig.run().status == "processed"
    assert rig.written_to() == [person_id(1)]


def test_a_dry_run_counts_and_writes_down_nothing(rig: Rig) -> None:
    rig.model(YESTERDAY, range(5))
    rig.model(YESTERDAY, [99])

    outcome = rig.run(YESTERDAY, dry_run=True)

    assert (outcome.status, outcome.recipients, outcome.known, outcome.unsynced) == ("dry_run", 6, 20, 1)
    assert rig.server.triggers() == []
    assert rig.run(YESTERDAY).triggered_here


@pytest.mark.parametrize(
    "limits", [AudienceLimits(people=4, share=None), AudienceLimits(people=50, share=0.2)]
)
def test_an_audience_over_a_limit_is_written_to_only_if_it_is_allowed(
    rig: Rig, limits: AudienceLimits
) -> None:
    rig.model(TODAY, range(5))
    spec = replace(SPEC, limits=limits)

    blocked = rig.run(spec=spec)
    assert blocked.status == "blocked"
    assert blocked.verdict is not None
    assert not blocked.verdict.passed
    assert "allow_audience" in str(blocked.verdict)
    assert rig.server.triggers() == []

    allowed = rig.run(spec=spec, allow_audience=True)
    assert allowed.status == "processed"
    assert len(rig.written_to()) == 5


def test_an_audience_at_its_limits_goes_out(rig: Rig) -> None:
    rig.model(TODAY, range(5))

    assert rig.run(spec=replace(SPEC, limits=AudienceLimits(people=5, share=0.25))).status == "processed"


def test_where_nobody_was_synced_any_audience_is_over_the_share(rig: Rig) -> None:
    rig.model(TODAY, [1])
    rig.execute("drop table customerio_sync.synced_people")

    blocked = rig.run()

    assert (blocked.status, blocked.known) == ("blocked", 0)
    assert "Nobody was synced" in str(blocked.verdict)
    assert rig.run(spec=replace(SPEC, limits=AudienceLimits(share=None))).status == "processed"


def test_people_who_are_not_there_are_left_out_and_seen(rig: Rig) -> None:
    rig.model(TODAY, [*range(5), 98, 99])

    outcome = rig.run()

    assert (outcome.status, outcome.recipients, outcome.reached, outcome.unsynced) == ("processed", 7, 5, 2)
    assert not outcome.is_delivered


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (
            "insert into analytics.recipients (day, person_id) values (current_date, null)",
            "1 have no person_id",
        ),
        (
            "insert into analytics.recipients (day, person_id) values (current_date, '')",
            "1 have no person_id",
        ),
        (
            "insert into analytics.recipients select * from analytics.recipients",
            "2 repeat another's person_id",
        ),
        ("alter table analytics.recipients drop column person_id", "no column person_id"),
        ("alter table analytics.recipients alter column day type timestamp", "day of analytics.recipients"),
        ("drop table analytics.recipients", "is not in the warehouse"),
    ],
)
def test_a_model_that_cannot_be_used_triggers_nothing(rig: Rig, statement: str, told: str) -> None:
    rig.model(TODAY, [1, 2])
    rig.execute("set timezone = 'UTC'", statement)

    with pytest.raises(RecipientsError, match=told) as error:
        rig.run()

    assert person_id(1) not in str(error.value)
    assert rig.server.triggers() == []
    assert rig.statuses() == []


def test_more_people_than_one_trigger_takes_are_told_of_with_what_to_do(rig: Rig) -> None:
    rig.execute(
        "set timezone = 'UTC'",
        "insert into analytics.recipients (day, person_id) "
        "select current_date, 'many-' || range from range(10001)",
    )
    spec = replace(SPEC, limits=AudienceLimits(people=1_000_000, share=None))

    with pytest.raises(AudienceTooLarge, match="10,000 people") as error:
        rig.run(spec=spec)

    assert "segment" in str(error.value)
    assert rig.statuses() == []
    assert rig.server.triggers() == []


def test_ten_thousand_people_are_one_trigger(rig: Rig) -> None:
    rig.execute(
        "set timezone = 'UTC'",
        "insert into analytics.recipients (day, person_id) "
        "select current_date, 'many-' || range from range(10000)",
    )

    outcome = rig.run(spec=replace(SPEC, limits=AudienceLimits(share=None)))

    assert (outcome.recipients, outcome.reached, outcome.unsynced) == (10_000, 0, 10_000)


def test_data_beyond_the_bytes_of_a_trigger_is_told_before_anything_is_written(rig: Rig) -> None:
    rig.execute("alter table analytics.recipients add column text varchar")
    rig.model(TODAY, range(3), text="x" * 400_000)

    with pytest.raises(AudienceTooLarge, match="1,000,000 bytes"):
        rig.run(spec=replace(SPEC, person_data=("text",)))

    assert rig.statuses() == []


def test_a_value_that_is_no_json_is_named_by_its_place_and_not_by_itself(rig: Rig) -> None:
    rig.execute("alter table analytics.recipients add column ratio double")
    rig.model(TODAY, [1], ratio=float("nan"))

    with pytest.raises(InvalidOperation, match=r"per_user_data\[0\]\.data\.ratio"):
        rig.run(spec=replace(SPEC, person_data=("ratio",)))

    assert rig.statuses() == []


def test_a_day_that_is_long_over_is_triggered_only_if_that_is_allowed(rig: Rig) -> None:
    day = TODAY - timedelta(days=3)
    rig.model(day, [1])

    with pytest.raises(PartitionLate, match="allow_late"):
        rig.run(day)
    assert rig.run(day, allow_late=True).status == "processed"
    assert not rig.run(day).triggered_here


def test_a_model_without_days_is_the_audience_of_today_and_no_other_day(rig: Rig) -> None:
    spec = replace(SPEC, day=None)
    rig.model(YESTERDAY, [1])
    rig.model(TODAY, [2])

    with pytest.raises(PartitionLate):
        rig.run(YESTERDAY, spec=spec)
    assert rig.run(TODAY, spec=spec).reached == 2


def test_a_missing_key_is_told_before_anything_is_written(rig: Rig) -> None:
    rig.model(TODAY, [1])

    with pytest.raises(ConfigurationError):
        rig.run(client={"api_key": ""})

    assert rig.statuses() == []


def test_while_one_run_triggers_another_one_waits_for_a_person(rig: Rig) -> None:
    rig.model(TODAY, range(5))
    # the sandbox does it at once and answers late
    rig.server.set_faults([{"kind": "slow", "seconds": 3.0, "path": TRIGGERS}])
    with ThreadPoolExecutor(1) as other:
        first = other.submit(rig.run)
        while not rig.server.triggers():
            time.sleep(0.01)
        with pytest.raises(BroadcastInProgress, match="triggers win_back"):
            rig.run()
        rig.server.set_faults([])
        assert first.result().triggered_here

    assert not rig.run().triggered_here
    assert len(rig.server.triggers()) == 1


def test_another_workspace_is_another_broadcast(rig: Rig) -> None:
    rig.model(TODAY, [1])
    rig.run()
    rig.execute("update customerio_sync.broadcast_triggers set workspace = 'other'")

    assert rig.run().triggered_here


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "Win back"},
        {"broadcast_id": 0},
        {"add_duplicates": True},
        {"data": {"cio_pipelines_key": "mine"}},
        {"days_late": -1},
        {"reached_share": 1.1},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_spec_that_cannot_work_is_refused_when_it_is_made(wrong: dict[str, object]) -> None:
    given = {"name": "win_back", "broadcast_id": 7, "schema": "a", "table": "b"}
    with pytest.raises(ValueError, match=r".+"):
        BroadcastSpec(**(given | wrong))  # pyright: ignore[reportArgumentType]
