"""The models as BigQuery would get them: dbt compiles them, and BigQuery's grammar takes them.

dbt's adapter for BigQuery is not installed here. The project's own macros say what differs (`default__…` is
BigQuery's, `duckdb__…` the exception), so a copy without the exceptions compiles to BigQuery's SQL.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import sqlglot
import yaml

from tests.dbt.conftest import NO_DATABASE, PROJECT, Dbt, Outcome, execute

# what the grammar takes and BigQuery does not
FOREIGN = re.compile(
    r"->>|::|\bfilter \(|\b(arg_max|try|date_trunc|make_timestamp|epoch_us|strftime|varchar|double)\b",
    re.IGNORECASE,
)
TYPES = re.compile(r"string|timestamp|bigint|boolean|date|decimal\((\d+), (\d+)\)")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bigquery") / "dbt_project"
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("target", "logs"))
    exceptions = 0
    for macro in (folder / "macros").glob("*.sql"):
        text = macro.read_text(encoding="utf-8")
        exceptions += text.count("macro duckdb__")
        macro.write_text(text.replace("macro duckdb__", "macro exception__"), encoding="utf-8")
    assert exceptions
    return folder


def sql_of(compiled: Outcome) -> dict[str, str]:
    """The SQL of each model and snapshot that was compiled."""
    return {
        # only names of relations are quoted
        node["name"]: node["compiled_code"].replace('"', "`")
        for node in compiled.manifest["nodes"].values()
        if node["resource_type"] in ("model", "snapshot") and node.get("compiled_code")
    }


def test_every_model_is_good_bigquery(dbt: Dbt, project: Path) -> None:
    compiled = sql_of(dbt(NO_DATABASE, "compile", project=project))

    assert len(compiled) == 11
    for name, sql in compiled.items():
        sqlglot.parse_one(sql, dialect="bigquery")
        assert not FOREIGN.search(sql), (name, FOREIGN.search(sql))
    assert "array_agg(person_id ignore nulls order by event_at desc" in compiled["deliveries"]


def test_what_is_added_to_a_table_that_is_there_is_good_bigquery(
    dbt: Dbt, project: Path, tmp_path: Path
) -> None:
    database = tmp_path / "warehouse.duckdb"
    execute(database, "create schema analytics; create table analytics.deliveries (loaded_at timestamp)")

    sql = sql_of(dbt(database, "compile", "--select", "deliveries", project=project))["deliveries"]

    assert "recent.loaded_at" in sql
    sqlglot.parse_one(sql, dialect="bigquery")
    assert not FOREIGN.search(sql)


def test_contracts_name_types_that_both_engines_know() -> None:
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
