"""What every test runs in: an environment that names nobody's warehouse, workspace or Dagster instance."""

from __future__ import annotations

import os

import pytest

_NAMES_SOMETHING_REAL = ("WAREHOUSE_", "CUSTOMERIO_", "LANDING_", "QUEUE_", "DAGSTER_", "DBT_")


def pytest_configure(config: pytest.Config) -> None:
    for name in [name for name in os.environ if name.startswith(_NAMES_SOMETHING_REAL)]:
        del os.environ[name]
    # shared by all workers and runs: dbt parses the project once, not once a process
    os.environ["DBT_TARGET_PATH"] = str(config.rootpath / ".pytest_cache" / "dbt")
