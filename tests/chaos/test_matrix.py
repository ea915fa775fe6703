"""The matrix leaves no pair out silently, and the committed page shows all of it."""

from __future__ import annotations

from itertools import product

from .matrix import ANSWERS, MEANINGLESS, MOMENTS, PROCESSES, cells
from .page import PAGE


def test_every_pair_is_tried_or_has_a_reason_not_to_be() -> None:
    tried = {(cell.fault, cell.moment) for cell in cells()}
    assert tried.isdisjoint(MEANINGLESS)
    assert tried | set(MEANINGLESS) == set(product([*ANSWERS, *PROCESSES], MOMENTS))
    assert all(MEANINGLESS.values())


def test_the_page_has_a_row_for_every_cell() -> None:
    rows = [line.split(" | ")[:3] for line in PAGE.read_text(encoding="utf-8").splitlines() if "| " in line]
    shown = {
        (fault.removeprefix("| "), extent, moment)
        for fault, extent, moment in (row for row in rows if len(row) == 3)
    }
    assert {(cell.fault, cell.extent, cell.moment) for cell in cells()} <= shown
