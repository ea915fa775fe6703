"""Real input: AdventureWorks' customers and orders, synced as one backfill over three years of days."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path

import pytest

from tests.adventureworks import load_adventureworks
from tests.people.project import PUSH, Project, checks, failures, metadata, read_back

SHARED = Path(os.environ.get("CIO_SHARED_DIR") or Path(__file__).parents[2].parent / "shared")
SOURCE = SHARED / "data" / "adventureworks"
YEARS = ("2015-01-01", "2017-12-31")

pytestmark = pytest.mark.skipif(
    not SOURCE.is_dir(), reason="the AdventureWorks sample is not there (CIO_SHARED_DIR/data/adventureworks)"
)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_backfill_over_three_years_makes_everybody_equal_to_the_mart_and_a_second_one_sends_nothing(
    project: Project,
) -> None:
    project.database.unlink()
    load_adventureworks(project.database, SOURCE)

    first = project.run(span=YEARS)

    assert first.success, failures(first)
    assert all(checks(first).values())
    told = metadata(first, PUSH)
    assert (told["planned"], told["accepted"], told["rejected"], told["due"]) == (9_315, 9_315, 0, 0)
    expected, found = project.mart(), read_back(project.sandbox)
    assert len(expected) == 9_315
    assert found.keys() == expected.keys()
    differing = {
        (person, name): (found[person].get(name), value)
        for person, attributes in expected.items()
        for name, value in attributes.items()
        if found[person].get(name) != (Decimal(value) if isinstance(value, Decimal) else value)
    }
    assert differing == {}
    assert all(found[person].keys() == attributes.keys() for person, attributes in expected.items())

    second = project.run(span=YEARS)

    assert second.success, failures(second)
    assert metadata(second, PUSH)["planned"] == 0
    assert project.sandbox.stats()["requests_by_path"]["/api/v2/batch"] == told["requests"]
