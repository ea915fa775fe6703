"""dbt's manifest is made when it is needed, and only then."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from cio_pipelines.dbt import PROJECT_DIR, dbt_project, load_manifest
from cio_pipelines.dbt_target import DbtProjectError, target_folder
from cio_pipelines.settings import LOCAL, Settings


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "dbt_project"
    shutil.copytree(PROJECT_DIR, folder, ignore=shutil.ignore_patterns("target", "logs"))
    monkeypatch.setenv("DBT_TARGET_PATH", str(tmp_path / "state" / "target"))
    return folder


def test_the_manifest_follows_the_files_and_lies_elsewhere(project: Path) -> None:
    files = sorted(project.rglob("*"))

    manifest = dbt_project(project).manifest_path

    assert sorted(project.rglob("*")) == files
    parsed = manifest.stat().st_mtime_ns
    assert dbt_project(project).manifest_path.stat().st_mtime_ns == parsed

    # a deletion leaves no newer file behind
    for name in ("_broadcasts.yml", "customerio_win_back_recipients.sql"):
        (project / "models" / "marts" / name).unlink()

    names = {node["name"] for node in load_manifest(dbt_project(project))["nodes"].values()}
    assert "customerio_win_back_recipients" not in names
    assert "stg_app__users" in names


def test_a_project_that_dbt_cannot_read_says_where(project: Path) -> None:
    (project / "models" / "marts" / "customerio_people.sql").write_text("select {{ ref('nowhere') }}")

    with pytest.raises(DbtProjectError, match="nowhere"):
        dbt_project(project)


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

    assert target_folder(Settings()) == Path(expected)
    assert os.environ.get("DBT_TARGET_PATH") == environment.get("DBT_TARGET_PATH")
