"""Which dbt runs, in which warehouse: what follows from WAREHOUSE_URL."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from cio_pipelines import dbt_target
from cio_pipelines.dbt import PROJECT_DIR, DbtTranslator, dbt_project, load_manifest
from cio_pipelines.dbt_target import DbtUnavailable, dbt_environment, dbt_executable, target_folder
from cio_pipelines.settings import Settings
from tests import emulators

POSTGRESQL = Settings(warehouse_url="postgresql://ada:s%40cret@db.example.com:5433/shop?sslmode=require")
BIGQUERY = Settings(
    warehouse_url="bigquery://a-project/models?location=EU", warehouse_max_bytes_billed=10**12, cio_env="prod"
)


def test_each_engine_has_a_target_and_a_folder_for_its_manifest(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DBT_TARGET_PATH", str(tmp_path))
    found = {
        settings.engine: (dbt_environment(settings)["DBT_TARGET"], target_folder(settings))
        for settings in (Settings(), POSTGRESQL, BIGQUERY)
    }

    assert found == {
        "duckdb": ("local", tmp_path),
        "postgresql": ("postgres", tmp_path / "postgresql"),
        "bigquery": ("prod", tmp_path / "a-project.models"),
    }


def test_bigquery_is_told_where_to_build_and_what_it_may_read() -> None:
    found = dbt_environment(BIGQUERY, run_id="a-run")

    assert found["DBT_BIGQUERY_PROJECT"] == "a-project"
    assert found["DBT_BIGQUERY_DATASET"] == "models"
    assert found["DBT_BIGQUERY_LOCATION"] == "'EU'"
    assert found["DBT_BIGQUERY_MAX_BYTES_BILLED"] == str(10**12)
    assert (found["DBT_RUN_ID"], found["CIO_ENV"]) == ("a-run", "prod")


def test_postgresqls_password_is_in_a_variable_that_dbt_does_not_show() -> None:
    found = dbt_environment(POSTGRESQL)

    assert [name for name, value in found.items() if "s@cret" in value] == [
        "DBT_ENV_SECRET_POSTGRES_PASSWORD"
    ]
    assert (found["DBT_POSTGRES_HOST"], found["DBT_POSTGRES_PORT"]) == ("db.example.com", "5433")
    assert (found["DBT_POSTGRES_USER"], found["DBT_POSTGRES_DATABASE"]) == ("ada", "shop")
    assert found["DBT_POSTGRES_SSLMODE"] == "require"


def test_a_socket_of_postgresql_is_a_host() -> None:
    found = dbt_environment(Settings(warehouse_url="postgresql://postgres@/shop?host=/run/postgresql"))

    assert (found["DBT_POSTGRES_HOST"], found["DBT_POSTGRES_PORT"]) == ("/run/postgresql", "5432")


def test_the_dbt_of_bigquery_has_an_environment_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ours = Path(sys.executable).parent / "dbt"
    assert dbt_executable(Settings()) == dbt_executable(POSTGRESQL) == ours

    monkeypatch.setattr(dbt_target, "BIGQUERY_DBT", tmp_path / "dbt")
    with pytest.raises(DbtUnavailable, match=r"no dbt for bigquery at .*make setup-bigquery"):
        dbt_executable(BIGQUERY)

    assert dbt_executable(BIGQUERY.model_copy(update={"cio_dbt_executable": ours})) == ours
    with pytest.raises(DbtUnavailable, match="CIO_DBT_EXECUTABLE"):
        dbt_executable(BIGQUERY.model_copy(update={"cio_dbt_executable": tmp_path / "dbt"}))


@pytest.mark.parametrize(
    "url", ["postgresql://nobody@127.0.0.1:1/nowhere", "bigquery://nowhere/models?location=EU"]
)
def test_assets_have_the_same_names_on_every_engine_and_need_no_connection(
    url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if url.startswith("bigquery") and (reason := emulators.missing("dbt-bigquery")):
        pytest.skip(reason)
    local = load_manifest(dbt_project())
    monkeypatch.setenv("WAREHOUSE_URL", url)
    monkeypatch.setenv("DBT_TARGET_PATH", str(tmp_path))

    manifest = load_manifest(dbt_project())

    assert manifest["metadata"]["adapter_type"] == {"p": "postgres", "b": "bigquery"}[url[0]]
    key, kinds = DbtTranslator().get_asset_key, ("model", "snapshot")
    assert {key(node) for node in manifest["nodes"].values() if node["resource_type"] in kinds} == {
        key(node) for node in local["nodes"].values() if node["resource_type"] in kinds
    }


def test_profiles_may_lie_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    profile = tmp_path / "profiles"
    profile.mkdir()
    shutil.copy(PROJECT_DIR / "profiles.yml", profile)
    monkeypatch.setenv("DBT_PROFILES_DIR", str(profile))

    assert dbt_project().profiles_dir == profile
