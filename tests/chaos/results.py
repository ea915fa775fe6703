"""What each cell showed, as a file of its own: the workers of a run of the suite share no memory."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from .matrix import Cell

FOLDER = "CHAOS_RESULTS"
"""The variable that names the folder; without it nothing is kept."""


@dataclass(frozen=True)
class Shown:
    """One row of the page: `said` by the run that met the fault, `runs` until in step, `twice` in words."""

    fault: str
    extent: str
    moment: str
    said: str
    runs: int
    twice: str


def keep(cell: Cell, said: str, runs: int, twice: str) -> None:
    """Write down what a cell showed, once it kept all promises."""
    folder = os.environ.get(FOLDER)
    if folder:
        shown = Shown(cell.fault, cell.extent, cell.moment, said, runs, twice)
        path = Path(folder, re.sub(r"\W+", "-", str(cell)) + ".json")
        path.write_text(json.dumps(asdict(shown)), encoding="utf-8")


def kept(folder: Path) -> dict[Cell, Shown]:
    """All that was written down."""
    found = [Shown(**json.loads(path.read_text(encoding="utf-8"))) for path in sorted(folder.glob("*.json"))]
    return {Cell(each.fault, each.moment, each.extent): each for each in found}  # type: ignore[arg-type]
