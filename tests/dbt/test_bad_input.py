"""Source tables that break the contract stop the build before the mart is touched."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from cio_pipelines.demo import seed
from tests.dbt.conftest import Dbt, execute

NOW = datetime(2026, 5, 20, 9, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def good(dbt: Dbt, tmp_path_factory: pytest.TempPathFactory) -> Path:
    database = tmp_path_factory.mktemp("bad") / "warehouse.duckdb"
    seed(database, people=100, now=NOW)
    assert dbt(database, "build", "--exclude-resource-type", "unit_test").success
    return database


@pytest.mark.parametrize(
    ("damage", "repair", "failing"),
    [
        (
            "insert into app.users by name select 'u0000001' as user_id",
            "delete from app.users where user_id = 'u0000001' and updated_at is null",
            "source_unique_app_users_user_id",
        ),
        (
            "insert into app.users by name select null as user_id",
            "delete from app.users where user_id is null",
            "source_not_null_app_users_user_id",
        ),
        (
            "insert into app.orders by name select order_id from app.orders limit 1",
            "delete from app.orders where user_id is null",
            "source_unique_app_orders_order_id",
        ),
        (
            "insert into app.orders by name select null as order_id",
            "delete from app.orders where order_id is null",
            "source_not_null_app_orders_order_id",
        ),
    ],
    ids=["a user id twice", "a user without id", "an order id twice", "an order without id"],
)
def test_a_broken_key_fails_its_own_test_and_leaves_the_mart_as_it_was(
    dbt: Dbt, good: Path, damage: str, repair: str, failing: str
) -> None:
    execute(
        good, "alter table analytics.customerio_people add column if not exists untouched integer", damage
    )

    outcome = dbt(good, "build", "--exclude-resource-type", "unit_test")

    execute(good, repair)
    assert not outcome.success
    assert [name for name, status in outcome.statuses.items() if status == "fail"] == [failing]
    assert outcome.statuses["customerio_people"] == "skipped"
    # a rebuilt mart would have lost the column
    assert execute(good, "select count(untouched), count(*) from analytics.customerio_people") == [(0, 100)]


def test_a_missing_column_is_named(dbt: Dbt, tmp_path: Path) -> None:
    database = tmp_path / "warehouse.duckdb"
    seed(database, people=10, now=NOW)
    execute(database, "alter table app.users drop column plan")

    outcome = dbt(database, "build", "--exclude-resource-type", "unit_test")

    assert not outcome.success
    assert outcome.statuses["stg_app__users"] == "error"
    assert 'does not have a column named "plan"' in outcome.messages["stg_app__users"]
    assert outcome.statuses["customerio_people"] == "skipped"


def test_a_tombstone_column_that_comes_and_goes_is_followed(dbt: Dbt, tmp_path: Path) -> None:
    database = tmp_path / "warehouse.duckdb"
    seed(database, people=1_000, now=NOW)
    tombstones = "select count(deleted_at) from analytics.customerio_people"
    found = []
    for step in ("select 1", "alter table app.users drop column deleted_at"):
        execute(database, step)
        assert dbt(database, "build", "--exclude-resource-type", "unit_test", "test").success
        found += execute(database, tombstones)

    assert found == [(3,), (0,)]
