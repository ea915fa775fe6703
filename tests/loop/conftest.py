from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cio_pipelines.cli.summary import as_json
from cio_pipelines.demo import change, seed
from cio_pipelines.sandbox import SandboxOptions, SandboxServer
from cio_pipelines.settings import load_settings
from tests.landing.conftest import gcs as gcs
from tests.landing.conftest import gcs_folder as gcs_folder
from tests.people.conftest import opened
from tests.people.project import today

from .commands import profiles

PEOPLE = 3_000
"""A first sync takes several bodies."""


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One Dagster instance for all commands of a worker: to make its databases takes seconds."""
    return tmp_path_factory.mktemp("dagster")


@dataclass
class OnDuckDB:
    """What the embedded default makes of the demo company, and of its changes."""

    company: Path
    """The application's tables."""

    changed: Path
    """They after the changes, beside what was built and synced."""

    marts: list[Path] = field(default_factory=list[Path])
    """The file after each sync."""

    lines: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """Of each sync what `--json` tells."""

    profiles: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """After each sync everybody in Customer.io."""


@pytest.fixture(scope="session")
def on_duckdb(tmp_path_factory: pytest.TempPathFactory) -> OnDuckDB:
    """Two full syncs of the demo company, the second after 1% changed."""
    folder = tmp_path_factory.mktemp("duckdb")
    told = OnDuckDB(folder / "company.duckdb", folder / "warehouse.duckdb")
    seed(told.company, PEOPLE)
    shutil.copy(told.company, told.changed)
    with SandboxServer(SandboxOptions()) as sandbox, opened(told.changed, sandbox) as project:
        for number in range(2):
            if number:
                assert change(told.changed) > 20
            ran = project.run(full=True, partition=today())
            assert ran.success
            told.lines.append(as_json(load_settings().people_sync().summary(ran.run_id), 0))
            told.profiles.append(profiles(sandbox))
            told.marts.append(Path(shutil.copy(told.changed, folder / f"after-{number}.duckdb")))
    return told
