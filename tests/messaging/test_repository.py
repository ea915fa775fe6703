"""A user synced now: by the rules of the people sync, and remembered where the next scheduled run looks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from cio_pipelines.messaging.instruments import Instruments, OperationEvent
from cio_pipelines.messaging.repository import UserMessagingRepository
from cio_pipelines.messaging_setup import user_repository
from cio_pipelines.sandbox import SandboxServer
from cio_pipelines.settings import load_settings
from cio_pipelines.sync.errors import InvalidUser, SourceContractError
from tests.sync.rig import EVERYTHING, YEARS_AGO, Rig

from .repository_rig import Watch, repository

MAY = datetime(2026, 5, 1, tzinfo=UTC)
"""When everybody of the mart was last updated."""
LATER = MAY + timedelta(hours=1)


@pytest.fixture
def rig(tmp_path: Path, sandbox: SandboxServer) -> Iterator[Rig]:
    """Three people who are synced: p0, p1 and p2."""
    rig = Rig(tmp_path / "warehouse.duckdb", sandbox)
    with rig.kept_open():
        rig.make_mart(3)
        rig.run()
        yield rig


@pytest.fixture
def watch(rig: Rig) -> Watch:
    return Watch(rig)


@pytest.fixture
def users(rig: Rig) -> UserMessagingRepository:
    return repository(rig)


def said(person: str, at: datetime = LATER, **values: Any) -> dict[str, Any]:
    return {"person_id": person, "updated_at": at, **values}


def test_a_user_is_identified_with_what_is_said_and_else_with_what_the_mart_has(
    rig: Rig, users: UserMessagingRepository, watch: Watch
) -> None:
    outcome = users.sync_user(said("p1", plan="pro"))

    assert (outcome.outcome, outcome.operations) == ("accepted", ("identify",))
    assert rig.profile("p1") == {"email": "p1@example.com", "first_name": "Ann", "plan": "pro"}
    assert watch.log == [("identify", "p1", "accepted")]


def test_a_user_whom_the_mart_does_not_know_yet_has_what_is_said_and_nothing_else(
    rig: Rig, users: UserMessagingRepository
) -> None:
    assert users.sync_user(said("new", email="new@example.com")).outcome == "accepted"
    assert rig.profile("new") == {"email": "new@example.com"}


def test_a_dataclass_is_a_user_too(rig: Rig, users: UserMessagingRepository) -> None:
    @dataclass
    class User:
        person_id: str
        updated_at: datetime
        first_name: str | None

    assert users.sync_user(User("p1", LATER, None)).outcome == "accepted"
    assert rig.profile("p1") == {"email": "p1@example.com", "plan": "free"}


def test_who_is_as_said_costs_no_request(rig: Rig, users: UserMessagingRepository, watch: Watch) -> None:
    assert users.sync_user(said("p1", plan="free")).outcome == "unchanged"
    assert watch.log == []


def test_opting_out_suppresses_and_opting_in_again_unsuppresses_first(
    rig: Rig, users: UserMessagingRepository, watch: Watch
) -> None:
    assert users.sync_user(said("p1", opted_out=True)).operations == ("suppress",)
    assert rig.profile("p1") is None

    back = users.sync_user(said("p1", LATER + timedelta(hours=1), opted_out=False))

    assert (back.outcome, back.operations) == ("accepted", ("unsuppress", "identify"))
    assert [action for action, _, _ in watch.log] == ["suppress", "unsuppress", "identify"]
    assert rig.profile("p1") == {"email": "p1@example.com", "first_name": "Ann", "plan": "free"}


def test_a_workspace_may_unsubscribe_instead_of_suppressing(rig: Rig) -> None:
    users = repository(rig, unsubscribe_opted_out=True)
    assert users.sync_user(said("p1", opted_out=True)).operations == ("identify",)
    profile = rig.profile("p1")
    assert profile is not None
    assert profile["unsubscribed"] is True


def test_who_is_deleted_is_suppressed_and_then_deleted_and_no_payload_stays(
    rig: Rig, users: UserMessagingRepository, watch: Watch
) -> None:
    users.sync_user(said("p1", plan="pro"))
    watch.restart()

    outcome = users.on_user_deleted("p1")

    assert (outcome.outcome, outcome.operations) == ("accepted", ("suppress", "delete"))
    assert [action for action, _, _ in watch.log] == ["suppress", "delete"]
    assert rig.state("select count(attributes) from sync_plan where person_id = 'p1'") == [(0,)]
    assert rig.state("select state, attributes from synced_people where person_id = 'p1'") == [
        ("deleted", None)
    ]
    assert users.on_user_deleted("p1").outcome == "unchanged"


def test_the_next_scheduled_run_repeats_nothing(rig: Rig, users: UserMessagingRepository) -> None:
    users.sync_user(said("p0", plan="pro"))
    users.sync_user(said("p1", opted_out=True))
    users.on_user_deleted("p2", deleted_at=LATER)
    rig.change("p0", "plan = 'pro', updated_at = ?", LATER.replace(tzinfo=None), touch=False)
    rig.change("p1", "opted_out = true, updated_at = ?", LATER.replace(tzinfo=None), touch=False)
    rig.change("p2", "deleted_at = ?", LATER.replace(tzinfo=None), touch=False)

    ran, erased = rig.run(), rig.erase(EVERYTHING)

    assert (ran.plan.planned, ran.plan.ahead, erased.plan.planned) == (0, 0, 0)


def test_a_mart_that_lags_undoes_nothing(rig: Rig, users: UserMessagingRepository) -> None:
    users.sync_user(said("p0", plan="pro"))
    users.sync_user(said("p1", opted_out=True))
    users.on_user_deleted("p2")
    before = rig.profiles()

    ran, erased = rig.run(), rig.erase(EVERYTHING)

    assert (ran.plan.planned, ran.plan.ahead, erased.plan.planned) == (0, 3, 0)
    assert ran.plan.unchanged == 3
    assert rig.profiles() == before
    assert before.keys() == {"p0"}


def test_a_mart_that_has_caught_up_is_planned_as_always(rig: Rig, users: UserMessagingRepository) -> None:
    users.sync_user(said("p0", plan="pro"))
    caught_up = LATER.replace(tzinfo=None) + timedelta(minutes=1)
    rig.change("p0", "plan = 'team', updated_at = ?", caught_up, touch=False)

    ran = rig.run()

    assert ran.plan.whys == {"changed": 1}
    assert rig.profiles()["p0"]["plan"] == "team"
    assert rig.state("select count(*) from synced_people where direct") == [(0,)]


def test_a_late_order_brings_nobody_back_who_was_deleted(rig: Rig, users: UserMessagingRepository) -> None:
    users.on_user_deleted("p2", deleted_at=LATER)
    late = LATER.replace(tzinfo=None) + timedelta(minutes=1)
    rig.change("p2", "first_name = 'Back', updated_at = ?", late, touch=False)

    ran = rig.run()

    assert (ran.plan.planned, ran.plan.ahead) == (0, 1)
    assert rig.profile("p2") is None


@pytest.mark.parametrize("shows", ["a tombstone", "no row"])
def test_who_is_gone_from_the_mart_may_come_back(
    rig: Rig, users: UserMessagingRepository, shows: str
) -> None:
    users.on_user_deleted("p2", deleted_at=LATER)
    later = LATER.replace(tzinfo=None) + timedelta(minutes=1)
    if shows == "a tombstone":
        rig.change("p2", "deleted_at = ?", later, touch=False)
        assert rig.run().plan.planned == 0
        rig.change("p2", "deleted_at = null, first_name = 'Back', updated_at = ?", later, touch=False)
    else:
        mine = "from analytics.customerio_people where person_id = 'p2'"
        rig.sql(f"create table kept as {mine}; delete {mine}")
        assert rig.run().plan.planned == 0
        rig.sql("insert into analytics.customerio_people from kept")
        rig.change("p2", "first_name = 'Back', updated_at = ?", later, touch=False)

    assert rig.run().plan.whys == {"returned": 1}
    profile = rig.profile("p2")
    assert profile is not None
    assert profile["first_name"] == "Back"


def test_an_old_tombstone_does_not_erase_who_came_back_since(
    rig: Rig, users: UserMessagingRepository
) -> None:
    rig.change("p1", "deleted_at = ?", MAY.replace(tzinfo=None))
    rig.erase(EVERYTHING)

    back = users.sync_user(said("p1", email="back@example.com", first_name=None))

    assert back.operations == ("unsuppress", "identify")
    assert rig.erase(EVERYTHING).plan.planned == 0
    assert rig.profile("p1") == {"email": "back@example.com", "plan": "free"}
    rig.change("p1", "deleted_at = ?", (LATER + timedelta(hours=1)).replace(tzinfo=None), touch=False)
    assert rig.erase(EVERYTHING).plan.operations == {"suppress": 1, "delete": 1}


def test_what_an_earlier_call_said_holds_while_the_mart_lags(
    rig: Rig, users: UserMessagingRepository
) -> None:
    users.sync_user(said("p1", plan="pro", email=None))
    users.sync_user(said("p1", LATER + timedelta(minutes=1), first_name="Bo"))
    assert rig.profile("p1") == {"first_name": "Bo", "plan": "pro"}

    users.sync_user(said("new", email="new@example.com"))
    users.sync_user(said("new", LATER + timedelta(minutes=1), plan="pro"))
    assert rig.profile("new") == {"email": "new@example.com", "plan": "pro"}


def test_an_opt_out_holds_while_the_mart_lags_and_the_call_says_nothing_of_it(
    rig: Rig, users: UserMessagingRepository
) -> None:
    users.sync_user(said("p1", opted_out=True))
    again = users.sync_user(said("p1", LATER + timedelta(minutes=1), plan="pro"))
    assert again.outcome == "unchanged"
    assert rig.profile("p1") is None


def test_who_comes_back_after_a_deletion_has_nothing_of_before(
    rig: Rig, users: UserMessagingRepository
) -> None:
    users.on_user_deleted("p1", deleted_at=LATER)
    users.sync_user(said("p1", LATER + timedelta(minutes=1), plan="pro"))
    assert rig.profile("p1") == {"plan": "pro"}


@pytest.mark.parametrize("is_erased", [False, True])
def test_a_tombstone_is_newer_than_an_older_word_when_its_row_has_no_updated_at(
    rig: Rig, users: UserMessagingRepository, is_erased: bool
) -> None:
    moment = LATER.replace(tzinfo=None)
    rig.change("p1", "updated_at = null, deleted_at = ?", moment, touch=False)
    if is_erased:
        rig.erase()
        rig.sql("delete from analytics.customerio_people where person_id = 'p1'")
    older = LATER - timedelta(seconds=1)
    assert users.sync_user(said("p1", older, plan="old")).outcome == "outdated"


@pytest.mark.parametrize("knows", ["the mart", "an earlier call"])
def test_an_older_word_changes_nothing(
    rig: Rig, users: UserMessagingRepository, watch: Watch, knows: str
) -> None:
    if knows == "the mart":
        rig.change("p1", "plan = 'team', updated_at = ?", LATER.replace(tzinfo=None), touch=False)
    else:
        users.sync_user(said("p1", plan="team"))
    watch.restart()

    older = LATER - timedelta(seconds=1)
    assert users.sync_user(said("p1", older, plan="old")).outcome == "outdated"
    assert users.on_user_deleted("p1", deleted_at=older).outcome == "outdated"
    assert watch.log == []


def test_a_deletion_without_a_time_wins_over_clocks_that_are_fast(
    rig: Rig, users: UserMessagingRepository
) -> None:
    future = datetime.now(UTC) + timedelta(days=1)
    rig.change("p1", "updated_at = ?", future.replace(tzinfo=None), touch=False)
    users.sync_user(said("p1", future + timedelta(hours=1), plan="pro"))
    assert users.on_user_deleted("p1").outcome == "accepted"
    assert rig.run().plan.planned == 0
    assert rig.profile("p1") is None


def test_nobody_is_suppressed_whose_call_does_not_say_so(rig: Rig, users: UserMessagingRepository) -> None:
    rig.change("p1", "opted_out = true")
    assert users.sync_user(said("p1", plan="pro")).outcome == "withheld"
    assert rig.profile("p1") is not None
    assert rig.run().plan.operations == {"suppress": 1}


def test_only_the_mart_takes_back_that_somebody_unsubscribed(rig: Rig) -> None:
    rig.make_mart(
        statement="""create or replace table analytics.customerio_people as
        select 'p1' as person_id, timestamp '2026-05-01' as updated_at, 'free' as plan,
        false as marketing_opt_in, true as unsubscribed"""
    )
    rig.run()
    users = repository(rig)
    users.sync_user(said("p1", plan="pro", marketing_opt_in=True, unsubscribed=False))
    assert rig.profile("p1") == {"plan": "pro", "marketing_opt_in": False, "unsubscribed": True}


def test_what_would_be_dropped_is_quarantined_and_what_is_refused_is_told(
    rig: Rig, users: UserMessagingRepository
) -> None:
    outcomes = users.sync_users(
        [
            said("p0", first_name="x" * 1_001),
            said("p1", email="P2@example.com"),
            said("", plan="pro"),
            said("p2", plan="pro"),
        ]
    )
    assert [(o.outcome, o.field, o.reason) for o in outcomes] == [
        ("quarantined", "attributes.first_name", "too_long"),
        ("quarantined", "attributes.email", "shared"),
        ("quarantined", "identifiers.id", "required"),
        ("quarantined", "attributes.email", "shared"),
    ]
    with rig.faults({"kind": "reject", "ids": ["p0"], "field": "attributes.plan", "reason": "invalid"}):
        refused = users.sync_user(said("p0", plan="odd"))
    assert (refused.outcome, refused.field, refused.reason) == ("rejected", "attributes.plan", "invalid")
    assert users.sync_user(said("p0", plan="odd")).outcome == "accepted"
    assert {letter.person_id for letter in rig.engine().letters()} == {"", "p1", "p2"}


def test_who_shares_an_email_is_seen_though_the_mart_lags(rig: Rig, users: UserMessagingRepository) -> None:
    users.sync_user(said("new", email="new@example.com"))
    assert users.sync_user(said("other", email="New@example.com")).reason == "shared"
    users.sync_user(said("p1", email="moved@example.com"))
    assert users.sync_user(said("p2", email="p1@example.com")).outcome == "accepted"
    rig.change("p0", "email = 'moved@example.com'")
    assert [refusal.reason for refusal in rig.run().plan.quarantined] == ["shared"]
    assert rig.profiles()["p0"]["email"] == "p0@example.com"


def test_who_is_not_answered_is_due_and_a_second_call_ends_it(
    rig: Rig, users: UserMessagingRepository
) -> None:
    with rig.faults({"kind": "status", "status": 503, "path": "/api/v2/batch"}):
        due = users.sync_user(said("p1", plan="pro"))
    assert due.outcome == "due"
    assert "503" in (due.message or "")
    assert users.sync_user(said("p1", plan="pro")).outcome == "accepted"
    assert rig.run(YEARS_AGO).plan.planned == 0


def test_many_users_are_one_run_and_the_later_word_on_one_counts(
    rig: Rig, users: UserMessagingRepository
) -> None:
    many = [said(f"m{n}", plan="pro") for n in range(1_200)]
    outcomes = users.sync_users([*many, said("m0", LATER + timedelta(hours=1), plan="team")])
    assert [o.outcome for o in outcomes] == ["outdated", *["accepted"] * 1_200]
    assert len({o.run_id for o in outcomes}) == 1
    assert len(rig.profiles()) == 1_203
    assert rig.profiles()["m0"]["plan"] == "team"
    assert users.sync_users([]) == []


@pytest.mark.parametrize(
    ("user", "complaint"),
    [
        ({"updated_at": LATER}, "User 0 of the call has no person_id"),
        ({"person_id": "secret"}, "has no updated_at"),
        (said("secret", datetime(2026, 1, 1)), "a datetime without a time zone as updated_at"),  # noqa: DTZ001
        (said("secret", colour="secret"), "has 'colour', which is no column of analytics.customerio_people"),
        (said("secret", plan=["secret"]), "has a list as plan, whose values are text"),
        (said("secret", plan="secret\0"), "characters that no database keeps"),
        (said("secret", opted_out="yes"), "has a str as opted_out"),
        (said("secret", deleted_at=LATER), "has deleted_at. Call on_user_deleted instead"),
        ("secret", "is a str. Give a mapping"),
    ],
)
def test_a_user_who_cannot_be_what_is_said_is_refused_before_anything_is_sent(
    rig: Rig, users: UserMessagingRepository, watch: Watch, user: Any, complaint: str
) -> None:
    with pytest.raises(InvalidUser) as caught:
        users.sync_users([user, said("p1", plan="pro")])
    assert complaint in str(caught.value)
    assert "secret" not in str(caught.value)
    assert watch.log == []
    assert rig.state("select count(*) from sync_lease where owner <> ''") == [(0,)]


def test_every_call_tells_how_it_went_and_nothing_of_whom(rig: Rig) -> None:
    events: list[OperationEvent] = []
    users = repository(rig, instruments=Instruments(events.append))
    users.sync_user(said("p1", plan="pro"))
    users.sync_users([said("p0", first_name="x" * 1_001), said("p2", plan="pro")])
    users.on_user_deleted("p1")
    with pytest.raises(InvalidUser):
        users.sync_user(said("p1", colour="red"))
    assert [(event.operation, event.outcome, event.messages) for event in events] == [
        ("sync_user", "accepted", 1),
        ("sync_users", "rejected", 2),
        ("on_user_deleted", "accepted", 1),
        ("sync_user", "refused", 1),
    ]
    assert "p1" not in repr(events)


def test_without_a_mart_the_call_says_so(rig: Rig, users: UserMessagingRepository) -> None:
    rig.sql("drop table analytics.customerio_people")
    for call in (lambda: users.sync_user(said("p1")), lambda: users.on_user_deleted("p1")):
        with pytest.raises(SourceContractError, match="There is no table or view"):
            call()


def test_an_event_loop_is_told_to_call_from_a_thread(users: UserMessagingRepository) -> None:
    async def call() -> None:
        users.sync_user(said("p1", plan="pro"))

    with pytest.raises(RuntimeError, match="anyio"):
        asyncio.run(call())


async def in_thread(users: UserMessagingRepository) -> str:
    outcome = await anyio.to_thread.run_sync(users.sync_user, said("p1", plan="pro"))
    return outcome.outcome


def test_an_event_loop_may_call_from_a_thread(users: UserMessagingRepository) -> None:
    assert asyncio.run(in_thread(users)) == "accepted"


def test_an_application_makes_one_from_the_settings(rig: Rig) -> None:
    settings = load_settings({"CUSTOMERIO_TRACK_URL": rig.sandbox.url, "CUSTOMERIO_WORKSPACE": "tests"})
    made = user_repository(settings, rig.warehouse)
    said = {"person_id": "p1", "updated_at": LATER, "plan": "pro"}
    assert made.sync_user(said).outcome == "accepted"
    assert (rig.profile("p1") or {})["plan"] == "pro"
