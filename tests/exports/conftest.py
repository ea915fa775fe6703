"""What tests of exports share."""

from __future__ import annotations

from pathlib import Path

import pytest

from .rig import ExportRig


@pytest.fixture
def rig(tmp_path: Path) -> ExportRig:
    return ExportRig(tmp_path)
