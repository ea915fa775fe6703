"""What happens to the demo company between two syncs."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cio_pipelines.demo import change, change_silently, seed

NOW = datetime(2026, 5, 20, 9, 30, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)

# what of a person ends up in Customer.io, orders included
PEOPLE = """
select
    user_id,
    (email, first_name, last_name, plan, marketing_opt_in, transactional_opt_in, deleted_at)::varchar,
    (select count(*) from app.orders o where o.user_id = u.user_id),
    updated_at
from app.users u
"""


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    database = tmp_path_factory.mktemp("untouched") / "warehouse.duckdb"
    seed(database, people=2_000, now=NOW)
    return database


@pytest.fixture
def database(untouched: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(untouched, tmp_path / "warehouse.duckdb"))


def people(database: Path) -> dict[str, tuple[Any, ...]]:
    with duckdb.connect(str(database), read_only=True) as connection:
        return {row[0]: row[1:] for row in connection.execute(PEOPLE).fetchall()}


def rows(database: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(database), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def altered(before: dict[str, tuple[Any, ...]], after: dict[str, tuple[Any, ...]]) -> set[str]:
    return {user_id for user_id, row in after.items() if row[:-1] != before[user_id][:-1]}


@pytest.mark.parametrize("share", [0.01, 0.25, 1.0])
def test_the_share_of_the_living_changes_and_nobody_else(database: Path, share: float) -> None:
    before = people(database)

    changed = change(database, share=share, now=LATER)

    after = people(database)
    touched = {user_id for user_id, row in after.items() if row[-1] == LATER.replace(tzinfo=None)}
    living = rows(database, "select count(*) from app.users where deleted_at is null")[0][0]
    assert abs(changed - share * living) <= 0.5
    assert len(touched) == changed
    assert altered(before, after) == touched


def test_a_change_is_the_same_for_the_same_seed_and_another_for_another(
    untouched: Path, tmp_path: Path
) -> None:
    outcomes = []
    for name, number in (("a", 1), ("b", 1), ("c", 2)):
        copy = Path(shutil.copy(untouched, tmp_path / f"{name}.duckdb"))
        change(copy, share=0.05, now=LATER, seed=number)
        outcomes.append((people(copy), rows(copy, "from app.orders order by order_id")))

    assert outcomes[0] == outcomes[1]
    assert outcomes[0] != outcomes[2]


def test_the_same_people_change_again_when_asked_again(database: Path) -> None:
    change(database, share=0.2, now=LATER)
    before = people(database)

    changed = change(database, share=0.2, now=LATER + timedelta(hours=1))

    assert len(altered(before, people(database))) == changed


def test_a_change_brings_every_kind_of_news(database: Path) -> None:
    sql = "select user_id, plan, last_name, marketing_opt_in, transactional_opt_in from app.users"
    before = rows(database, sql)
    orders = rows(database, "select count(*) from app.orders")[0][0]

    changed = change(database, share=0.5, now=LATER)

    after = {row[0]: row for row in rows(database, sql)}
    out = (False, False)
    plans = sum(row[1] != after[row[0]][1] for row in before)
    names = sum(row[2] != after[row[0]][2] for row in before)
    refused = sum(row[3:] != out and after[row[0]][3:] == out for row in before)
    returned = sum(row[3:] == out and after[row[0]][3:] != out for row in before)
    ordered = rows(database, "select count(*) from app.orders")[0][0] - orders
    assert plans == pytest.approx(0.4 * changed, rel=0.1)
    assert ordered == pytest.approx(0.3 * changed, rel=0.1)
    assert names == pytest.approx(0.2 * changed, rel=0.1)
    assert 1 <= refused < 0.05 * changed
    assert 1 <= returned < 0.05 * changed


def test_new_orders_have_ids_of_their_own(database: Path) -> None:
    change(database, share=0.5, now=LATER)
    change(database, share=0.5, now=LATER + timedelta(minutes=5))

    assert rows(database, "select count(*) - count(distinct order_id) from app.orders") == [(0,)]
    assert rows(database, "select max(ordered_at) from app.orders") == [
        ((LATER + timedelta(minutes=5)).replace(tzinfo=None),)
    ]


def test_the_erased_are_left_alone(database: Path) -> None:
    sql = "from app.users where deleted_at is not null order by user_id"
    before = rows(database, sql)

    change(database, share=1.0, now=LATER)

    assert before
    assert rows(database, sql) == before


def test_a_share_of_nothing_changes_nobody(database: Path) -> None:
    before = people(database)

    assert change(database, share=0.0, now=LATER) == 0
    assert people(database) == before


@pytest.mark.parametrize("share", [-0.01, 1.01, 50])
def test_a_share_outside_its_range_is_refused(database: Path, share: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        change(database, share=share, now=LATER)


def test_a_file_without_a_company_cannot_change(tmp_path: Path) -> None:
    with pytest.raises(duckdb.CatalogException, match="users"):
        change(tmp_path / "empty.duckdb", now=LATER)


def test_a_silent_change_alters_one_plan_and_no_timestamp(database: Path) -> None:
    before = people(database)

    change_silently(database, "u0000042")

    after = people(database)
    assert altered(before, after) == {"u0000042"}
    assert after["u0000042"][-1] == before["u0000042"][-1]


def test_a_silent_change_of_nobody_is_an_error(database: Path) -> None:
    with pytest.raises(LookupError, match="u-nobody"):
        change_silently(database, "u-nobody")
