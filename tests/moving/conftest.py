from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from cio_pipelines.sandbox import SandboxServer
from tests.emulators import Emulator
from tests.engines.rig import EngineRig
from tests.postgres import Postgres

from .rig import MovingRig

_numbers = count(1)


@pytest.fixture
def duckdb_rig(tmp_path: Path, sandbox: SandboxServer) -> EngineRig:
    """A DuckDB file that is not there yet, an empty sandbox."""
    return EngineRig("duckdb", f"duckdb:///{tmp_path / 'old.duckdb'}", sandbox)


@pytest.fixture
def postgresql_rig(postgres_server: Postgres, duckdb_rig: EngineRig) -> EngineRig:
    """An empty PostgreSQL database, for the same workspace."""
    url = postgres_server.new_database()
    return _same_workspace(duckdb_rig, "postgresql", url)


@pytest.fixture
def bigquery_rig(bigquery_emulator: Emulator, duckdb_rig: EngineRig) -> EngineRig:
    """An empty project of BigQuery's stand-in, for the same workspace."""
    url = f"bigquery://moving-{next(_numbers)}/analytics?storage_api=false"
    return _same_workspace(duckdb_rig, "bigquery", url, bigquery_emulator.url)


@pytest.fixture
def moving(duckdb_rig: EngineRig, postgresql_rig: EngineRig) -> MovingRig:
    """From DuckDB to PostgreSQL."""
    return MovingRig(duckdb_rig, postgresql_rig)


def _same_workspace(rig: EngineRig, engine: str, url: str, endpoint: str = "") -> EngineRig:
    """Another warehouse; ids of runs are one sequence on both."""
    return replace(rig, engine_name=engine, url=url, endpoint=endpoint)
