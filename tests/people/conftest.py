from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from cio_pipelines.demo import seed
from cio_pipelines.sandbox import SandboxOptions, SandboxServer
from tests.people.project import Project, today

PEOPLE = 1_200
"""Every oddity of the demo company occurs, and a guard's number is a small share."""


@pytest.fixture(scope="session")
def demo_company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    database = tmp_path_factory.mktemp("company") / "warehouse.duckdb"
    seed(database, PEOPLE)
    return database


@contextmanager
def opened(database: Path, server: SandboxServer) -> Iterator[Project]:
    """A project on a database and a sandbox, in an instance in memory."""
    with pytest.MonkeyPatch.context() as environment, dg.DagsterInstance.ephemeral() as instance:
        environment.setenv("WAREHOUSE_URL", f"duckdb:///{database}")
        environment.setenv("CUSTOMERIO_TRACK_URL", server.url)
        yield Project(database, server, instance)


@pytest.fixture
def project(tmp_path: Path, sandbox: SandboxServer, demo_company: Path) -> Iterator[Project]:
    """A project on the demo company, before its first sync."""
    database = tmp_path / "warehouse.duckdb"
    shutil.copyfile(demo_company, database)
    with opened(database, sandbox) as project:
        yield project


@dataclass(frozen=True)
class Synced:
    """Files of a project after its first full run, and that run."""

    database: Path
    workspace: Path
    result: dg.ExecuteInProcessResult


@pytest.fixture(scope="session")
def first_sync(tmp_path_factory: pytest.TempPathFactory, demo_company: Path) -> Synced:
    """The demo company's first full run, once for all tests: dbt alone takes seconds to start."""
    folder = tmp_path_factory.mktemp("synced")
    database, workspace = folder / "warehouse.duckdb", folder / "sandbox.sqlite"
    shutil.copyfile(demo_company, database)
    with (
        SandboxServer(SandboxOptions(database=workspace)) as server,
        opened(database, server) as project,
    ):
        result = project.run(full=True, partition=today())
    return Synced(database, workspace, result)


@pytest.fixture
def synced(tmp_path: Path, first_sync: Synced) -> Iterator[Project]:
    """A project of its own as it is after the first full run."""
    database, workspace = tmp_path / "warehouse.duckdb", tmp_path / "sandbox.sqlite"
    shutil.copyfile(first_sync.database, database)
    shutil.copyfile(first_sync.workspace, workspace)
    with SandboxServer(SandboxOptions(database=workspace)) as server, opened(database, server) as project:
        yield project
