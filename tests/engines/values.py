"""One table of values and what Customer.io must be told of them, for every engine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

TEXTS = {
    "quotes": 'O\'Brien "x" \\ / </script>',
    "an empty text": "",
    "spaces": "  x  ",
    "control characters": "".join(map(chr, range(1, 32))) + "\x7f\u2028",
    "scripts": "Zoë Łukasz Ольга محمد נועה 王小明 𠮷野家 민준 さくら प्रिया 👩🏽‍🚀🇩🇪",
    "combining marks as they are": "Rene\u0301",
    "text that looks like JSON": '{"a": null}',
}


@dataclass(frozen=True)
class Value:
    """What arrives of an SQL expression, which each engine spells; an engine that lacks the type has none."""

    expected: Any
    sql: Mapping[str, str] = field(default_factory=dict)


def spelled(expected: Any, *, duckdb: str = "", postgresql: str = "", bigquery: str = "") -> Value:
    """A value by its spellings."""
    given = {"duckdb": duckdb, "postgresql": postgresql, "bigquery": bigquery}
    return Value(expected, {engine: text for engine, text in given.items() if text})


def literal(engine: str, text: str) -> str:
    """A text as SQL."""
    return (
        json.dumps(text, ensure_ascii=False) if engine == "bigquery" else "'" + text.replace("'", "''") + "'"
    )


def _text(text: str) -> Value:
    return Value(text, {engine: literal(engine, text) for engine in ("duckdb", "postgresql", "bigquery")})


def _same(expected: Any, text: str) -> Value:
    return spelled(expected, duckdb=text, postgresql=text, bigquery=text)


def _number(expected: Any, text: str, kind: str, bigquery: str) -> Value:
    return spelled(
        expected,
        duckdb=f"CAST({text} AS {kind})",
        postgresql=f"CAST({text} AS {kind})",
        bigquery=f"CAST({text} AS {bigquery})",
    )


_DOCUMENT = '{"c": "ü", "a": [1, {"b": null}]}'
_DAY, _MOMENT = "CAST('{}' AS DATE)", "CAST('{}' AS TIMESTAMP)"

VALUES: dict[str, Value] = {
    **{name: _text(text) for name, text in TEXTS.items()},
    "text that looks like an escape": spelled(
        "\\u0000 \\ud800",
        duckdb=r"'\u0000 \ud800'",
        postgresql=r"'\u0000 \ud800'",
        bigquery=r"CONCAT('\\', 'u0000 ', '\\', 'ud800')",
    ),
    "integers": _number(-2147483648, "-2147483648", "INTEGER", "INT64"),
    "big integers": _number(9223372036854775807, "9223372036854775807", "BIGINT", "INT64"),
    "decimals": _number(Decimal("1234.5"), "'1234.50'", "DECIMAL(10, 2)", "NUMERIC"),
    "negative decimals": _number(Decimal("-0.05"), "'-0.05'", "DECIMAL(10, 2)", "NUMERIC"),
    "whole decimals": _number(1200, "'1200.00'", "DECIMAL(10, 2)", "NUMERIC"),
    "zero": _number(0, "'0'", "DECIMAL(10, 2)", "NUMERIC"),
    "decimals of scale 0": _number(-1200, "'-1200'", "DECIMAL(20, 0)", "NUMERIC"),
    "decimals of 38 digits": _number(
        Decimal("12345678901234567890123456789.000000001"),
        "'12345678901234567890123456789.000000001'",
        "DECIMAL(38, 9)",
        "NUMERIC",
    ),
    "decimals without whole digits": _number(Decimal("-0.05"), "'-0.05'", "DECIMAL(3, 3)", "BIGNUMERIC"),
    "decimals of any size": spelled(
        Decimal("1" + "0" * 30 + ".5"), postgresql="1000000000000000000000000000000.50::numeric"
    ),
    "floats": _number(Decimal("0.1"), "'0.1'", "DOUBLE PRECISION", "FLOAT64"),
    "large floats": _number(Decimal("1e300"), "'1e300'", "DOUBLE PRECISION", "FLOAT64"),
    "tiny floats": _number(Decimal("-1e-7"), "'-1e-7'", "DOUBLE PRECISION", "FLOAT64"),
    "whole floats": _number(2, "'2.0'", "DOUBLE PRECISION", "FLOAT64"),
    "true": _same(True, "TRUE"),
    "false": _same(False, "FALSE"),
    "dates": _same(1770076800, _DAY.format("2026-02-03")),
    "dates before 1970": _same(-86400, _DAY.format("1969-12-31")),
    "the first day": _same(-62135596800, _DAY.format("0001-01-01")),
    "the last day": _same(253402214400, _DAY.format("9999-12-31")),
    "dates before Christ": spelled(
        -62135683200, duckdb="'0001-12-31 (BC)'::date", postgresql="'0001-12-31 BC'::date"
    ),
    "moments": _same(1767225600, _MOMENT.format("2026-01-01 00:00:00")),
    "the last moment": _same(253402300799, _MOMENT.format("9999-12-31 23:59:59.999999")),
    "fractions are rounded down": _same(1767225600, _MOMENT.format("2026-01-01 00:00:00.999999")),
    "fractions before 1970 too": _same(-2, _MOMENT.format("1969-12-31 23:59:58.5")),
    "instants": spelled(
        1767218400,
        duckdb="'2026-01-01 00:00:00.5+02'::timestamptz",
        postgresql="'2026-01-01 00:00:00.5+02'::timestamptz",
        bigquery="TIMESTAMP '2026-01-01 00:00:00.5+02:00'",
    ),
    "moments without a zone": _number(1767225600, "'2026-01-01 00:00:00'", "TIMESTAMP", "DATETIME"),
    "times of day": _same("23:59:59", "CAST('23:59:59' AS TIME)"),
    "uuids": spelled(
        "936da01f-9abd-4d9d-80c7-02af85c822a8",
        duckdb="'936da01f-9abd-4d9d-80c7-02af85c822a8'::uuid",
        postgresql="'936da01f-9abd-4d9d-80c7-02af85c822a8'::uuid",
    ),
    "arrays of texts": spelled(
        ['a"b', "ü"],
        duckdb="['a\"b', 'ü']",
        postgresql="ARRAY['a\"b', 'ü']",
        bigquery="['a\"b', 'ü']",
    ),
    "arrays of numbers": spelled([1, 2], duckdb="[1, 2]", postgresql="ARRAY[1, 2]", bigquery="[1, 2]"),
    "arrays with nulls": spelled(["x", None], duckdb="['x', NULL]", postgresql="ARRAY['x', NULL]"),
    "structs": spelled(
        {"a": 1, "b": ["x"]},
        duckdb="{'a': 1, 'b': ['x']}",
        postgresql="ROW(1, ARRAY['x'])::pair",
        bigquery="STRUCT(1 AS a, ['x'] AS b)",
    ),
    "json": spelled(
        {"a": [1, {"b": None}], "c": "ü"},
        duckdb=f"'{_DOCUMENT}'::json",
        postgresql=f"'{_DOCUMENT}'::json",
        bigquery=f"JSON '{_DOCUMENT}'",
    ),
    "binary json": spelled({"a": [1, {"b": None}], "c": "ü"}, postgresql=f"'{_DOCUMENT}'::jsonb"),
    "json with a zero character": spelled(
        {"a": "\0"}, duckdb="""'{"a": "\\u0000"}'::json""", postgresql="""'{"a": "\\u0000"}'::json"""
    ),
    "the json value null": spelled(
        None, duckdb="'null'::json", postgresql="'null'::json", bigquery="JSON 'null'"
    ),
    "case-insensitive texts": spelled("Ann", postgresql="'Ann'::citext"),
    "enums": spelled("it's", duckdb="'it''s'::enum('it''s', 'no')", postgresql="'it''s'::word"),
    "domains": spelled(7, postgresql="7::small"),
    "null": spelled(
        None, duckdb="NULL::varchar", postgresql="NULL::varchar", bigquery="CAST(NULL AS STRING)"
    ),
}

POSTGRESQL_TYPES = (
    "CREATE EXTENSION citext",
    "CREATE TYPE pair AS (a integer, b text[])",
    "CREATE TYPE word AS ENUM ('it''s', 'no')",
    "CREATE DOMAIN small AS integer",
)

FAULTY: dict[str, Mapping[str, str]] = {
    "not a number": {
        "duckdb": "'nan'::double",
        "postgresql": "'nan'::float8",
        "bigquery": "CAST('nan' AS FLOAT64)",
    },
    "infinity": {
        "duckdb": "'-inf'::double",
        "postgresql": "'-infinity'::float8",
        "bigquery": "CAST('-inf' AS FLOAT64)",
    },
    "a decimal that is not a number": {"postgresql": "'nan'::numeric(10, 2)"},
    "a whole decimal that is not a number": {"postgresql": "'nan'::numeric(10, 0)"},
    "an infinite moment": {"duckdb": "'infinity'::timestamp", "postgresql": "'infinity'::timestamptz"},
    "json with half a character": {"postgresql": """'{"a": "\\ud800"}'::json"""},
    "an infinite date": {"duckdb": "'-infinity'::date", "postgresql": "'-infinity'::date"},
}
"""Values that JSON lacks: their rows are quarantined."""
