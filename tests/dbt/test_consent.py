"""The consent rule over several builds: what was said where, when, and when we came to know of it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.dbt.company import Company
from tests.dbt.conftest import Dbt, execute

BUILD = ("build", "--exclude-resource-type", "unit_test", "test", "--select", "+customerio_people")
PEOPLE = ("ada", "bob", "cyd")
IN_FORCE, LIFTED, UNTOUCHED = (False, True), (True, False), (True, None)
"""What a person's `marketing_opt_in` and `unsubscribed` come to, when the application says yes."""

Row = dict[str, Any]


@pytest.fixture(scope="module")
def new_york() -> Iterator[None]:
    """A machine whose clock is not UTC's."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Company:
    return Company(tmp_path_factory.mktemp("consent"))


@pytest.fixture(scope="module")
def builds(dbt: Dbt, company: Company, new_york: None) -> list[dict[str, Row]]:
    """Everybody's row after each build of a story; seconds count from the company's start."""
    found: list[dict[str, Row]] = []

    def build() -> None:
        assert dbt(company.database, *BUILD).success
        found.append({person: company.row("customerio_people", person_id=person) for person in PEOPLE})

    for person in PEOPLE:
        company.user(person, True)
    build()
    company.report(company.event("unsubscribed", "ada", 100, object_type="customer"))
    company.user("bob", False, at=100)
    company.user("cyd", False, at=100)
    build()
    touch = f"set plan = 'pro', updated_at = '{company.at(200)}' where user_id = 'ada'"
    execute(company.database, f"update app.users {touch}")
    company.user("bob", True, at=200)
    company.report(company.event("unsubscribed", "bob", 250, delivery_id="d"))
    company.user("cyd", True, at=200)
    build()
    company.user("ada", False, at=300)
    company.report(company.event("unsubscribed", "cyd", 50, object_type="customer"))
    build()
    company.user("ada", True, at=400)
    build()
    company.report(company.event("spammed", "ada", 500, delivery_id="d"))
    build()
    company.report(company.event("subscribed", "ada", 600, object_type="customer"))
    build()
    execute(company.database, "create table history as from snapshots.app_consent_history")
    execute(company.database, "drop schema snapshots cascade")
    build()
    return found


def consent(builds: list[dict[str, Row]], person: str) -> list[tuple[bool | None, bool | None]]:
    return [(build[person]["marketing_opt_in"], build[person]["unsubscribed"]) for build in builds]


def test_a_word_in_customerio_holds_until_a_later_one_there_or_in_the_application(
    builds: list[dict[str, Row]],
) -> None:
    # unsubscribed, another change, opted out, opted in, spam, subscribed again; the history is lost
    assert consent(builds, "ada") == [
        *(UNTOUCHED, IN_FORCE, IN_FORCE, IN_FORCE, LIFTED, IN_FORCE, LIFTED, LIFTED)
    ]


def test_a_word_between_the_applications_change_and_our_noticing_is_not_overridden(
    builds: list[dict[str, Row]],
) -> None:
    assert consent(builds, "bob")[1:4] == [(False, None), IN_FORCE, IN_FORCE]


def test_a_word_older_than_the_applications_answer_changes_nothing_when_it_is_loaded_late(
    builds: list[dict[str, Row]],
) -> None:
    assert consent(builds, "cyd")[1:7] == [(False, None), UNTOUCHED, LIFTED, LIFTED, LIFTED, LIFTED]


def test_a_history_that_is_lost_opts_nobody_in(builds: list[dict[str, Row]]) -> None:
    assert consent(builds, "cyd")[-1] == IN_FORCE


def test_only_the_application_opts_out_of_everything(builds: list[dict[str, Row]]) -> None:
    decided = {(row["opted_out"], row["transactional_opt_in"]) for build in builds for row in build.values()}

    assert decided == {(False, True)}


def test_a_row_is_as_new_as_what_became_known_of_it(company: Company, builds: list[dict[str, Row]]) -> None:
    ada = [build["ada"]["updated_at"] for build in builds]
    now = datetime.now(UTC).replace(tzinfo=None)

    assert ada[0] == company.at(0)
    # a loaded word is known from then on; the touch of the row is older than that
    assert company.at(3_600) <= ada[1] == ada[2] < now
    # a change that is dated long ago is known since it was noticed
    assert ada[2] < ada[3] < ada[4] < ada[5] < ada[6] < now


def test_changes_are_noticed_in_utc_wherever_the_build_runs(
    company: Company, builds: list[dict[str, Row]]
) -> None:
    [(first, last)] = execute(
        company.database, "select min(dbt_valid_from), max(dbt_valid_from) from history"
    )

    assert company.at(3_600) <= first < last < datetime.now(UTC).replace(tzinfo=None)
    assert time.timezone == 18_000
    assert os.environ["TZ"] == "America/New_York"


def test_the_history_holds_no_more_of_a_person_than_the_answers(
    company: Company, builds: list[dict[str, Row]]
) -> None:
    columns = [row[0] for row in execute(company.database, "describe history")]

    assert [name for name in columns if not name.startswith("dbt_")] == [
        *("user_id", "marketing_opt_in", "transactional_opt_in", "updated_at")
    ]
