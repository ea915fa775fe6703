"""`dbt build` as a step of a run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cio_pipelines.dbt_build import without_values
from cio_pipelines.demo import seed
from tests.dagster.conftest import MART, Run, execute, failure, follower

NOW = datetime(2026, 5, 20, 9, 30, tzinfo=UTC)
USERS = dg.AssetKey(["app", "users"])


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    database = tmp_path_factory.mktemp("build") / "warehouse.duckdb"
    seed(database, people=500, now=NOW)
    execute(database, "insert into app.orders by name select -1 as order_id, 'stranger' as user_id")
    return database


@pytest.fixture(scope="module")
def built(run_dbt: Run, database: Path) -> dg.ExecuteInProcessResult:
    return run_dbt(database)


def metadata(result: dg.ExecuteInProcessResult, model: str) -> dict[str, Any]:
    key = dg.AssetKey(["analytics", model])
    event = next(event for event in result.get_asset_materialization_events() if event.asset_key == key)
    return dict(event.materialization.metadata)


def lineage(result: dg.ExecuteInProcessResult, model: str, column: str) -> set[tuple[str, str]]:
    value = metadata(result, model)["dagster/column_lineage"].value
    return {(dep.asset_key.to_user_string(), dep.column_name) for dep in value.deps_by_column[column]}


def checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {found.check_name: found for found in result.get_asset_check_evaluations()}


def test_every_model_is_materialised_and_every_test_is_a_check(built: dg.ExecuteInProcessResult) -> None:
    made = {event.asset_key.path[-1] for event in built.get_asset_materialization_events() if event.asset_key}

    assert built.success
    assert made >= {"stg_app__users", "stg_app__orders", "int_people__orders", "int_people__consent"}
    assert made >= {"stg_customerio__webhook_events", "app_consent_history", "consent_changes", "deliveries"}
    assert made >= {"customerio_people", "campaign_performance", "person_engagement", "follower"}
    assert len(checks(built)) == 15


def test_unit_tests_are_no_part_of_a_run(built: dg.ExecuteInProcessResult) -> None:
    assert "consent_only_two_refusals_opt_out" not in checks(built)


def test_rows_are_counted(built: dg.ExecuteInProcessResult, database: Path) -> None:
    [(people, orders)] = execute(
        database, "select (select count(*) from app.users), (select count(*) from app.orders)"
    )

    assert metadata(built, "customerio_people")["dagster/row_count"].value == people == 500
    assert metadata(built, "stg_app__orders")["dagster/row_count"].value == orders > 0


def test_columns_have_their_types_in_the_warehouse(built: dg.ExecuteInProcessResult) -> None:
    schema = metadata(built, "customerio_people")["dagster/column_schema"].value
    columns = {column.name: column for column in schema.columns}

    assert columns["lifetime_value"].type == "NUMERIC(38, 9)"
    assert columns["plan"].description == "Name of the subscription plan."
    assert not columns["person_id"].constraints.nullable
    assert columns["email"].constraints.nullable


def test_a_table_is_named(built: dg.ExecuteInProcessResult) -> None:
    found = metadata(built, "customerio_people")

    assert found["dagster/table_name"].value == "warehouse.analytics.customerio_people"
    assert found["dagster/storage_kind"].value == "duckdb"


def test_the_plan_is_traced_from_the_application_to_the_mart(built: dg.ExecuteInProcessResult) -> None:
    assert lineage(built, "customerio_people", "plan") == {("analytics/stg_app__users", "plan")}
    assert lineage(built, "stg_app__users", "plan") == {("app/users", "plan")}


def test_metadata_holds_no_row(built: dg.ExecuteInProcessResult, database: Path) -> None:
    [(email,)] = execute(database, "select email from app.users where email like '%@%' limit 1")

    assert email not in str([event.materialization for event in built.get_asset_materialization_events()])


def test_orders_of_strangers_are_a_warning_that_stops_nothing(built: dg.ExecuteInProcessResult) -> None:
    found = checks(built)["orders_belong_to_known_users"]

    assert not found.passed
    assert found.severity is dg.AssetCheckSeverity.WARN
    assert found.description == "1 rows do not hold to it in analytics.stg_app__orders.user_id."


def test_the_file_is_open_to_other_processes_afterwards(
    built: dg.ExecuteInProcessResult, database: Path
) -> None:
    code = (
        f"import duckdb; duckdb.connect({str(database)!r}).execute('create or replace table main.x(i int)')"
    )

    assert built.success
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_build_may_be_repeated(run_dbt: Run, built: dg.ExecuteInProcessResult, database: Path) -> None:
    again = run_dbt(database, [MART])

    assert again.success
    rows = [metadata(result, "customerio_people")["dagster/row_count"].value for result in (built, again)]
    assert rows == [500, 500]


@pytest.mark.parametrize(
    ("damage", "check", "finding"),
    [
        (
            "insert into app.users by name select 'u0000001' as user_id",
            "source_unique_app_users_user_id",
            "1 values occur more than once in app.users.user_id.",
        ),
        (
            "insert into app.users by name select null as user_id",
            "source_not_null_app_users_user_id",
            "1 rows are NULL in app.users.user_id.",
        ),
    ],
    ids=["a user id twice", "a user without id"],
)
def test_a_broken_user_id_stops_the_run_and_is_named(
    run_dbt: Run, tmp_path: Path, damage: str, check: str, finding: str
) -> None:
    database = tmp_path / "warehouse.duckdb"
    seed(database, people=20, now=NOW)
    execute(database, damage)

    result = run_dbt(database)

    assert not result.success
    found = checks(result)[check]
    assert not found.passed
    assert found.severity is dg.AssetCheckSeverity.ERROR
    assert found.description == finding
    assert f"{check}: {finding}" in failure(result)
    assert follower.key not in {event.asset_key for event in result.get_asset_materialization_events()}
    made = execute(
        database, "select table_name from information_schema.tables where table_schema = 'analytics'"
    )
    assert ("customerio_people",) not in made


@pytest.mark.parametrize(
    ("damage", "check"),
    [
        ("insert into analytics.customerio_people from analytics.customerio_people limit 1", "unique"),
        (
            "alter table analytics.customerio_people alter person_id drop not null; "
            "update analytics.customerio_people set person_id = null where person_id = 'u0000001'",
            "not_null",
        ),
    ],
    ids=["a person twice", "a person without id"],
)
def test_a_broken_person_id_stops_what_follows_in_the_run(
    run_dbt: Run,
    built: dg.ExecuteInProcessResult,
    database: Path,
    tmp_path: Path,
    damage: str,
    check: str,
) -> None:
    assert built.success
    damaged = Path(shutil.copy(database, tmp_path))
    execute(damaged, damage)
    selection = dg.AssetSelection.checks_for_assets(MART) | dg.AssetSelection.assets(follower)

    result = run_dbt(damaged, selection)

    assert not result.success
    assert not checks(result)[f"{check}_customerio_people_person_id"].passed
    assert "1 " in failure(result)
    assert "analytics.customerio_people.person_id" in failure(result)
    assert result.get_asset_materialization_events() == []


def test_what_is_missing_is_named_before_dbt_starts(run_dbt: Run, tmp_path: Path) -> None:
    database = tmp_path / "warehouse.duckdb"
    seed(database, people=20, now=NOW)
    execute(database, "drop table app.orders", "alter table app.users drop column plan")

    result = run_dbt(database)

    assert "lacks app.users.plan, app.orders." in failure(result)
    assert "WAREHOUSE_URL" in failure(result)


def test_a_tombstone_column_may_be_absent(run_dbt: Run, tmp_path: Path) -> None:
    database = tmp_path / "warehouse.duckdb"
    seed(database, people=20, now=NOW)
    execute(database, "alter table app.users drop column deleted_at")

    assert run_dbt(database).success


def test_a_value_that_cannot_be_cast_is_not_quoted_anywhere(
    run_dbt: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    database = tmp_path / "warehouse.duckdb"
    seed(database, people=20, now=NOW)
    execute(
        database,
        "alter table app.users alter marketing_opt_in type varchar",
        "update app.users set marketing_opt_in = 'ada@example.com' where user_id = 'u0000001'",
    )

    result = run_dbt(database)

    assert "Conversion Error" in failure(result)
    assert "snapshot app_consent_history" in failure(result)
    said = capfd.readouterr()
    assert "ada@example.com" not in str(list(result.all_events)) + said.out + said.err
    assert "Conversion Error" in said.out


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("Catalog Error: Table with name users does not exist!", "Table with name users does not exist!"),
        ('Binder Error: "source" does not have a column named "plan"', 'column named "plan"'),
        ("Conversion Error: Could not convert string 'ada' to BOOL", "Conversion Error (its text"),
        ('Constraint Error: Duplicate key "email: ada" violates a constraint', "Constraint Error (its text"),
        ("Constraint Error: NOT NULL constraint failed: people.person_id", "in column people.person_id"),
        ("Invalid Input Error: Malformed JSON at byte 0 in ada", "Invalid Input Error (its text"),
        ("Some New Error: ada", "Some New Error (its text"),
    ],
)
def test_only_errors_about_names_are_shown_in_full(message: str, shown: str) -> None:
    told = without_values(f"Runtime Error in model x (models/x.sql)\n  {message}\n\n  LINE 1: 'ada'")

    assert told.startswith("Runtime Error in model x (models/x.sql)\n")
    assert shown in told
    assert ("ada" in told) == ("does not" in message)


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("column source.plan does not exist\n  LINE 9: source.plan", "column source.plan does not exist"),
        ('relation "app.users" does not exist', 'relation "app.users" does not exist'),
        ("permission denied for schema app", "permission denied for schema app"),
        (
            'null value in column "person_id" of relation "x" violates not-null constraint\n'
            "  DETAIL:  Failing row contains (null, ada).",
            'null value in column "person_id" of relation "x" violates not-null constraint',
        ),
        ('duplicate key value violates unique constraint "x"\n  DETAIL:  Key (id)=(ada)', 'constraint "x"'),
        ('invalid input syntax for type boolean: "ada"\n  CONTEXT:  x', "is not shown"),
        ('date/time field value out of range: "ada"', "is not shown"),
        ("type \"boolean\" of 'ada' does not exist", "is not shown"),
        ("Bad bool value: ada", "is not shown"),
        ("Invalid timestamp: 'ada'", "is not shown"),
        ("Unrecognized name: plan at [12:9]\n  compiled code at x", "Unrecognized name: plan at [12:9]"),
        (
            "Access Denied: Table p:app.users: User does not have permission",
            "Access Denied: Table p:app.users",
        ),
        ("Query exceeded limit for bytes billed: 1. 2 or higher required.", "limit for bytes billed: 1."),
        ("Not found: Table p:app.users was not found in location EU", "Not found: Table p:app.users"),
    ],
)
def test_other_databases_are_quoted_where_they_quote_nobody(message: str, shown: str) -> None:
    told = without_values(f"Database Error in model x (models/x.sql)\n  {message}")

    assert told.startswith("Database Error in model x (models/x.sql)\n  ")
    assert shown in told
    assert "ada" not in told


def test_a_locked_file_is_named_with_its_remedy(run_dbt: Run, tmp_path: Path) -> None:
    database = tmp_path / "warehouse.duckdb"
    seed(database, people=20, now=NOW)
    hold = (
        f"import duckdb, sys; c = duckdb.connect({str(database)!r}); print(1, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()

        result = run_dbt(database)

        holder.communicate("")
    assert "is locked" in failure(result)
    assert "close the other program" in failure(result)
