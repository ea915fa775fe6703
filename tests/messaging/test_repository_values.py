"""What is said of a user becomes what a scheduled run would have made of a mart that says the same."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cio_pipelines.sandbox import SandboxServer
from cio_pipelines.sync.errors import InvalidUser
from cio_pipelines.sync.state import dead_letters, synced_people
from cio_pipelines.warehouse.functions import UtcTimestamp
from tests.emulators import Emulator
from tests.engines.rig import EngineRig
from tests.sync.rig import Rig

from .repository_rig import repository

MAY = datetime(2026, 5, 1, 12, tzinfo=UTC)
_names = count(1)

TYPES: dict[str, sa.types.TypeEngine[Any]] = {
    "amount": sa.Numeric(10, 2),
    "at": UtcTimestamp(),
    "day": sa.Date(),
    "email": sa.Text(),
    "flag": sa.Boolean(),
    "number": sa.BigInteger(),
    "ratio": sa.Double(),
    "total": sa.Numeric(38, 9),
}

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
moments = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "amount": st.decimals(-99_999_999, 99_999_999, places=2),
    "at": moments,
    "day": st.dates(date(1900, 1, 1), date(2200, 1, 1)),
    "email": texts | st.just("x" * 1_001),
    "flag": st.booleans(),
    "number": st.integers(-(2**63), 2**63 - 1),
    "ratio": st.floats(allow_subnormal=False),
    "total": st.decimals(-(10**20), 10**20, places=9),
}
people = st.lists(
    st.fixed_dictionaries({}, optional={name: st.none() | values for name, values in VALUES.items()}),
    min_size=1,
    max_size=25,
)


@pytest.fixture(params=["duckdb", "postgresql", pytest.param("bigquery", marks=pytest.mark.slow)])
def engine_rig(request: pytest.FixtureRequest, tmp_path: Path, sandbox: SandboxServer) -> Iterator[EngineRig]:
    with ExitStack() as stack:
        if request.param == "duckdb":
            rig = EngineRig("duckdb", f"duckdb:///{tmp_path}/warehouse.duckdb", sandbox)
        elif request.param == "postgresql":
            rig = EngineRig("postgresql", request.getfixturevalue("postgres_url"), sandbox)
        else:
            emulator: Emulator = request.getfixturevalue("bigquery_emulator")
            url = "bigquery://repository-values/analytics?storage_api=false"
            rig = EngineRig("bigquery", url, sandbox, emulator.url)
        stack.enter_context(rig.warehouse.session())
        yield rig


def remembered(rig: EngineRig, workspace: str) -> tuple[list[Any], list[Any]]:
    """The snapshot and the dead letters of a workspace."""
    found: list[list[Any]] = []
    for table, names in (
        (synced_people, ("person_id", "state", "attributes", "attributes_hash", "source_updated_at")),
        (dead_letters, ("person_id", "operation", "attributes_hash", "field", "reason")),
    ):
        columns = [table.c[name] for name in names]
        rows = rig.rows(sa.select(*columns).where(table.c.workspace == workspace))
        found.append(sorted(rows, key=repr))
    return found[0], found[1]


def both_ways(rig: EngineRig, said: list[dict[str, Any]]) -> None:
    """Sync the same people from the mart and by calls, and compare what is remembered."""
    scheduled, called = f"scheduled-{next(_names)}", f"called-{next(_names)}"
    users = [{"person_id": f"p{n}", "updated_at": MAY, **values} for n, values in enumerate(said)]
    rig.make_mart(users, **TYPES)
    rig.run(workspace=scheduled)
    rig.make_mart([], **TYPES)
    rig.sandbox.reset()
    repository(rig, workspace=called).sync_users(users)
    assert remembered(rig, called) == remembered(rig, scheduled)


@given(said=people)
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_said_ends_as_in_a_scheduled_run(
    engine_rig: EngineRig, said: list[dict[str, Any]]
) -> None:
    both_ways(engine_rig, said)


def test_values_at_the_edges_end_as_in_a_scheduled_run(engine_rig: EngineRig) -> None:
    edges: dict[str, list[Any]] = {
        "amount": [Decimal("0.10"), Decimal("-99999999.99"), 3],
        "at": [datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), MAY + timedelta(microseconds=1)],
        "day": [date(1970, 1, 1), date(1, 1, 1)],
        "email": ['"\\\n\t', "żółw 🐢", "null", "", "x" * 1_001],
        "flag": [True, False],
        "number": [2**63 - 1, -(2**63), 0],
        "ratio": [0.1, 1e300, -0.0, 5e-324, math.inf, math.nan],
        "total": [Decimal("12345678901234567890.123456789"), Decimal(10) ** 20],
    }
    both_ways(engine_rig, [{name: value} for name, values in edges.items() for value in values])


def test_a_value_that_does_not_fit_its_column_is_refused_without_being_quoted(engine_rig: EngineRig) -> None:
    engine_rig.make_mart([], **TYPES)
    with pytest.raises(InvalidUser, match="does not fit its column") as caught:
        repository(engine_rig).sync_user({"person_id": "p", "updated_at": MAY, "number": 10**30})
    assert "1000" not in str(caught.value)
    assert engine_rig.sandbox.operations() == []


def test_an_earlier_call_s_values_are_kept_as_they_were(engine_rig: EngineRig) -> None:
    full = {
        "amount": Decimal("0.10"),
        "at": MAY,
        "day": date(2026, 5, 1),
        "email": 'a"b\\c',
        "flag": False,
        "number": 2**53 + 1,
        "ratio": 0.1,
        "total": Decimal("12345678901234567890.123456789"),
    }
    engine_rig.make_mart([], **TYPES)
    users = repository(engine_rig)
    users.sync_user({"person_id": "p", "updated_at": MAY, **full})
    before, _ = remembered(engine_rig, engine_rig.workspace)
    again = users.sync_user({"person_id": "p", "updated_at": MAY + timedelta(seconds=1)})
    assert again.outcome == "unchanged"
    users.sync_user({"person_id": "p", "updated_at": MAY + timedelta(seconds=2), "email": None})
    after, _ = remembered(engine_rig, engine_rig.workspace)
    assert after[0][2] == before[0][2].replace(r'"email":"a\"b\\c",', "")


ODD = """
create schema if not exists analytics;
create or replace table analytics.customerio_people (
    person_id uuid, updated_at timestamptz, opted_out boolean, deleted_at timestamptz,
    doc json, huge hugeint, tags varchar[], code varchar(3), clock time, key uuid, small tinyint,
    zoned timestamptz
)
"""


@pytest.fixture
def odd(tmp_path: Path, sandbox: SandboxServer) -> Iterator[Rig]:
    rig = Rig(tmp_path / "warehouse.duckdb", sandbox)
    with rig.kept_open():
        rig.make_mart(statement=ODD)
        yield rig


def test_types_that_few_marts_have_end_as_in_a_scheduled_run(odd: Rig) -> None:
    person = UUID("00000000-0000-0000-0000-00000000000A")
    values: dict[str, Any] = {
        "doc": {"b": [1, None, "ż"], "a": 0.5},
        "huge": 10**30,
        "code": "abc",
        "clock": datetime(2026, 5, 1, 12, 30, tzinfo=UTC).time(),
        "key": person,
        "small": 5,
        "zoned": MAY,
    }
    odd.sql(
        """insert into analytics.customerio_people
        (person_id, updated_at, doc, huge, code, clock, key, small, zoned)
        values (?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        *(person, MAY, '{"b": [1, null, "ż"], "a": 0.5}', *list(values.values())[1:]),
    )
    odd.run(workspace="scheduled")
    odd.make_mart(statement=ODD)
    user = {"person_id": person, "updated_at": MAY, **values}
    assert repository(odd, workspace="called").sync_user(user).outcome == "accepted"
    texts = odd.state("select workspace, person_id, attributes from synced_people order by workspace")
    assert [row[0] for row in texts] == ["called", "scheduled"]
    assert texts[0][1:] == texts[1][1:]


def test_a_mart_that_knows_days_only_is_ahead_of_nothing_within_a_day(odd: Rig) -> None:
    odd.make_mart(
        statement="""create or replace table analytics.customerio_people as
        select 'p' as person_id, date '2026-05-01' as updated_at, 'free' as plan"""
    )
    odd.run()
    users = repository(odd)
    assert users.sync_user({"person_id": "p", "updated_at": MAY, "plan": "pro"}).outcome == "accepted"
    assert odd.run().plan.whys == {"silent": 1}
    next_day = MAY + timedelta(days=1)
    assert users.sync_user({"person_id": "p", "updated_at": next_day, "plan": "pro"}).outcome == "accepted"
    assert odd.run().plan.ahead == 1
    assert users.on_user_deleted("p").outcome == "accepted"


def test_nested_columns_cannot_be_given_and_keep_the_mart_s_value(odd: Rig) -> None:
    person = "00000000-0000-0000-0000-00000000000a"
    odd.sql(
        "insert into analytics.customerio_people (person_id, updated_at, tags) values (?, ?, ['a'])",
        person,
        MAY,
    )
    users = repository(odd)
    with pytest.raises(InvalidUser, match=r"has tags, whose type \(\w+\) cannot be given"):
        users.sync_user({"person_id": person, "updated_at": MAY, "tags": ["b"]})
    users.sync_user({"person_id": person, "updated_at": MAY, "code": "new"})
    assert odd.profile(person) == {"tags": ["a"], "code": "new"}
