from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cio_pipelines.sandbox import SandboxOptions, SandboxServer

from .rig import Rig


@pytest.fixture(scope="session")
def shared_sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(SandboxOptions()) as server:
        yield server


@pytest.fixture
def sandbox(shared_sandbox: SandboxServer) -> SandboxServer:
    """An empty sandbox without faults; the process is shared, its contents are not."""
    shared_sandbox.set_faults([])
    shared_sandbox.reset()
    return shared_sandbox


@pytest.fixture
def rig(tmp_path: Path, sandbox: SandboxServer) -> Iterator[Rig]:
    """An empty mart, an empty sandbox, and the sync between them."""
    rig = Rig(tmp_path / "warehouse.duckdb", sandbox)
    with rig.kept_open():
        rig.make_mart()
        yield rig


@pytest.fixture
def apart(tmp_path: Path, sandbox: SandboxServer) -> Rig:
    """As `rig`, with the file closed between the steps, so that other processes can open it."""
    rig = Rig(tmp_path / "warehouse.duckdb", sandbox)
    rig.make_mart()
    return rig
