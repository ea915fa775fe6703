"""The loader of the AdventureWorks sample, against the figures that the data's own README gives."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.adventureworks import load_adventureworks

SHARED = Path(os.environ.get("CIO_SHARED_DIR") or Path(__file__).parents[2].parent / "shared")
SOURCE = SHARED / "data" / "adventureworks"

pytestmark = pytest.mark.skipif(
    not SOURCE.is_dir(), reason="the AdventureWorks sample is not there (CIO_SHARED_DIR/data/adventureworks)"
)


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    database = tmp_path_factory.mktemp("adventureworks") / "warehouse.duckdb"
    load_adventureworks(database, SOURCE)
    with duckdb.connect(str(database), read_only=True) as connection:
        yield connection


def one(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    row = connection.execute(sql).fetchone()
    assert row is not None
    return row


def test_every_customer_and_every_order_is_there_once(company: duckdb.DuckDBPyConnection) -> None:
    assert one(company, "select count(*), count(distinct user_id) from app.users") == (9_315, 9_315)
    assert one(company, "select count(*), count(distinct order_id) from app.orders") == (25_164, 25_164)


def test_buyers_without_a_customer_row_keep_their_orders(company: duckdb.DuckDBPyConnection) -> None:
    buyers, unknown = one(
        company,
        "select count(distinct o.user_id), count(distinct o.user_id) filter (u.user_id is null) "
        "from app.orders o left join app.users u using (user_id)",
    )

    assert (buyers, unknown) == (17_416, 8_338)


def test_customers_who_never_ordered_begin_in_2015(company: duckdb.DuckDBPyConnection) -> None:
    found = company.execute(
        "select count(*), min(created_at), max(updated_at) "
        "from app.users anti join app.orders using (user_id)"
    ).fetchone()

    assert found == (237, datetime(2015, 1, 1), datetime(2015, 1, 1))  # noqa: DTZ001


def test_customers_begin_with_their_first_order(company: duckdb.DuckDBPyConnection) -> None:
    differing = one(
        company,
        "select count(*) from app.users join "
        "(select user_id, min(ordered_at) as first from app.orders group by user_id) using (user_id) "
        "where created_at <> first or updated_at <> first",
    )

    assert differing == (0,)


def test_an_order_is_worth_the_sum_of_its_lines(company: duckdb.DuckDBPyConnection) -> None:
    # SO61285 on 1/1/2017: two of product 529 (3.99), one of 214 (34.99), one of 540 (32.60)
    assert one(company, "select amount, currency, status from app.orders where order_id = 'SO61285'") == (
        Decimal("75.5700"),
        "USD",
        "completed",
    )


def test_consent_is_unknown_where_the_gender_is(company: duckdb.DuckDBPyConnection) -> None:
    counted = company.execute(
        "select marketing_opt_in, transactional_opt_in, count(*) from app.users group by all order by 3"
    ).fetchall()
    unknown = (SOURCE / "Customers.csv").read_text(encoding="utf-8").count(",NA,")

    assert unknown > 0
    assert counted == [(None, None, unknown), (True, True, 9_315 - unknown)]


def test_accents_survive(company: duckdb.DuckDBPyConnection) -> None:
    assert one(company, "select count(*) > 0 from app.users where last_name = 'MUÑOZ'") == (True,)


def test_loading_again_changes_nothing(tmp_path: Path) -> None:
    database = tmp_path / "twice.duckdb"
    load_adventureworks(database, SOURCE)
    load_adventureworks(database, SOURCE)

    with duckdb.connect(str(database), read_only=True) as connection:
        assert one(
            connection, "select (select count(*) from app.users), (select count(*) from app.orders)"
        ) == (
            9_315,
            25_164,
        )


def test_a_missing_source_is_an_error_and_leaves_no_table(tmp_path: Path) -> None:
    with pytest.raises(duckdb.IOException):
        load_adventureworks(tmp_path / "warehouse.duckdb", tmp_path / "nowhere")

    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as connection:
        assert one(connection, "select count(*) from information_schema.tables") == (0,)
