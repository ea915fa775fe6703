from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cio_pipelines.sandbox import SandboxServer

from .rig import EventRig


@pytest.fixture
def rig(tmp_path: Path, sandbox: SandboxServer) -> Iterator[EventRig]:
    """An empty mart in a DuckDB file, an empty sandbox, and the sync between them."""
    rig = EventRig(f"duckdb:///{tmp_path / 'warehouse.duckdb'}", sandbox)
    with rig.warehouse.session():
        rig.make_mart()
        yield rig
