from __future__ import annotations

from tests.sync.conftest import rig, sandbox, shared_sandbox

__all__ = ["rig", "sandbox", "shared_sandbox"]
