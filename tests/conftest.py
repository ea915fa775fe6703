"""What every test runs in: an environment that names nobody's warehouse, workspace or Dagster instance."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from cio_pipelines.sandbox import SandboxOptions, SandboxServer

_NAMES_SOMETHING_REAL = ("WAREHOUSE_", "CUSTOMERIO_", "LANDING_", "QUEUE_", "DAGSTER_", "DBT_")


def pytest_configure(config: pytest.Config) -> None:
    for name in [name for name in os.environ if name.startswith(_NAMES_SOMETHING_REAL)]:
        del os.environ[name]
    # shared by all workers and runs: dbt parses the project once, not once a process
    os.environ["DBT_TARGET_PATH"] = str(config.rootpath / ".pytest_cache" / "dbt")


@pytest.fixture(scope="session")
def sandbox_process() -> Iterator[SandboxServer]:
    """One sandbox in memory for all tests of a worker."""
    with SandboxServer(SandboxOptions()) as server:
        yield server


@pytest.fixture
def sandbox(sandbox_process: SandboxServer) -> SandboxServer:
    """An empty sandbox without faults."""
    sandbox_process.set_faults([])
    sandbox_process.reset()
    return sandbox_process
