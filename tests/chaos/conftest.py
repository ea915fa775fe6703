from __future__ import annotations

from pathlib import Path

import pytest

from cio_pipelines.sandbox import SandboxServer
from tests.sync.rig import Rig

from .company import Company


@pytest.fixture
def company(tmp_path: Path, sandbox: SandboxServer) -> Company:
    """A company that was never synced, with the file of its warehouse closed."""
    company = Company(Rig(tmp_path / "warehouse.duckdb", sandbox))
    company.found()
    return company
