from __future__ import annotations

from pathlib import Path

import pytest

from cio_pipelines.sandbox import SandboxServer

from .rig import Rig


@pytest.fixture
def rig(tmp_path: Path, sandbox: SandboxServer) -> Rig:
    """Twenty people; the sandbox is empty but for them."""
    return Rig(tmp_path, sandbox)
