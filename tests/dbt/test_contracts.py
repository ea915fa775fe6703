"""Contracts promise types that every engine has."""

from __future__ import annotations

import re
from typing import Any

import yaml

from tests.dbt.conftest import PROJECT

# dbt translates `string`; the others are names that DuckDB, PostgreSQL and BigQuery all know
TYPES = re.compile(r"string|timestamp|bigint|boolean|date|decimal\((\d+), (\d+)\)")


def test_contracts_name_types_that_all_engines_know() -> None:
    columns: list[dict[str, Any]] = [
        column
        for path in (PROJECT / "models" / "marts").rglob("*.yml")
        for model in yaml.safe_load(path.read_text(encoding="utf-8"))["models"]
        for column in model["columns"]
    ]

    assert len(columns) > 90
    for column in columns:
        known = TYPES.fullmatch(column["data_type"])
        assert known, column
        if known[1]:
            # a NUMERIC of BigQuery has 29 digits before the point and 9 behind it
            assert int(known[1]) - int(known[2]) <= 29
            assert int(known[2]) <= 9
