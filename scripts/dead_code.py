"""Fail when a function, a method, a class or an import is used nowhere, in tests or otherwise.

Fields and variables are left out: of a dataclass or a model they are read by name.
"""

from __future__ import annotations

import sys
from pathlib import Path

from vulture import Vulture

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests"

CALLED_BY_OTHERS = [
    "*_here",  # by a process of their own, by name: see measure.apart
    "_cli_version",  # dagster-dbt's, replaced
    "_initialize_dbt_core_adapter",
    "get_description",
    "connection_made",  # asyncio's and httptools'
    "connection_lost",
    "data_received",
    "on_*",
    "capture_signals",  # uvicorn's
    "process_bind_param",  # SQLAlchemy's
    "process_result_value",
    "get_col_spec",
]
DECORATED = [
    "@dg.*",
    "@app.*",
    "@compiles",
    "@field_validator",
    "@model_validator",
    "@*.get",
    "@*.post",
    "@*.callback",
]
KINDS = {"class", "function", "import", "method", "property"}
IN_QUOTES = {"Buffer", "IO"}
"""Imported for a type that stands in quotes."""


def main() -> int:
    found = Vulture(ignore_names=CALLED_BY_OTHERS, ignore_decorators=DECORATED)
    # what only a test uses may be somebody's: the packages below cio_pipelines are a library
    found.scavenge([ROOT / "cio_pipelines", ROOT / "scripts", TESTS])
    dead = [
        item
        for item in found.get_unused_code(min_confidence=60)
        if item.typ in KINDS
        and not (item.typ == "import" and item.name in IN_QUOTES)
        and not item.filename.is_relative_to(TESTS)
    ]
    for item in dead:
        print(
            f"{item.filename.relative_to(ROOT)}:{item.first_lineno}: {item.typ} {item.name} is used nowhere"
        )
    return 1 if dead else 0


if __name__ == "__main__":
    sys.exit(main())
