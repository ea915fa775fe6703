"""The dbt project as Dagster sees it: where it lies, its manifest, its resource and its names.

Which dbt runs, and in which warehouse it builds, is in `dbt_target.py`; what a build does in `dbt_build.py`.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import (
    DagsterDbtTranslator,
    DagsterDbtTranslatorSettings,
    DbtCliInvocation,
    DbtCliResource,
    DbtProject,
)
from packaging.version import Version

from cio_pipelines.dbt_target import (
    DbtProjectError,
    dbt_environment,
    dbt_executable,
    profiles_folder,
    target_folder,
)
from cio_pipelines.settings import ROOT, Settings, load_settings
from cio_pipelines.warehouse import Warehouse

PROJECT_DIR = ROOT / "dbt_project"

MODELS = "analytics"
"""First part of the models' asset keys."""


def dbt_project(folder: Path = PROJECT_DIR) -> DbtProject:
    """The project, with a manifest of the files as they are now.

    dbt parses them only when one is newer than the manifest, which takes three seconds.

    Raises:
        DbtProjectError: dbt cannot read the project.
        DbtUnavailable: there is no dbt for the warehouse.
    """
    settings = load_settings()
    project = DbtProject(folder, target_path=target_folder(settings), profiles_dir=profiles_folder(folder))
    with _locked(project.manifest_path.parent):
        if not _is_current(project):
            _parse(project, settings)
    return project


def load_manifest(project: DbtProject) -> dict[str, Any]:
    """dbt's `manifest.json`."""
    return json.loads(project.manifest_path.read_text(encoding="utf-8"))


@contextmanager
def _locked(folder: Path) -> Generator[None]:
    """One process at a time: web server, daemon and tests load the definitions at once."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_current(project: DbtProject) -> bool:
    if not project.manifest_path.exists():
        return False
    parsed = project.manifest_path.stat().st_mtime_ns
    # folders too: a deleted file leaves its trace only there
    parts = [project.project_dir / name for name in ("models", "macros", "snapshots")]
    files = [
        *project.project_dir.glob("*.yml"),
        *parts,
        *(path for part in parts for path in part.rglob("*")),
    ]
    return all(path.stat().st_mtime_ns < parsed for path in files if path.exists())


def _parse(project: DbtProject, settings: Settings) -> None:
    # a file that changes while dbt reads must count as newer; file systems' clocks run some ms behind
    started = time.time_ns() - 10_000_000
    environment = {**os.environ, **dbt_environment(settings)}
    where = ["--project-dir", project.project_dir, "--profiles-dir", project.profiles_dir]
    done = subprocess.run(  # noqa: S603 - our own executable and folders
        [dbt_executable(settings), "--quiet", "parse", *where],
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise DbtProjectError(f"dbt cannot read {project.project_dir}:\n{done.stdout.strip()}")
    os.utime(project.manifest_path, ns=(started, started))


class DbtResource(DbtCliResource):
    """dbt on the warehouse that the settings name when a step runs.

    It adds no fields on purpose: what a resource is configured with shows in Dagster's UI.
    """

    def warehouse(self) -> Warehouse:
        """What dbt builds in; open it only while dbt is not running. Raises SettingsError, WarehouseError."""
        return load_settings().warehouse()

    def cli(self, *args: Any, **kwargs: Any) -> DbtCliInvocation:
        """As the parent's, with the settings in the environment of the dbt process."""
        context = kwargs.get("context")
        run_id = context.run.run_id if context else None
        with _environ(dbt_environment(load_settings(), run_id)):
            return super().cli(*args, **kwargs)

    @cached_property
    def _cli_version(self) -> Version:
        # the parent runs `dbt --version`: two seconds, and a question to the package index
        return Version(version("dbt-core"))

    def _initialize_dbt_core_adapter(self, args: Any) -> Any:
        # serves only fetchers that we do not use: two seconds of imports, and DuckDB left open
        return None


def dbt_resource() -> DbtResource:
    """The resource `dbt` of the assets. Raises DbtUnavailable or SettingsError."""
    return DbtResource(
        project_dir=str(PROJECT_DIR),
        profiles_dir=str(profiles_folder(PROJECT_DIR)),
        dbt_executable=str(dbt_executable(load_settings())),
    )


@contextmanager
def _environ(values: Mapping[str, str]) -> Generator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class DbtTranslator(DagsterDbtTranslator):
    """Names and describes what comes from dbt.

    Sources are `[source, table]`, models `[analytics, model]`, snapshots `[snapshots, snapshot]`, whatever
    the dataset is called that WAREHOUSE_URL has the models built in.
    """

    def __init__(self) -> None:
        super().__init__(
            DagsterDbtTranslatorSettings(enable_code_references=True, enable_source_tests_as_checks=True)
        )

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        if dbt_resource_props["resource_type"] == "source":
            return dg.AssetKey([dbt_resource_props["source_name"], dbt_resource_props["name"]])
        schema = dbt_resource_props["config"].get("schema") or MODELS
        return dg.AssetKey([schema, dbt_resource_props["name"]])

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        # the parent appends the SQL, which the code reference leads to
        return dbt_resource_props["description"].strip()

    def get_asset_check_spec(
        self,
        asset_spec: dg.AssetSpec,
        manifest: Mapping[str, Any],
        unique_id: str,
        project: DbtProject | None,
    ) -> dg.AssetCheckSpec | None:
        spec = super().get_asset_check_spec(asset_spec, manifest, unique_id, project)
        if spec is None:
            return None
        return spec._replace(description=test_description(manifest["nodes"][unique_id]))


def test_description(test: Mapping[str, Any]) -> str:
    """What a dbt test of the manifest demands, for people."""
    written = test.get("description") or ""
    generic = test.get("test_metadata")
    if written or not generic:
        return written or f"dbt test {test['name']}."
    rules = {"unique": "is another in every row", "not_null": "is known in every row"}
    rule = rules.get(generic["name"], f"passes dbt's test `{generic['name']}`")
    return f"`{test.get('column_name') or 'the table'}` {rule}."


def foreign_sources(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Sources by unique id, without those that this project fills itself: they have assets of their own."""
    return {
        unique_id: source
        for unique_id, source in manifest["sources"].items()
        if not source["config"]["meta"].get("made_here")
    }


def source_specs(project: DbtProject) -> list[dg.AssetSpec]:
    """Tables that others make, as assets: described, owned, with their columns."""
    manifest, translator = load_manifest(project), DbtTranslator()
    specs: list[dg.AssetSpec] = []
    for unique_id in foreign_sources(manifest):
        spec = translator.get_asset_spec(manifest, unique_id, project)
        specs.append(
            dg.AssetSpec(
                spec.key,
                description=spec.description,
                group_name=spec.group_name,
                owners=spec.owners,
                kinds={manifest["metadata"]["adapter_type"], "table"},
                metadata={key: value for key, value in spec.metadata.items() if key.startswith("dagster/")},
            )
        )
    return specs
