"""Promise 3: what arrives is what the mart holds, attribute by attribute, for every type of value."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from cio_pipelines.sandbox import SandboxServer

from .rig import Rig

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  # as DuckDB's plain timestamps


def arrived(rig: Rig) -> dict[str, dict[str, Any]]:
    """Profiles by id as their JSON says, with the digits of numbers kept."""
    answer = httpx.get(f"{rig.sandbox.url}/_sandbox/people", trust_env=False)
    people = [json.loads(line, parse_float=Decimal) for line in answer.content.splitlines()]
    return {person["key"]: person["attributes"] for person in people if not person.get("suppressed")}


VALUES: dict[str, tuple[str, str, Any]] = {
    "control characters": (
        "varchar",
        "array_to_string([chr(i::integer) for i in range(1, 32)], '') || chr(127) || chr(8232)",
        "".join(map(chr, range(1, 32))) + "\x7f\u2028",
    ),
    "a zero character": ("varchar", "'a' || chr(0) || 'b'", "a\0b"),
    "quotes": ("varchar", """'O''Brien "x" \\ / </script>'""", 'O\'Brien "x" \\ / </script>'),
    "an empty text": ("varchar", "''", ""),
    "spaces": ("varchar", "'  x  '", "  x  "),
    "scripts": (
        "varchar",
        "'Zoë Łukasz Ольга محمد נועה 王小明 𠮷野家 민준 さくら प्रिया 👩🏽‍🚀🇩🇪'",
        "Zoë Łukasz Ольга محمد נועה 王小明 𠮷野家 민준 さくら प्रिया 👩🏽‍🚀🇩🇪",
    ),
    "combining marks as they are": ("varchar", "'Rene' || chr(769)", "Rene\u0301"),
    "text that looks like JSON": ("varchar", "'{\"a\": null}'", '{"a": null}'),
    "integers": ("integer", "-2147483648", -2147483648),
    "big integers": ("bigint", "9223372036854775807", 9223372036854775807),
    "unsigned": ("ubigint", "18446744073709551615", 18446744073709551615),
    "huge": (
        "hugeint",
        "'-170141183460469231731687303715884105727'",
        -170141183460469231731687303715884105727,
    ),
    "decimals": ("decimal(10,2)", "1234.50", Decimal("1234.5")),
    "negative decimals": ("decimal(10,2)", "-0.05", Decimal("-0.05")),
    "zero": ("decimal(10,2)", "0", 0),
    "whole decimals": ("decimal(10,2)", "1200", 1200),
    "decimals of scale 0": ("decimal(20,0)", "-1200", -1200),
    "decimals of 38 digits": (
        "decimal(38,9)",
        "'12345678901234567890123456789.000000001'",
        Decimal("12345678901234567890123456789.000000001"),
    ),
    "wide decimals with small values": ("decimal(38,9)", "-0.050", Decimal("-0.05")),
    "wide decimals that just fit 18 digits": (
        "decimal(38,9)",
        "'999999999.999999999'",
        Decimal("999999999.999999999"),
    ),
    "wide decimals that just do not": ("decimal(38,9)", "-1000000000.5", Decimal("-1000000000.5")),
    "wide decimals of large scale": ("decimal(38,20)", "1.5", Decimal("1.5")),
    "decimals of scale 38": ("decimal(38,38)", "'0." + "0" * 37 + "1'", Decimal("1E-38")),
    "decimals without whole digits": ("decimal(3,3)", "-0.05", Decimal("-0.05")),
    "zero without whole digits": ("decimal(3,3)", "0", 0),
    "floats": ("double", "0.1", Decimal("0.1")),
    "large floats": ("double", "1e300", Decimal("1e300")),
    "tiny floats": ("double", "-1e-7", Decimal("-1e-7")),
    "single floats": ("real", "0.5", Decimal("0.5")),
    "true": ("boolean", "true", True),
    "false": ("boolean", "false", False),
    "dates": ("date", "'2026-02-03'", 1770076800),
    "dates before 1970": ("date", "'1969-12-31'", -86400),
    "dates beyond timestamps": ("date", "'300000-01-01'", 9404918380800),
    "year 9999": ("timestamp", "'9999-12-31 23:59:59.999999'", 253402300799),
    "fractions are rounded down": ("timestamp", "'2026-01-01 00:00:00.999999'", 1767225600),
    "fractions before 1970 too": ("timestamp", "'1969-12-31 23:59:58.5'", -2),
    "nanoseconds": ("timestamp_ns", "'2026-01-01 00:00:00.999999999'", 1767225600),
    "instants": ("timestamptz", "'2026-01-01 00:00:00.5+02'", 1767218400),
    "times of day": ("time", "'23:59:59'", "23:59:59"),
    "uuids": ("uuid", "'936da01f-9abd-4d9d-80c7-02af85c822a8'", "936da01f-9abd-4d9d-80c7-02af85c822a8"),
    "enums": ("enum('it''s', 'no')", "'it''s'", "it's"),
    "lists": ("varchar[]", "['a\"b', null, 'ü']", ['a"b', None, "ü"]),
    "arrays": ("integer[2]", "[1, 2]", [1, 2]),
    "structs": ("struct(a integer, b varchar[])", "{'a': 1, 'b': ['x']}", {"a": 1, "b": ["x"]}),
    "maps": ("map(varchar, integer)", "map {'k': 1}", {"k": 1}),
    "maps of numbers": ("map(integer, integer)", "map {7: 1}", {"7": 1}),
    "json": ("json", """'{"a": [1, {"b": null}], "c": "ü"}'""", {"a": [1, {"b": None}], "c": "ü"}),
    "json numbers": ("json", "'1.50'", Decimal("1.5")),
    "the json value null": ("json", "'null'", None),
    "null": ("varchar", "null", None),
}


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory, shared_sandbox: SandboxServer) -> dict[str, Any]:
    """What arrives of one person who has all the values, by name; the second sync has sent nothing."""
    rig = Rig(tmp_path_factory.mktemp("values") / "warehouse.duckdb", shared_sandbox)
    shared_sandbox.set_faults([])
    shared_sandbox.reset()
    columns = ", ".join(f'cast({value} as {kind}) as "{name}"' for name, (kind, value, _) in VALUES.items())
    with rig.kept_open():
        rig.sql(
            f"""create schema analytics; create table analytics.customerio_people as
            select 'p' as person_id, now()::timestamp as updated_at, {columns}"""
        )
        assert rig.run().outcomes.accepted == 1
        assert rig.run().plan.planned == 0
    return arrived(rig)["p"]


@pytest.mark.parametrize("name", VALUES)
def test_a_value_arrives_as_it_is(sent: dict[str, Any], name: str) -> None:
    _, _, expected = VALUES[name]
    assert sent.get(name) == expected
    assert isinstance(sent.get(name), bool) == isinstance(expected, bool)
    assert (name in sent) == (expected is not None)


def test_ids_of_any_text_arrive_as_they_are(rig: Rig) -> None:
    ids = ["a/b c", 'O\'Brien "Zoë" 零', "1", "x\ty", "cio_1", "ann@example.com", "\\", "😀"]
    for person in ids:
        rig.sql("insert into analytics.customerio_people (person_id, updated_at) values (?, now())", person)
    rig.run()
    assert rig.profiles().keys() == set(ids)


@pytest.mark.parametrize("column", ["bigint", "uuid"])
def test_ids_that_are_no_text_are_sent_as_their_text(rig: Rig, column: str) -> None:
    value = "42" if column == "bigint" else "936da01f-9abd-4d9d-80c7-02af85c822a8"
    rig.sql(
        f"""create or replace table analytics.customerio_people as
        select '{value}'::{column} as person_id, now()::timestamp as updated_at, 'x' as v"""
    )
    rig.run()
    assert rig.profiles() == {value: {"v": "x"}}
    assert rig.run().plan.planned == 0


HASHES = """
import sys
from cio_pipelines.sync.engine import PeopleSync, SyncSettings
from cio_pipelines.sync.specs import PEOPLE
from cio_pipelines.sync.windows import FULL
from cio_pipelines.warehouse import open_warehouse

engine = PeopleSync(open_warehouse("duckdb:///" + sys.argv[1]), PEOPLE, SyncSettings(workspace="t"), None)
engine.extract("a", FULL)
print(engine.plan("a", dry_run=True).planned)
"""


def test_the_hash_does_not_depend_on_the_time_zone_of_the_process(apart: Rig) -> None:
    apart.sql(
        """create or replace table analytics.customerio_people as select 'p' as person_id,
        '2026-07-01 12:00:00+00'::timestamptz as updated_at, '2026-07-01 12:00:00+00'::timestamptz as at,
        '2026-07-01 12:00'::timestamp as plain, {'t': '2026-07-01 12:00:00+00'::timestamptz} as nested,
        '2026-07-01'::date as day"""
    )
    texts = "select attributes, attributes_hash, source_updated_at from sync_plan"
    apart.plan()
    here = apart.state(texts)
    zone = "Asia/Kathmandu" if os.environ.get("TZ") != "Asia/Kathmandu" else "America/New_York"
    subprocess.run(
        [sys.executable, "-c", HASHES, str(apart.path)], check=True, env={**os.environ, "TZ": zone}
    )
    assert apart.state(texts) == here * 2


# a property: whatever the rows, the sandbox equals the mart, and after a change again

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
MOMENTS = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31))  # noqa: DTZ001
COLUMNS: dict[str, tuple[str, st.SearchStrategy[Any]]] = {
    "txt": ("varchar", TEXT),
    "big": ("hugeint", st.integers(-(2**127) + 1, 2**127 - 1)),
    "money": ("decimal(18,4)", st.decimals(-(10**13), 10**13, places=4)),
    "whole": ("decimal(38,0)", st.integers(-(10**38) + 1, 10**38 - 1)),
    "ratio": ("double", st.floats(allow_nan=False, allow_infinity=False)),
    "flag": ("boolean", st.booleans()),
    "day": ("date", st.dates()),
    "plain": ("timestamp", MOMENTS),
    "instant": ("timestamptz", MOMENTS.map(lambda moment: moment.replace(tzinfo=UTC))),
    "tags": ("varchar[]", st.lists(TEXT, max_size=4)),
    "key": ("uuid", st.uuids()),
}
ROW = st.fixed_dictionaries({name: st.none() | values for name, (_, values) in COLUMNS.items()})
IDS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20)
MART = st.dictionaries(IDS, ROW, min_size=1, max_size=6)


def expected(row: dict[str, Any]) -> dict[str, Any]:
    def sent(value: Any) -> Any:
        if isinstance(value, datetime):
            return (value.replace(tzinfo=None) - EPOCH) // timedelta(seconds=1)
        if isinstance(value, date):
            return (value - EPOCH.date()).days * 86400
        return str(value) if isinstance(value, uuid.UUID) else value

    return {name: sent(value) for name, value in row.items() if value is not None}


def _bindable(value: Any) -> Any:
    """Numbers as text: the driver has no type for the largest."""
    return str(value) if isinstance(value, (int, Decimal)) and not isinstance(value, bool) else value


def fill(rig: Rig, rows: dict[str, dict[str, Any]]) -> None:
    columns = ", ".join(f"{name} {kind}" for name, (kind, _) in COLUMNS.items())
    rig.sql(
        f"""create or replace table analytics.customerio_people (
        person_id varchar, updated_at timestamp default now(), {columns})"""
    )
    marks = ", ".join(["?", *[f"?::{kind}" for kind, _ in COLUMNS.values()]])
    for person, row in rows.items():
        values = [_bindable(row[name]) for name in COLUMNS]
        rig.sql(
            f"insert into analytics.customerio_people (person_id, {', '.join(COLUMNS)}) values ({marks})",
            person,
            *values,
        )


@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # shrinking would take minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(first=MART, changes=MART)
def test_the_sandbox_equals_the_mart_for_any_rows_and_after_any_change(
    rig: Rig, first: dict[str, Any], changes: dict[str, Any]
) -> None:
    rig.sandbox.reset()
    rig.sql("drop schema if exists customerio_sync cascade")
    second = {**first, **changes, **dict(zip(list(first)[:1], changes.values(), strict=False))}
    for rows in (first, second):
        fill(rig, rows)
        rig.run()
        got = arrived(rig)
        for person, row in rows.items():
            assert compared(got[person]) == compared(expected(row))
        assert rig.run().plan.planned == 0


def compared(attributes: dict[str, Any]) -> dict[str, Any]:
    """Numbers by their value; a float as the double that its digits mean."""
    return {
        name: float(value) if name == "ratio" else value
        for name, value in attributes.items()
        if value is not None
    }
