"""The library knows nothing of the orchestrator: it can be used and tested without."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "cio_pipelines"
RINGS = [
    *(
        "alerting",
        "customerio",
        "sync",
        "warehouse",
        "sandbox",
        "landing",
        "webhooks",
        "exports",
        "moving",
        "messaging",
    ),
    *("gateway", "demo", "broadcasts", "verification"),
]
MODULES = ["lineage.py", "serving.py"]
OUTER = {path.stem for path in PACKAGE.iterdir()} - {*RINGS, *(Path(name).stem for name in MODULES)}
"""Everything else."""


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            yield from (f"{base}.{alias.name}" for alias in node.names)


def library_files() -> list[Path]:
    return [
        *(file for ring in RINGS for file in (PACKAGE / ring).rglob("*.py")),
        *(PACKAGE / name for name in MODULES),
    ]


def test_the_library_is_looked_at() -> None:
    assert len(library_files()) > 20
    assert any(name.startswith("httpx") for file in library_files() for name in imported(file))


@pytest.mark.parametrize("file", library_files(), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_library_module_imports_neither_dagster_nor_an_outer_ring(file: Path) -> None:
    names = list(imported(file))

    assert [name for name in names if name.partition(".")[0].startswith("dagster")] == []
    assert [name for name in names if name.startswith("cio_pipelines.") and name.split(".")[1] in OUTER] == []
