"""The demo company: the same every time, of the promised size, and odd in exactly the promised ways."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cio_pipelines.demo import DemoSummary, seed
from cio_pipelines.demo.cases import REFUSED, extra_cases, row_cases
from cio_pipelines.demo.names import NAMES, PLAIN

NOW = datetime(2026, 5, 20, 9, 30, tzinfo=UTC)
PEOPLE = 3_000

# how each case is told from the outside, by what is in app.users
USER_CASES = {
    "null_email": "email is null",
    "empty_email": "email = ''",
    "shared_email": "email in (select email from app.users group by 1 having count(*) = 2 and email <> '')",
    "shared_email_in_other_case": (
        "lower(email) in (select lower(email) from app.users group by 1 "
        "having count(distinct email) = 2 and count(*) = 2)"
    ),
    "null_first_name": "first_name is null",
    "first_name_too_long_ascii": "strlen(first_name) > 1000 and strlen(first_name) = length(first_name)",
    "first_name_too_long_multibyte": "strlen(first_name) > 1000 and length(first_name) < 1000",
    "first_name_1000_bytes_ascii": "strlen(first_name) = 1000 and length(first_name) = 1000",
    "first_name_1000_bytes_multibyte": "strlen(first_name) = 1000 and length(first_name) < 1000",
    "control_characters": "contains(first_name, chr(1)) and contains(first_name, chr(27))",
    "quotes": "contains(first_name, '\"') and contains(first_name, '''')",
    "backslashes": "contains(first_name, '\\')",
    "newlines": "contains(first_name, chr(10)) and contains(first_name, chr(13))",
    "tabs": "contains(first_name, chr(9))",
    "line_separators": "contains(first_name, chr(8232)) and contains(first_name, chr(8233))",
    "null_last_name": "last_name is null",
    "null_created_at": "created_at is null",
    "created_before_1970": "created_at < timestamp '1970-01-01'",
    "created_in_2100": "year(created_at) = 2100",
    "created_in_9999": "year(created_at) = 9999",
    "null_plan": "plan is null",
    "id_with_slash": "contains(user_id, '/') and contains(user_id, ' ')",
    "id_with_quotes": "contains(user_id, '\"') and contains(user_id, '''') and contains(user_id, '零')",
    "id_150_bytes": "strlen(user_id) = 150",
    "id_too_long": "strlen(user_id) > 150",
    "deleted": "deleted_at is not null",
    "opted_out": "not marketing_opt_in and not transactional_opt_in",
    "marketing_refused": "not marketing_opt_in and transactional_opt_in",
    "transactional_refused": "marketing_opt_in and not transactional_opt_in",
    "marketing_unknown": "marketing_opt_in is null and transactional_opt_in",
    "transactional_unknown": "marketing_opt_in and transactional_opt_in is null",
    "consent_unknown": "marketing_opt_in is null and transactional_opt_in is null",
}

ORDER_CASES = {
    "large_amount": "amount > 100000000000",
    "tiny_amount": "amount = 0.000001",
    "null_amount": "amount is null",
    "null_currency": "currency is null",
    "null_status": "status is null",
    "null_ordered_at": "ordered_at is null",
    "orders_of_unknown_users": "user_id not in (select user_id from app.users)",
}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("company") / "warehouse.duckdb"


@pytest.fixture(scope="module")
def summary(database: Path) -> DemoSummary:
    return seed(database, people=PEOPLE, now=NOW)


@pytest.fixture(scope="module")
def company(database: Path, summary: DemoSummary) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(database), read_only=True) as connection:
        yield connection


def one(connection: duckdb.DuckDBPyConnection, sql: str) -> Any:
    row = connection.execute(sql).fetchone()
    assert row is not None
    return row[0] if len(row) == 1 else row


def fingerprint(database: Path) -> Any:
    with duckdb.connect(str(database), read_only=True) as connection:
        return one(
            connection,
            "select (select (count(*), md5(string_agg(u::varchar, '|' order by user_id))) from app.users u), "
            "(select (count(*), md5(string_agg(o::varchar, '|' order by order_id))) from app.orders o)",
        )


def test_same_arguments_make_the_same_company(tmp_path: Path, database: Path, summary: DemoSummary) -> None:
    again = seed(tmp_path / "again.duckdb", people=PEOPLE, now=NOW)

    assert again == summary
    assert fingerprint(tmp_path / "again.duckdb") == fingerprint(database)


def test_another_seed_or_moment_makes_another_company(tmp_path: Path, database: Path) -> None:
    seed(tmp_path / "seed.duckdb", people=PEOPLE, now=NOW, seed=8)
    seed(tmp_path / "later.duckdb", people=PEOPLE, now=NOW + timedelta(days=1))

    prints = [fingerprint(path) for path in (database, *sorted(tmp_path.glob("*.duckdb")))]
    assert len({str(print_) for print_ in prints}) == 3


def test_the_moment_counts_and_not_its_time_zone(tmp_path: Path, database: Path) -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=-7)))
    seed(tmp_path / "elsewhere.duckdb", people=PEOPLE, now=elsewhere)

    assert fingerprint(tmp_path / "elsewhere.duckdb") == fingerprint(database)


def test_seeding_again_replaces_the_company_and_leaves_other_tables(tmp_path: Path) -> None:
    database = tmp_path / "warehouse.duckdb"
    seed(database, people=2_000, now=NOW)
    with duckdb.connect(str(database)) as connection:
        connection.execute("create table mine as select 1 as kept")

    summary = seed(database, people=1_000, now=NOW)

    with duckdb.connect(str(database), read_only=True) as connection:
        assert one(connection, "select count(*) from app.users") == summary.people == 1_000
        assert one(connection, "select count(*) from app.orders") == summary.orders
        assert one(connection, "select kept from mine") == 1


@pytest.mark.parametrize(("case", "condition"), USER_CASES.items(), ids=USER_CASES)
def test_users_are_odd_as_often_as_promised(
    company: duckdb.DuckDBPyConnection, summary: DemoSummary, case: str, condition: str
) -> None:
    assert one(company, f"select count(*) from app.users where {condition}") == summary.cases[case] >= 1


@pytest.mark.parametrize(("case", "condition"), ORDER_CASES.items(), ids=ORDER_CASES)
def test_orders_are_odd_as_often_as_promised(
    company: duckdb.DuckDBPyConnection, summary: DemoSummary, case: str, condition: str
) -> None:
    assert one(company, f"select count(*) from app.orders where {condition}") == summary.cases[case] >= 1


@pytest.mark.parametrize("script", [script for script in NAMES if script != PLAIN])
def test_every_script_has_as_many_people_as_promised(
    company: duckdb.DuckDBPyConnection, summary: DemoSummary, script: str
) -> None:
    families = [family for _, family in NAMES[script]]
    found = company.execute(
        "select count(*) from app.users where last_name in (select unnest(?))", [families]
    )

    assert found.fetchone() == (summary.cases[script],)
    assert summary.cases[script] >= 1


def test_every_case_of_the_summary_is_looked_at_here(summary: DemoSummary) -> None:
    assert set(summary.cases) == set(USER_CASES) | set(ORDER_CASES) | (set(NAMES) - {PLAIN})


@pytest.mark.parametrize("people", [1_000, 1_001, 20_000, 1_000_000])
def test_from_a_thousand_people_up_every_case_occurs_and_no_guard_trips(people: int) -> None:
    counts = {case.name: case.count for case in (*row_cases(people), *extra_cases(people))}

    assert min(counts.values()) >= 1
    assert counts["deleted"] < 0.005 * people
    assert counts["opted_out"] < 0.05 * people
    assert 0.14 < (counts["opted_out"] + counts["marketing_refused"]) / people < 0.16
    assert max(case.high for case in row_cases(people)) <= people


@pytest.mark.parametrize("people", [1, 2, 3, 10, 999])
def test_small_companies_work_too(tmp_path: Path, people: int) -> None:
    summary = seed(tmp_path / "small.duckdb", people=people, now=NOW)

    with duckdb.connect(str(tmp_path / "small.duckdb"), read_only=True) as connection:
        counted = one(connection, "select count(*), count(distinct user_id) from app.users")
    assert counted == (people, people)
    assert summary.people == people


def test_ids_are_unique(company: duckdb.DuckDBPyConnection, summary: DemoSummary) -> None:
    assert one(company, "select count(distinct user_id) from app.users") == summary.people
    assert one(company, "select count(distinct order_id) from app.orders") == summary.orders


def test_refused_people_are_those_beyond_a_limit_of_customerio(
    company: duckdb.DuckDBPyConnection, summary: DemoSummary
) -> None:
    beyond = one(
        company, "select count(*) from app.users where strlen(first_name) > 1000 or strlen(user_id) > 150"
    )

    assert summary.refused == beyond == sum(summary.cases[name] for name in REFUSED)


def test_people_changed_over_three_years_and_some_since_midnight(company: duckdb.DuckDBPyConnection) -> None:
    oldest, newest, today = one(
        company,
        "select min(updated_at), max(updated_at), count(*) filter (updated_at >= timestamp '2026-05-20') "
        "from app.users",
    )
    now = NOW.replace(tzinfo=None)

    assert now - timedelta(days=1096) < oldest < now - timedelta(days=1000)
    assert newest <= now
    assert today >= PEOPLE // 200


def test_at_midnight_too_some_people_changed_today(tmp_path: Path) -> None:
    midnight = datetime(2026, 5, 20, tzinfo=UTC)
    seed(tmp_path / "midnight.duckdb", people=1_000, now=midnight)

    with duckdb.connect(str(tmp_path / "midnight.duckdb"), read_only=True) as connection:
        today = one(connection, "select count(*) from app.users where updated_at = timestamp '2026-05-20'")
    assert today >= 5


def test_nothing_is_ordered_after_now(company: duckdb.DuckDBPyConnection) -> None:
    assert one(company, "select max(ordered_at) from app.orders") <= NOW.replace(tzinfo=None)


def test_orders_are_about_three_a_person_and_unevenly_spread(
    company: duckdb.DuckDBPyConnection, summary: DemoSummary
) -> None:
    without, most = one(
        company,
        "select count(*) filter (n = 0), max(n) from "
        "(select count(order_id) as n from app.users left join app.orders using (user_id) group by user_id)",
    )

    assert 2.7 < summary.orders / summary.people < 3.3
    assert 0.15 < without / summary.people < 0.35
    assert most > 12


def test_a_thousand_people_take_no_time_to_speak_of(tmp_path: Path) -> None:
    started = time.perf_counter()
    seed(tmp_path / "quick.duckdb", people=1_000, now=NOW)

    assert time.perf_counter() - started < 5


def test_a_company_without_people_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one person"):
        seed(tmp_path / "none.duckdb", people=0)
    assert not (tmp_path / "none.duckdb").exists()


def test_a_moment_without_a_time_zone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="time zone"):
        seed(tmp_path / "naive.duckdb", people=10, now=datetime(2026, 1, 1))  # noqa: DTZ001
    assert not (tmp_path / "naive.duckdb").exists()


def test_a_summary_cannot_be_altered(summary: DemoSummary) -> None:
    with pytest.raises(TypeError):
        summary.cases["deleted"] = 0  # pyright: ignore[reportIndexIssue]
