"""The costs in the docs are those of the tables as they are."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_costs_in_the_docs_are_reckoned_from_the_tables_as_they_are() -> None:
    spec = importlib.util.spec_from_file_location("costs", ROOT / "scripts" / "costs.py")
    assert spec is not None
    assert spec.loader is not None
    costs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(costs)
    assert costs.table() in (ROOT / "docs" / "bigquery.md").read_text(encoding="utf-8")
