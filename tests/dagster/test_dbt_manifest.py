"""dbt's manifest is made when it is needed, and only then."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from cio_pipelines.dbt import PROJECT_DIR, DbtProjectError, dbt_project, load_manifest, target_folder
from cio_pipelines.settings import LOCAL


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "dbt_project"
    shutil.copytree(PROJECT_DIR, folder, ignore=shutil.ignore_patterns("target", "logs"))
    monkeypatch.setenv("DBT_TARGET_PATH", str(tmp_path / "state" / "target"))
    return folder


def test_the_manifest_follows_the_files(project: Path) -> None:
    manifest = dbt_project(project).manifest_path
    parsed = manifest.stat().st_mtime_ns
    started = time.perf_counter()

    assert dbt_project(project).manifest_path.stat().st_mtime_ns == parsed
    assert time.perf_counter() - started < 1

    (project / "models" / "staging" / "stg_app__orders.sql").rename(project / "orders.sql")
    (project / "models" / "staging" / "stg_app__people.sql").write_text("select 1 as id")
    for broken in ("int_people__orders.sql", "_intermediate.yml"):
        (project / "models" / "intermediate" / broken).unlink()
    (project / "models" / "marts" / "customerio_people.sql").unlink()
    shutil.rmtree(project / "models" / "marts")
    (project / "models" / "staging" / "_staging.yml").write_text(
        "version: 2\nsources: [{name: app, schema: app, tables: [{name: users}]}]"
    )

    names = {node["name"] for node in load_manifest(dbt_project(project))["nodes"].values()}
    assert names == {"stg_app__users", "stg_app__people", "int_people__consent"}


def test_a_project_that_dbt_cannot_read_says_where(project: Path) -> None:
    (project / "models" / "marts" / "customerio_people.sql").write_text("select {{ ref('nowhere') }}")

    with pytest.raises(DbtProjectError, match="nowhere"):
        dbt_project(project)


def test_nothing_is_written_beside_the_sources(project: Path) -> None:
    before = sorted(project.rglob("*"))

    dbt_project(project)

    assert sorted(project.rglob("*")) == before


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"DBT_TARGET_PATH": "/elsewhere/target", "DAGSTER_HOME": "/home-of-dagster"}, "/elsewhere/target"),
        ({"DAGSTER_HOME": "/home-of-dagster"}, "/home-of-dagster/dbt"),
        ({"DAGSTER_HOME": ""}, str(LOCAL / "dbt")),
        ({"DAGSTER_HOME": str(LOCAL / "dagster")}, str(LOCAL / "dbt")),
        ({}, str(LOCAL / "dbt")),
    ],
)
def test_the_manifest_is_local_state(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str
) -> None:
    for name in ("DBT_TARGET_PATH", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert target_folder() == Path(expected)
    assert os.environ.get("DBT_TARGET_PATH") == environment.get("DBT_TARGET_PATH")
