"""Making the demo company: `app.users` and `app.orders` in a DuckDB file, by set-based SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import duckdb

from cio_pipelines.demo.cases import (
    ORDER_CASES,
    REFUSED,
    Case,
    extra_cases,
    orders_of_unknown_users,
    permutation_step,
    row_cases,
)
from cio_pipelines.demo.names import name_rows
from cio_pipelines.demo.statements import MACROS, NAMES, ORDERS, PEOPLE, USERS

MEMORY_LIMIT = "400MB"
"""DuckDB's own limit while it writes the tables; beyond it DuckDB spills to disk beside the file."""


@dataclass(frozen=True, slots=True)
class DemoSummary:
    """What a seeded company holds.

    Attributes:
        people: rows of `app.users`.
        orders: rows of `app.orders`, those of unknown users included.
        cases: how many people (for `orders_of_unknown_users`: orders) are odd in each way, by the name of the
            case. A function of `people` alone. The scripts count family names.
    """

    people: int
    orders: int
    cases: Mapping[str, int]

    @property
    def refused(self) -> int:
        """People whom Customer.io would refuse: a value over 1,000 bytes or an id over 150 bytes."""
        return sum(self.cases[name] for name in REFUSED)


def seed(database: Path, people: int = 20_000, now: datetime | None = None, seed: int = 7) -> DemoSummary:
    """Creates (or replaces) the company's users and orders in a DuckDB file.

    The tables hold the same rows whenever `people`, `now` and `seed` are the same. Nothing is dated after
    `now` but the sign-up dates that are odd on purpose. Both tables are replaced, or neither.

    Args:
        database: the DuckDB file; made when it is missing. Nobody else may have it open.
        people: how many users, from 1.
        now: the company's present, with a time zone; the clock's by default. Fractions of a second are cut.
        seed: another number makes another company of the same shape.

    Raises:
        ValueError: `people` is below 1, or `now` has no time zone.
        duckdb.IOException: the file is locked or cannot be written.
    """
    if people < 1:
        raise ValueError(f"A company needs at least one person, not {people}.")
    moment = utc_seconds(now)
    row, extra = row_cases(people), extra_cases(people)
    unknown = orders_of_unknown_users(people)
    with connect(database) as connection:
        connection.begin()
        connection.execute(MACROS)
        connection.execute(
            PEOPLE,
            {
                "people": people,
                "seed": seed,
                "row_step": permutation_step(people, seed, 0),
                "extra_step": permutation_step(people, seed, 1),
                "row_cases": _parameter(row),
                "extra_cases": _parameter(extra),
            },
        )
        connection.execute("create schema if not exists app")
        connection.execute(NAMES, {"names": name_rows()})
        connection.execute(USERS, {"now": moment})
        connection.execute(
            ORDERS, {"now": moment, "unknown": unknown, "people": people, "order_cases": list(ORDER_CASES)}
        )
        orders = connection.execute("select count(*) from app.orders").fetchone()
        connection.commit()
    counts = {case.name: case.count for case in (*row, *extra)}
    return DemoSummary(
        people=people,
        orders=int(orders[0]) if orders else 0,
        cases=MappingProxyType({**counts, "orders_of_unknown_users": unknown}),
    )


def connect(database: Path) -> duckdb.DuckDBPyConnection:
    """A connection within the memory limit; close it (or use `with`) to let others have the file."""
    connection = duckdb.connect(str(database))
    # not by `config`: DuckDB refuses a file that this process has open with another configuration
    connection.execute(f"set memory_limit = '{MEMORY_LIMIT}'")
    # over standard output it would write among a command's own words
    connection.execute("set enable_progress_bar = false")
    return connection


def utc_seconds(now: datetime | None) -> datetime:
    """The moment as DuckDB's zoneless UTC timestamp, in whole seconds.

    Raises:
        ValueError: the moment has no time zone.
    """
    moment = now or datetime.now(UTC)
    if moment.tzinfo is None:
        raise ValueError("The demo company's `now` needs a time zone.")
    return moment.astimezone(UTC).replace(tzinfo=None, microsecond=0)


def _parameter(runs: list[Case]) -> list[dict[str, Any]]:
    return [asdict(case) for case in runs]
