"""What `make check` finds beyond lint and types."""

from __future__ import annotations

import importlib.util
import json
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
TODAY = date(2026, 12, 1)


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", ROOT / "scripts" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


FOUND = {
    "name": "example",
    "version": "1.0",
    "vulns": [{"id": "PYSEC-2026-1", "aliases": ["CVE-2026-1"], "fix_versions": ["1.1"]}],
}


def accepted(until: date, **more: str) -> dict[str, Any]:
    return {"id": "CVE-2026-1", "package": "example", "reason": "not reached", "until": until, **more}


@pytest.mark.parametrize(
    ("waivers", "code", "told"),
    [
        ([], 1, "example 1.0 of requirements/runtime.txt has PYSEC-2026-1; fixed by: 1.1. Upgrade it"),
        ([accepted(date(2027, 1, 1))], 0, "accepted until 2027-01-01: not reached"),
        ([accepted(date(2026, 11, 30))], 1, "accepted until 2026-11-30; fixed by: 1.1."),
        ([accepted(date(2027, 1, 1), package="other")], 1, "Upgrade it"),
    ],
    ids=["unknown to us", "accepted", "accepted no more", "accepted of another package"],
)
def test_a_known_vulnerability_fails_unless_it_is_accepted(
    audit: ModuleType, capsys: pytest.CaptureFixture[str], waivers: list[dict[str, Any]], code: int, told: str
) -> None:
    assert audit.judge("runtime.txt", [FOUND], waivers, TODAY) == code
    assert told in capsys.readouterr().out


def test_what_could_not_be_looked_up_is_not_called_safe(
    audit: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    unknown = {"name": "other", "skip_reason": "not found"}
    good = {"name": "example", "version": "1.0", "vulns": []}
    assert audit.judge("runtime.txt", [unknown, good], [], TODAY) == 0
    assert (
        "warning: of requirements/runtime.txt 1 of 2 packages could not be looked up"
        in capsys.readouterr().out
    )


def test_without_an_index_the_reason_is_told(
    audit: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "pip-audit"
    broken.write_text("#!/bin/sh\necho 'ERROR: no way there' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(audit, "PIP_AUDIT", broken)
    assert audit.look_up(tmp_path / "lock.txt") == "ERROR: no way there"
    broken.write_text(f"#!/bin/sh\necho '{json.dumps({'dependencies': [FOUND]})}'\nexit 1\n")
    assert audit.look_up(tmp_path / "lock.txt") == [FOUND]
