"""A workspace moves to BigQuery, of which a stand-in is here.

It writes JSON as BigQuery does in most, not all: that people who did not change are found again is shown; how
many of them BigQuery itself spells otherwise is not.
"""

from __future__ import annotations

import pytest

from cio_pipelines.sync.state import dead_letters, sync_plan, sync_runs, synced_people
from tests.engines.rig import EngineRig

from .rig import PERSON, MovingRig, person

PEOPLE = [person(number) for number in range(6)]
STATE = ("state",)


@pytest.mark.slow
def test_after_a_move_to_bigquery_nothing_is_planned_but_who_changed(
    duckdb_rig: EngineRig, bigquery_rig: EngineRig
) -> None:
    moving = MovingRig(duckdb_rig, bigquery_rig)
    moving.old.make_mart([*PEOPLE, person(6, first_name="x" * 1_001)], **PERSON)
    old = moving.old.run()
    moving.new.make_mart([*PEOPLE[:-1], person(5, plan="pro"), person(6, first_name="x" * 1_001)], **PERSON)

    moving.move(parts=STATE)
    for table in (synced_people, dead_letters, sync_runs, sync_plan):
        names = table.c.keys()
        assert moving.new.state(table, *names) == moving.old.state(table, *names)
    adoption = moving.adopt()
    ran = moving.new.run()

    assert (adoption.people, adoption.waiting) == (len(PEOPLE) - 1, 1)
    assert adoption.differing == ran.plan.planned == ran.outcomes.accepted == 1
    assert moving.new.engine().summary(old.run_id).outcomes == old.outcomes
