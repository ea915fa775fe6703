"""The dbt project as written down: described, owned, and without a column that nobody knows."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from cio_pipelines.demo import seed
from cio_pipelines.landing.manifest import landed_files
from cio_pipelines.webhooks.tables import webhook_events
from tests.dbt.conftest import Dbt, Outcome, execute

LOADED = (landed_files, webhook_events)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("project") / "warehouse.duckdb"


@pytest.fixture(scope="module")
def built(dbt: Dbt, database: Path) -> Outcome:
    seed(database, people=10, now=datetime(2026, 5, 20, tzinfo=UTC))
    return dbt(database, "build", "--exclude-resource-type", "unit_test", "test")


def nodes(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    made = [node for node in manifest["nodes"].values() if node["resource_type"] in ("model", "snapshot")]
    return [*made, *manifest["sources"].values()]


def test_every_relation_and_every_column_is_described(built: Outcome) -> None:
    silent = [
        f"{node['name']}.{column['name']}"
        for node in nodes(built.manifest)
        for column in ({"name": "", "description": node["description"]}, *node["columns"].values())
        if not column["description"].strip()
    ]

    assert len(nodes(built.manifest)) == 17
    assert silent == []


def test_every_relation_has_an_owner_and_a_group(built: Outcome) -> None:
    metas = {node["name"]: node["config"]["meta"] for node in nodes(built.manifest)}
    # their assets are Python ones, which say so themselves
    assert [metas.pop(table.name) for table in LOADED] == [{"made_here": True}] * 2

    owned = {name: meta["dagster"] for name, meta in metas.items()}
    assert all(meta["owners"] == ["team:growth"] and meta["group"] for meta in owned.values())


@pytest.mark.parametrize("table", LOADED, ids=lambda table: table.name)
def test_what_this_project_loads_is_declared_as_its_table_describes_itself(
    built: Outcome, table: sa.Table
) -> None:
    declared = built.manifest["sources"][f"source.cio_pipelines.customerio.{table.name}"]

    assert {name: column["description"] for name, column in declared["columns"].items()} == {
        column.name: column.comment for column in table.columns
    }
    assert declared["description"] == table.comment


def test_the_declared_columns_are_the_columns(database: Path, built: Outcome) -> None:
    for node in nodes(built.manifest):
        described = execute(database, f"describe {node['schema']}.{node['name']}")
        assert [row[0] for row in described] == list(node["columns"]), node["name"]


def test_models_are_named_for_their_layer(built: Outcome) -> None:
    models = [node for node in nodes(built.manifest) if node["resource_type"] == "model"]
    prefixes = {"stg": "staging", "int": "intermediate"}

    assert len(models) == 12
    for node in models:
        assert node["path"].split("/")[0] == prefixes.get(node["name"].partition("_")[0], "marts"), node[
            "name"
        ]


def test_dbt_leaves_nothing_in_the_project_folder(built: Outcome) -> None:
    folder = Path(__file__).parents[2] / "dbt_project"

    assert {path.name for path in folder.iterdir()} - {"target", "logs"} == {
        "dbt_project.yml",
        "macros",
        "models",
        "profiles.yml",
        "snapshots",
    }
