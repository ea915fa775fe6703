"""Columns of any type that can be read without guessing are read; others are told."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from .rig import NOON, ExportRig, delivery


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (pa.array(["2026-11-23 12:00:00"]), NOON),
        (pa.array(["2026-11-23T12:00:00Z"]), NOON),
        (pa.array(["2026-11-23 12:00:00 UTC"]), NOON),
        (pa.array(["2026-11-23 14:00:00.123456789+02:00"]), NOON.replace(microsecond=123456)),
        (pa.array(["2026-11-23 13:00:00 +01:00"]), NOON),
        (pa.array([""]), None),
        (pa.array(["1970-01-01 00:00:00"]), None),
        (pa.array([NOON], pa.timestamp("ms", "Europe/Berlin")), NOON),
        (pa.array([NOON.replace(tzinfo=None)], pa.timestamp("ns")), NOON),
        (pa.array([date(2026, 11, 23)]), datetime(2026, 11, 23, tzinfo=UTC)),
        (pa.array([0], pa.timestamp("us", "UTC")), None),
        (pa.array([0], pa.timestamp("s")), None),
        (pa.nulls(1), None),
    ],
)
def test_moments_are_read_however_they_are_written(rig: ExportRig, column: pa.Array, value: object) -> None:
    rig.export_table("deliveries", pa.table({"delivery_id": ["d1"], "created_at": column}))

    assert rig.run().failed == ()

    assert rig.table("deliveries", "created_at") == [(value,)]


@pytest.mark.parametrize(
    ("name", "column", "value"),
    [
        ("campaign_id", pa.array([23], pa.int32()), 23),
        ("campaign_id", pa.array([23.0]), 23),
        ("campaign_id", pa.array(["23"]), 23),
        ("campaign_id", pa.array([" "]), None),
        ("campaign_id", pa.array([Decimal("23")]), 23),
        ("delivery_type", pa.array(["email"]).dictionary_encode(), "email"),
        ("delivery_type", pa.array([b"email"]), "email"),
        ("delivery_type", pa.array(["email"], pa.large_string()), "email"),
        ("event_id", pa.array([7]), "7"),
        ("event_id", pa.array([""]), ""),
    ],
)
def test_columns_are_read_whatever_their_type(
    rig: ExportRig, name: str, column: pa.Array, value: object
) -> None:
    rig.export_table("deliveries", pa.table({"delivery_id": ["d1"], name: column}))

    assert rig.run().failed == ()

    assert rig.table("deliveries", name) == [(value,)]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"delivery_id": ["d1"], "campaign_id": ["twenty"]}, "Column campaign_id"),
        ({"delivery_id": ["d1"], "campaign_id": [1.5]}, "Column campaign_id"),
        ({"delivery_id": ["d1"], "campaign_id": [True]}, "Column campaign_id"),
        ({"delivery_id": ["d1"], "created_at": [1_764_000_000]}, "has the type int64"),
        (
            {"delivery_id": ["d1"], "created_at": ["soon"]},
            "values in it that are not moments",
        ),
        ({"delivery_id": ["d1"], "created_at": pa.array([2**61], pa.timestamp("us"))}, "Column created_at"),
        ({"campaign_id": [1]}, "has no column delivery_id"),
    ],
)
def test_a_file_whose_columns_do_not_fit_fails_with_the_column_and_no_value(
    rig: ExportRig, columns: dict[str, Any], reason: str
) -> None:
    rig.export_table("deliveries", pa.table(columns))

    (failed,) = rig.run().failed

    assert reason in failed.reason
    assert "twenty" not in failed.reason
    assert rig.table("deliveries") == []


def test_columns_that_the_table_has_not_are_kept(rig: ExportRig) -> None:
    rows = [
        delivery(1, mood="good", score=Decimal("1.50"), tags=["a"]),
        delivery(2, seen_at=NOON),
        delivery(3),
    ]
    rig.export("deliveries", rows)

    rig.run()

    kept = [
        None if text is None else json.loads(text) for (text,) in rig.table("deliveries", "other_columns")
    ]
    assert kept == [
        {"mood": "good", "score": "1.50", "tags": ["a"]},
        {"seen_at": "2026-11-23T12:00:00Z"},
        None,
    ]


@pytest.mark.parametrize(
    ("column", "kept"),
    [
        (pa.array([1_700_000_000_123_456_789], pa.timestamp("ns")), '"2023-11-14 22:13:20.123456789"'),
        (pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())), '[["a",1]]'),
        (pa.array([2**64 - 1], pa.uint64()), "18446744073709551615"),
        (pa.array([b"\xff"]), '"ff"'),
        (pa.array([{"b": 1, "a": None}]), '{"a":null,"b":1}'),
    ],
)
def test_unknown_columns_of_any_type_are_kept(rig: ExportRig, column: pa.Array, kept: str) -> None:
    rig.export_table("deliveries", pa.table({"delivery_id": ["d1"], "odd": column}))

    assert rig.run().failed == ()

    assert rig.table("deliveries", "other_columns") == [(f'{{"odd":{kept}}}',)]


def test_a_value_that_json_cannot_hold_fails_the_file(rig: ExportRig) -> None:
    day = pa.array([2**31 - 1], pa.int32()).cast(pa.date32())
    rig.export_table("events", pa.table({"odd": day}))

    (failed,) = rig.run().failed

    assert "values that JSON cannot hold" in failed.reason
