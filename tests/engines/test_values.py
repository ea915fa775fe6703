"""What is hashed and sent is what the mart holds, attribute by attribute, on every engine.

Texts of JSON may be spelled differently from engine to engine: they are compared by what they say, and hashes
within one engine only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import hypothesis.strategies as st
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings

from cio_pipelines.sandbox import SandboxServer
from cio_pipelines.sync.state import sync_plan
from tests.sync.rig import Ran

from .rig import MAY, EngineRig, raw
from .values import FAULTY, POSTGRESQL_TYPES, VALUES

ROOT = Path(__file__).parents[2]


def arrived(rig: EngineRig) -> dict[str, dict[str, Any]]:
    """Profiles by id as their JSON says, with the digits of numbers kept."""
    answer = httpx.get(f"{rig.sandbox.url}/_sandbox/people", trust_env=False)
    people = [json.loads(line, parse_float=Decimal) for line in answer.content.splitlines()]
    return {person["key"]: person["attributes"] for person in people}


def column(number: int) -> str:
    return f"v{number}"


@pytest.fixture(scope="module")
def sent(engine_rig: EngineRig, sandbox_process: SandboxServer) -> dict[str, Any]:
    """What arrives of one person who has all values, and of others, who have a faulty one each."""
    rig = engine_rig
    sandbox_process.set_faults([])
    sandbox_process.reset()
    engine = rig.engine_name
    known = {name: value.sql[engine] for name, value in VALUES.items() if engine in value.sql}
    faulty = {name: spellings[engine] for name, spellings in FAULTY.items() if engine in spellings}
    good = [f"{text} AS {column(n)}" for n, text in enumerate(known.values())]
    bad = [f"CASE WHEN person_id = 'f{n}' THEN {text} END AS f{n}" for n, text in enumerate(faulty.values())]
    people = " UNION ALL ".join(
        f"SELECT '{person}' AS person_id" for person in ["p", *(f"f{n}" for n in range(len(faulty)))]
    )
    with rig.warehouse.session():
        if engine == "postgresql":
            for statement in POSTGRESQL_TYPES:
                rig.execute(raw(statement))
        rig.execute(sa.schema.CreateSchema("analytics", if_not_exists=True))
        rig.execute(
            raw(
                f"CREATE TABLE analytics.customerio_people AS SELECT person_id, {', '.join([*good, *bad])}, "
                f"CAST('2026-05-01' AS TIMESTAMP) AS updated_at FROM ({people}) AS people"
            )
        )
        first, second = rig.run(), rig.run()
    profile = arrived(rig)["p"]
    found = {name: profile[column(n)] for n, name in enumerate(known) if column(n) in profile}
    return {
        "values": found,
        "first": first,
        "second": second,
        "faulty": list(faulty),
        "profiles": arrived(rig),
    }


@pytest.mark.parametrize("name", VALUES)
def test_a_value_arrives_as_it_is(engine: str, sent: dict[str, Any], name: str) -> None:
    value = VALUES[name]
    if engine not in value.sql:
        assert name not in sent["values"]  # the engine has no such type
        return
    assert sent["values"].get(name) == value.expected
    assert isinstance(sent["values"].get(name), bool) == isinstance(value.expected, bool)
    assert (name in sent["values"]) == (value.expected is not None)


def test_what_json_lacks_is_quarantined_and_an_unchanged_row_costs_nothing(sent: dict[str, Any]) -> None:
    first: Ran = sent["first"]
    second: Ran = sent["second"]
    fields = {(refusal.field, refusal.reason) for refusal in first.plan.quarantined}
    assert fields == {(f"attributes.f{n}", "invalid") for n in range(len(sent["faulty"]))}
    assert first.outcomes.accepted == 1
    assert second.plan.planned == 0
    assert set(sent["profiles"]) == {"p"}


# hashes

AGAIN = """
import sys
from cio_pipelines.sync.engine import PeopleSync, SyncSettings
from cio_pipelines.sync.specs import PEOPLE
from cio_pipelines.sync.windows import FULL
from tests.engines.rig import open_url

url, endpoint, workspace = sys.argv[1:]
engine = PeopleSync(open_url(url, endpoint), PEOPLE, SyncSettings(workspace=workspace), None)
engine.extract("again", FULL)
print(engine.plan("again", dry_run=True).planned)
"""


def test_the_hash_of_a_row_is_the_same_in_another_session_and_time_zone(
    engine: str, engine_rig: EngineRig, sandbox_process: SandboxServer
) -> None:
    rig = EngineRig(engine, engine_rig.url, sandbox_process, engine_rig.endpoint)
    moment = sa.TIMESTAMP(timezone=True)
    rig.make_mart(
        [
            {
                "person_id": "p",
                "instant": MAY,
                "day": date(2026, 7, 1),
                "amount": Decimal("1.10"),
                "ratio": 0.1,
            }
        ],
        instant=moment,
        day=sa.Date(),
        amount=sa.Numeric(10, 2),
        ratio=sa.Double(),
    )
    rig.plan()
    zone = "Asia/Kathmandu" if os.environ.get("TZ") != "Asia/Kathmandu" else "America/New_York"
    subprocess.run(
        [sys.executable, "-c", AGAIN, rig.url, rig.endpoint, rig.workspace],
        check=True,
        cwd=ROOT,
        env={**os.environ, "TZ": zone, "PGTZ": zone},
        timeout=60,
    )
    plans = rig.state(sync_plan, "attributes", "attributes_hash", "source_updated_at")
    assert len(plans) == 2
    assert plans[0] == plans[1]
    assert json.loads(plans[0][0], parse_float=Decimal) == {
        "amount": Decimal("1.1"),
        "day": 1782864000,
        "instant": int(MAY.timestamp()),
        "ratio": Decimal("0.1"),
    }


# a property: whatever the rows, what is planned says what the mart says

NO_TEXT = ("Cs", "Co", "Cn")
TEXT = st.text(st.characters(exclude_categories=NO_TEXT, exclude_characters="\0"), max_size=30)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001
COLUMNS: dict[str, tuple[sa.types.TypeEngine[Any], st.SearchStrategy[Any]]] = {
    "txt": (sa.String(), TEXT),
    "big": (sa.BigInteger(), st.integers(-(2**63), 2**63 - 1)),
    "money": (sa.Numeric(18, 4), st.decimals(-(10**13), 10**13, places=4)),
    "ratio": (sa.Double(), st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)),
    "flag": (sa.Boolean(), st.booleans()),
    "day": (sa.Date(), st.dates()),
    "instant": (sa.TIMESTAMP(timezone=True), MOMENTS),
}
ROW = st.fixed_dictionaries({name: st.none() | values for name, (_, values) in COLUMNS.items()})


def told(row: dict[str, Any]) -> dict[str, Any]:
    def value(given: Any) -> Any:
        if isinstance(given, datetime):
            return (given - EPOCH) // timedelta(seconds=1)
        return (given - EPOCH.date()).days * 86400 if isinstance(given, date) else given

    return {name: value(given) for name, given in row.items() if given is not None}


def compared(attributes: dict[str, Any]) -> dict[str, Any]:
    """Numbers by their value; a float as the double that its digits mean."""
    return {name: float(value) if name == "ratio" else value for name, value in attributes.items()}


@settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # shrinking would take minutes
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.large_base_example,
    ],
)
@given(rows=st.lists(ROW, min_size=25, max_size=40))
def test_the_plan_says_what_the_mart_says_for_any_rows(
    engine: str, engine_rig: EngineRig, sandbox_process: SandboxServer, rows: list[dict[str, Any]]
) -> None:
    rig = EngineRig(engine, engine_rig.url, sandbox_process, engine_rig.endpoint)
    with rig.warehouse.session():
        rig.make_mart(
            [{"person_id": f"p{n}", **row} for n, row in enumerate(rows)],
            **{name: kind for name, (kind, _) in COLUMNS.items()},
        )
        assert rig.plan().planned == len(rows)
        plan = dict(rig.state(sync_plan, "person_id", "attributes"))
    for number, row in enumerate(rows):
        attributes = json.loads(plan[f"p{number}"], parse_float=Decimal)
        assert compared(attributes) == compared(told(row))
