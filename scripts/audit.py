"""Fail when a locked package has a known vulnerability that nobody accepted.

pip-audit asks the package index, whose mirrors need not know anything about vulnerabilities. What could not
be looked up is told as a warning: it has not been found to be safe.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / "requirements"
ACCEPTED = REQUIREMENTS / "accepted-vulnerabilities.toml"
PIP_AUDIT = ROOT / ".venvs" / "audit" / "bin" / "pip-audit"
SHIPPED = ("image.txt", "dbt-bigquery.txt")
"""Locks of what runs in production; what only tests use meets nobody's input."""


def main() -> int:
    accepted = tomllib.loads(ACCEPTED.read_text(encoding="utf-8")).get("accepted", [])
    today = datetime.now(UTC).date()
    code = 0
    for name in SHIPPED:
        report = look_up(REQUIREMENTS / name)
        if isinstance(report, str):
            print(f"warning: requirements/{name} was not looked up among known vulnerabilities: {report}")
            continue
        code = max(code, judge(name, report, accepted, today))
    return code


def look_up(lock: Path) -> list[dict[str, Any]] | str:
    """pip-audit's word on each package of a lock, or why there is none."""
    options = ["--disable-pip", "--require-hashes", "--vulnerability-service", "pypi", "--timeout", "15"]
    done = subprocess.run(
        [PIP_AUDIT, *options, "--format", "json", "--progress-spinner", "off", "--requirement", lock],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        return json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        return (done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]


def judge(
    name: str, packages: Iterable[Mapping[str, Any]], accepted: Iterable[Mapping[str, Any]], today: date
) -> int:
    """Tell what was found in a lock; returns 1 when something in it is not accepted, or no longer."""
    packages = list(packages)
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    code = 0
    for package in packages:
        for found in package.get("vulns", []):
            names = {found["id"], *found.get("aliases", [])}
            waiver = next(
                (each for each in accepted if each["id"] in names and each["package"] == package["name"]),
                None,
            )
            told = f"{package['name']} {package['version']} of requirements/{name} has {found['id']}"
            fixed = ", ".join(found.get("fix_versions", [])) or "no release yet"
            if waiver is None:
                print(f"{told}; fixed by: {fixed}. Upgrade it, or accept it in requirements/{ACCEPTED.name}.")
                code = 1
            elif waiver["until"] < today:
                print(f"{told}, accepted until {waiver['until']}; fixed by: {fixed}.")
                code = 1
            else:
                print(f"{told}, accepted until {waiver['until']}: {waiver['reason']}")
    if skipped:
        print(
            f"warning: of requirements/{name} {len(skipped)} of {len(packages)} packages could not be "
            "looked up among known vulnerabilities: the index of this machine does not tell"
        )
    return code


if __name__ == "__main__":
    sys.exit(main())
