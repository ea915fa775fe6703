"""What `dbt build` makes of the application's tables."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cio_pipelines.demo import DemoSummary, change, seed
from tests.dbt.conftest import Dbt, Outcome, execute

NOW = datetime(2026, 5, 20, 9, 30, tzinfo=UTC)
UNIT_TESTS = {
    "consent_is_as_new_as_its_newest_input",
    "consent_only_two_refusals_opt_out",
    "deliveries_are_counted_on_their_day_of_sending",
    "engagement_is_of_people_not_machines",
    "events_are_read_from_their_json",
    "events_of_a_delivery_become_one_row",
    "machines_are_told_from_people",
    "orders_add_up_without_the_undone_ones",
    "updated_at_is_the_newest_input",
    "people_are_users_with_or_without_orders",
    "the_restrictive_word_wins",
    "what_customerio_reports_suppresses_nobody",
    "what_went_wrong_is_kept",
    "words_about_consent_are_told_apart",
}
COLUMNS = {
    "person_id": "VARCHAR",
    "updated_at": "TIMESTAMP",
    "opted_out": "BOOLEAN",
    "deleted_at": "TIMESTAMP",
    "email": "VARCHAR",
    "first_name": "VARCHAR",
    "last_name": "VARCHAR",
    "plan": "VARCHAR",
    "created_at": "TIMESTAMP",
    "marketing_opt_in": "BOOLEAN",
    "transactional_opt_in": "BOOLEAN",
    "unsubscribed": "BOOLEAN",
    "orders_count": "BIGINT",
    "lifetime_value": "DECIMAL(38,9)",
    "average_order_value": "DECIMAL(31,2)",
    "first_ordered_at": "TIMESTAMP",
    "last_ordered_at": "TIMESTAMP",
}

# no deleted_at, integer ids in one table and text in the other, instants with a zone, a clock that is ahead
HANDMADE = """
create schema app;
create table app.users as select * from (values
    (1, ' Ada@example.com ', 'Ada', '', 'pro', timestamptz '2024-01-01 00:00:00+02', timestamptz '2024-02-01 12:00:00-05', false, false),
    (2, '', '', 'Bo', 'free', timestamptz '1900-01-01 00:00:00+00', timestamptz '2999-01-01 00:00:00+00', false, null),
    (3, null, 'Cy', null, null, null, null, null, null),
    (4, 'd@example.com', 'Di', 'Dee', 'free', timestamptz '2024-01-01 00:00:00+00', null, true, true)
) as u (user_id, email, first_name, last_name, plan, created_at, updated_at, marketing_opt_in, transactional_opt_in);
create table app.orders as select * from (values
    ('o1', '1', 'completed', 10.10::decimal(18, 6), 'EUR', timestamp '2024-03-01 08:00:00'),
    ('o2', '1', 'completed', 0.000001, 'EUR', timestamp '2024-01-01 08:00:00'),
    ('o3', '1', 'Refunded', 99, 'EUR', timestamp '2024-02-01 08:00:00'),
    ('o4', '2', 'completed', 123456789012.34, 'EUR', timestamp '2024-01-01 08:00:00'),
    ('o5', '3', 'cancelled', 5, 'EUR', timestamp '2024-04-01 08:00:00'),
    ('o6', 'guest', 'completed', 5, 'EUR', timestamp '2024-05-01 08:00:00'),
    ('o7', null, 'completed', 5, 'EUR', timestamp '2024-05-01 08:00:00')
) as o (order_id, user_id, status, amount, currency, ordered_at);
"""  # noqa: E501


def person(database: Path, person_id: str) -> dict[str, Any]:
    rows = execute(database, f"select * from analytics.customerio_people where person_id = '{person_id}'")
    assert len(rows) == 1
    return dict(zip(COLUMNS, rows[0], strict=True))


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    """A moment as the mart has it: UTC without saying so."""
    return datetime(year, month, day, hour, minute)  # noqa: DTZ001


@pytest.fixture(scope="module")
def handmade(tmp_path_factory: pytest.TempPathFactory) -> Path:
    database = tmp_path_factory.mktemp("handmade") / "warehouse.duckdb"
    execute(database, HANDMADE)
    return database


@pytest.fixture(scope="module")
def built(dbt: Dbt, handmade: Path) -> Outcome:
    return dbt(handmade, "build")


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("company") / "warehouse.duckdb"


@pytest.fixture(scope="module")
def summary(company: Path) -> DemoSummary:
    return seed(company, people=1_000, now=NOW)


@pytest.fixture(scope="module")
def company_built(dbt: Dbt, company: Path, summary: DemoSummary) -> Outcome:
    return dbt(company, "build", "--exclude-resource-type", "unit_test")


def test_everything_passes_but_the_warning_about_orders_of_nobody(built: Outcome) -> None:
    assert built.success
    assert {name for name, status in built.statuses.items() if status not in ("pass", "success")} == {
        "orders_belong_to_known_users"
    }
    assert built.statuses["orders_belong_to_known_users"] == "warn"
    assert built.failures["orders_belong_to_known_users"] == 1


def test_the_unit_tests_run_and_pass(built: Outcome) -> None:
    assert {name for name in built.statuses if built.statuses[name] == "pass"} >= UNIT_TESTS


def test_the_production_build_leaves_the_unit_tests_out(company_built: Outcome) -> None:
    assert company_built.success
    assert not UNIT_TESTS & set(company_built.statuses)
    assert company_built.statuses["unique_customerio_people_person_id"] == "pass"


def test_the_mart_has_the_columns_and_types_of_its_contract(handmade: Path, built: Outcome) -> None:
    described = execute(handmade, "describe analytics.customerio_people")

    assert {row[0]: row[1] for row in described} == COLUMNS


def test_models_live_in_one_schema_and_what_cannot_be_rebuilt_in_another(
    handmade: Path, built: Outcome
) -> None:
    found = execute(
        handmade,
        "select table_schema, table_name, table_type from information_schema.tables "
        "where table_schema not in ('app', 'customerio', 'customerio_sync') order by 1, 2",
    )

    assert found == [
        ("analytics", "campaign_performance", "BASE TABLE"),
        ("analytics", "consent_changes", "BASE TABLE"),
        ("analytics", "customerio_events", "BASE TABLE"),
        ("analytics", "customerio_people", "BASE TABLE"),
        ("analytics", "customerio_win_back_recipients", "BASE TABLE"),
        ("analytics", "deliveries", "BASE TABLE"),
        ("analytics", "int_people__consent", "VIEW"),
        ("analytics", "int_people__orders", "VIEW"),
        ("analytics", "person_engagement", "BASE TABLE"),
        ("analytics", "stg_app__orders", "VIEW"),
        ("analytics", "stg_app__users", "VIEW"),
        ("analytics", "stg_customerio__webhook_events", "VIEW"),
        ("snapshots", "app_consent_history", "BASE TABLE"),
    ]


def test_nothing_reported_makes_empty_reports(handmade: Path, built: Outcome) -> None:
    for mart in ("campaign_performance", "consent_changes", "deliveries", "person_engagement"):
        assert execute(handmade, f"from analytics.{mart}") == []


def test_orders_make_no_people(handmade: Path, built: Outcome) -> None:
    assert execute(handmade, "select person_id from analytics.customerio_people order by 1") == [
        ("1",),
        ("2",),
        ("3",),
        ("4",),
    ]


def test_a_buyer_who_refused_everything(handmade: Path, built: Outcome) -> None:
    assert person(handmade, "1") == {
        "person_id": "1",
        # the newest order is newer than the user's row
        "updated_at": utc(2024, 3, 1, 8),
        "opted_out": True,
        "deleted_at": None,
        "email": " Ada@example.com ",
        "first_name": "Ada",
        "last_name": None,
        "plan": "pro",
        "created_at": utc(2023, 12, 31, 22),
        "marketing_opt_in": False,
        "transactional_opt_in": False,
        "unsubscribed": None,
        "orders_count": 3,
        "lifetime_value": Decimal("10.100001000"),
        "average_order_value": Decimal("5.05"),
        "first_ordered_at": utc(2024, 1, 1, 8),
        "last_ordered_at": utc(2024, 3, 1, 8),
    }


def test_a_clock_that_is_ahead_is_believed(handmade: Path, built: Outcome) -> None:
    ahead = person(handmade, "2")

    assert ahead["updated_at"] == utc(2999, 1, 1)
    assert ahead["created_at"] == utc(1900, 1, 1)


def test_half_an_answer_is_no_opt_out(handmade: Path, built: Outcome) -> None:
    half = person(handmade, "2")

    assert (half["marketing_opt_in"], half["transactional_opt_in"], half["opted_out"]) == (False, None, False)


def test_empty_texts_are_nothing_and_large_amounts_are_exact(handmade: Path, built: Outcome) -> None:
    bo = person(handmade, "2")

    assert (bo["email"], bo["first_name"], bo["last_name"]) == (None, None, "Bo")
    assert bo["lifetime_value"] == Decimal("123456789012.34")


def test_an_undone_order_counts_without_value_and_dates_the_person(handmade: Path, built: Outcome) -> None:
    cy = person(handmade, "3")

    assert (cy["orders_count"], cy["lifetime_value"], cy["average_order_value"]) == (1, 0, None)
    assert cy["updated_at"] == cy["last_ordered_at"] == utc(2024, 4, 1, 8)
    assert cy["opted_out"] is False


def test_a_user_without_orders_or_change_dates_from_signing_up(handmade: Path, built: Outcome) -> None:
    di = person(handmade, "4")

    assert (di["orders_count"], di["lifetime_value"]) == (0, 0)
    assert (di["average_order_value"], di["first_ordered_at"], di["last_ordered_at"]) == (None, None, None)
    assert di["updated_at"] == utc(2024, 1, 1)


def test_views_answer_alike_in_another_time_zone(handmade: Path, built: Outcome) -> None:
    sql = "select created_at, updated_at from analytics.stg_app__users where user_id = '1'"

    assert execute(handmade, "set TimeZone = 'America/New_York'", sql) == [
        (utc(2023, 12, 31, 22), utc(2024, 2, 1, 17))
    ]


def test_the_demo_company_becomes_one_row_a_person(
    company: Path, summary: DemoSummary, company_built: Outcome
) -> None:
    mart = "from analytics.customerio_people"
    counted = execute(
        company,
        "select count(*), count(distinct person_id), count(*) filter (opted_out), "
        f"count(*) filter (deleted_at is not null), count(*) filter (email is null) {mart}",
    )

    assert counted == [
        (
            summary.people,
            summary.people,
            summary.cases["opted_out"],
            summary.cases["deleted"],
            summary.cases["null_email"] + summary.cases["empty_email"],
        )
    ]
    assert execute(company, f"select sum(orders_count) {mart}") == [
        (summary.orders - summary.cases["orders_of_unknown_users"],)
    ]
    assert company_built.failures["orders_belong_to_known_users"] == summary.cases["orders_of_unknown_users"]


def test_texts_reach_the_mart_byte_for_byte(company: Path, company_built: Outcome) -> None:
    differing = execute(
        company,
        "select count(*) from app.users u join analytics.customerio_people p on p.person_id = u.user_id "
        "where p.first_name is distinct from u.first_name or p.last_name is distinct from u.last_name "
        "or p.email is distinct from nullif(u.email, '')",
    )

    assert differing == [(0,)]


def test_every_changed_person_differs_in_the_next_mart(dbt: Dbt, tmp_path: Path) -> None:
    database = tmp_path / "warehouse.duckdb"
    build = ("build", "--exclude-resource-type", "unit_test", "test")
    attributes = "* exclude (updated_at)"
    seed(database, people=1_000, now=NOW)
    dbt(database, *build)
    execute(database, f"create table before as select {attributes} from analytics.customerio_people")

    changed = change(database, share=0.1, now=NOW.replace(hour=10))
    dbt(database, *build)

    news = execute(
        database,
        "select count(*), min(updated_at) from analytics.customerio_people join "
        f"(select {attributes} from analytics.customerio_people except from before) as new using (person_id)",
    )
    assert news == [(changed, utc(2026, 5, 20, 10, 30))]
