"""What every test runs in: an environment that names nobody's warehouse, workspace or Dagster instance."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from cio_pipelines.sandbox import SandboxOptions, SandboxServer
from tests import emulators
from tests.emulators import Emulator
from tests.leaks import leaks
from tests.postgres import Postgres, postgres

_NAMES_SOMETHING_REAL = (
    *("WAREHOUSE_", "CUSTOMERIO_", "LANDING_", "QUEUE_", "DAGSTER_", "DBT_", "CIO_DBT_"),
    *("GOOGLE_", "BIGQUERY_", "STORAGE_EMULATOR_", "PG"),
)


def pytest_configure(config: pytest.Config) -> None:
    for name in [name for name in os.environ if name.startswith(_NAMES_SOMETHING_REAL)]:
        del os.environ[name]
    # no test works on the queue of whoever runs it
    os.environ["QUEUE_URL"] = f"sqlite://{config.rootpath}/.pytest_cache/queue-{os.getpid()}.sqlite"
    # shared by all workers and runs: dbt parses the project once, not once a process
    os.environ["DBT_TARGET_PATH"] = str(config.rootpath / ".pytest_cache" / "dbt")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test whose code printed or logged personal data or a secret, whatever it is about."""
    report = yield
    if report.when != "teardown" or item.get_closest_marker("prints_personal_data"):
        return report
    found = {title: leaks(text) for title, text in report.sections}
    if told := [f"{title}: {', '.join(sorted(words))}" for title, words in found.items() if words]:
        report.outcome = "failed"
        report.longrepr = "the code under test told what it must not tell\n" + "\n".join(told)
    return report


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


@pytest.fixture(scope="session")
def bigquery_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """BigQuery's better stand-in, one for all tests of a worker: each uses a dataset of its own."""
    if reason := emulators.missing("local-bigquery"):
        pytest.skip(reason)
    with emulators.local_bigquery(tmp_path_factory.mktemp("buckets")) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def dbt_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """The stand-in for BigQuery that dbt-bigquery can build in, where that dbt is here too."""
    if reason := emulators.missing("bqemulator") or emulators.missing("dbt-bigquery"):
        pytest.skip(reason)
    with emulators.bqemulator(tmp_path_factory.mktemp("buckets")) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A PostgreSQL server, one for all tests of a worker."""
    with postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: Postgres) -> str:
    """The `WAREHOUSE_URL` of an empty database in it."""
    return postgres_server.new_database()


@pytest.fixture(scope="session")
def google_credentials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A key file for Google's clients that works with emulators only."""
    with emulators.service_account(tmp_path_factory.mktemp("google")) as path:
        yield path
