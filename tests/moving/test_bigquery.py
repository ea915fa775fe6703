"""A workspace moves to BigQuery's stand-in. How BigQuery itself spells what others wrote is not shown."""

from __future__ import annotations

import pytest

from cio_pipelines.moving.tables import STATE
from cio_pipelines.sync.state import dead_letters, sync_plan, sync_runs, synced_people
from tests.engines.rig import EngineRig

from .rig import PERSON, MovingRig, person

PEOPLE = [person(number) for number in range(6)]


@pytest.mark.slow
@pytest.mark.parametrize("source", ["duckdb_rig", "postgresql_rig"])
def test_after_a_move_to_bigquery_nothing_is_planned_but_who_changed(
    source: str, bigquery_rig: EngineRig, request: pytest.FixtureRequest
) -> None:
    moving = MovingRig(request.getfixturevalue(source), bigquery_rig)
    long = person(6, first_name="x" * 1_001)
    moving.old.make_mart([*PEOPLE, long], **PERSON)
    old = moving.old.run()
    moving.new.make_mart([*PEOPLE[:-1], person(5, plan="pro"), long], **PERSON)

    moving.move(parts=[STATE])
    for table in (synced_people, dead_letters, sync_runs, sync_plan):
        assert moving.new.state(table, *table.c.keys()) == moving.old.state(table, *table.c.keys())
    adoption = moving.adopt()
    ran = moving.new.run()

    # the stand-in is made of DuckDB, and writes JSON as that does
    adopted = (0, 0) if source == "duckdb_rig" else (len(PEOPLE) - 1, 1)
    assert (adoption.people, adoption.waiting) == adopted
    assert adoption.differing == ran.plan.planned == ran.outcomes.accepted == 1
    assert moving.new.profile("p5") == {name: person(5, plan="pro")[name] for name in PERSON}
    assert moving.new.engine().summary(old.run_id).outcomes == old.outcomes
