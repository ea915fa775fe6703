"""The code location as Dagster loads it."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import dagster as dg
import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def location() -> dict[str, str]:
    return yaml.safe_load((ROOT / "workspace.yaml").read_text(encoding="utf-8"))["load_from"][0][
        "python_module"
    ]


@pytest.fixture(scope="module")
def definitions(location: dict[str, str]) -> dg.Definitions:
    return importlib.import_module(location["module_name"]).defs()


@pytest.fixture(scope="module")
def graph(definitions: dg.Definitions) -> dg.AssetGraph:
    return definitions.resolve_asset_graph()


def test_the_definitions_load_twice_in_a_row(location: dict[str, str], definitions: dg.Definitions) -> None:
    again = importlib.import_module(location["module_name"]).defs()

    dg.Definitions.validate_loadable(definitions)
    dg.Definitions.validate_loadable(again)
    keys = [set(loaded.resolve_asset_graph().get_all_asset_keys()) for loaded in (definitions, again)]
    assert keys[0] == keys[1]
    assert dg.AssetKey(["analytics", "customerio_people"]) in keys[0]
    assert dg.AssetKey(["app", "users"]) in keys[0]


def test_every_job_runs_in_one_process(definitions: dg.Definitions) -> None:
    jobs = definitions.resolve_all_job_defs()

    assert {job.executor_def.name for job in jobs} == {"in_process"}


def test_the_location_has_one_name(location: dict[str, str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["dg"]["project"]

    assert location["location_name"] == project["code_location_name"]


def test_no_asset_is_a_stub_for_a_misspelt_dependency(graph: dg.AssetGraph) -> None:
    stubs = [
        key.to_user_string()
        for key in graph.get_all_asset_keys()
        if "dagster/auto_created_stub_asset" in graph.get(key).metadata
    ]

    assert stubs == []


def test_every_check_is_about_an_asset_that_exists(graph: dg.AssetGraph) -> None:
    assert {key.asset_key for key in graph.asset_check_keys} <= set(graph.get_all_asset_keys())


def test_every_asset_is_named_described_owned_and_grouped(graph: dg.AssetGraph) -> None:
    faults: list[str] = []
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        name = key.to_user_string()
        faults += [f"{name} has {len(key.path)} parts"] * (len(key.path) != 2)
        faults += [f"{name} is not described"] * (not (node.description or "").strip())
        faults += [f"{name} is owned by nobody"] * (not node.owners)
        faults += [f"{name} has no group"] * (not re.fullmatch("[a-z_]+", node.group_name or ""))
        faults += [f"{name} is in the default group"] * (node.group_name == "default")
        faults += [f"{name} has kinds {node.kinds}"] * (not 1 <= len(node.kinds) <= 3)

    assert faults == []


def test_every_check_is_described(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()

    assert [str(key) for key in graph.asset_check_keys if not graph.get(key).description] == []


@pytest.mark.parametrize("table", ["users", "orders"])
def test_the_keys_of_a_source_are_checked_before_anything_is_built(graph: dg.AssetGraph, table: str) -> None:
    key = dg.AssetKey(["app", table])
    column = {"users": "user_id", "orders": "order_id"}[table]
    for test in ("unique", "not_null"):
        check = graph.get(dg.AssetCheckKey(key, f"source_{test}_app_{table}_{column}"))
        assert check.blocking


@pytest.mark.parametrize("test", ["unique", "not_null"])
def test_the_persons_id_is_checked_before_anything_follows(graph: dg.AssetGraph, test: str) -> None:
    mart = dg.AssetKey(["analytics", "customerio_people"])

    assert graph.get(dg.AssetCheckKey(mart, f"{test}_customerio_people_person_id")).blocking


def test_the_mart_follows_from_the_sources(graph: dg.AssetGraph) -> None:
    ancestors = graph.get_ancestor_asset_keys(dg.AssetKey(["analytics", "customerio_people"]))

    assert {dg.AssetKey(["app", "users"]), dg.AssetKey(["app", "orders"])} <= ancestors


@pytest.mark.parametrize("name", ["sync_people", "sync_people_fully"])
def test_a_sync_reads_what_was_reported_and_does_not_load_it(definitions: dg.Definitions, name: str) -> None:
    selected = definitions.resolve_job_def(name).asset_layer.selected_asset_keys

    assert dg.AssetKey(["analytics", "consent_changes"]) in selected
    assert dg.AssetKey(["snapshots", "app_consent_history"]) in selected
    assert dg.AssetKey(["customerio", "webhook_events"]) not in selected


def test_columns_of_sources_are_described(graph: dg.AssetGraph) -> None:
    schema = graph.get(dg.AssetKey(["app", "users"])).metadata["dagster/column_schema"]

    assert "plan" in [column.name for column in schema.columns]
    assert all(column.description for column in schema.columns)


@pytest.mark.slow
def test_dagster_itself_loads_the_workspace_without_a_warning(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())
    environment = {**os.environ, "DAGSTER_HOME": str(tmp_path)}
    command = [Path(sys.executable).parent / "dagster", "definitions", "validate", "-w", "workspace.yaml"]

    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    said = (done.stdout + done.stderr).splitlines()
    # dagster calls the command itself superseded by one of dg's, which takes three times as long
    assert [line for line in said if "warning" in line.lower() and "superseded" not in line] == []
