"""Whatever the values: two engines that hold the same make the same of it, and only spell it differently."""

from __future__ import annotations

import sqlalchemy as sa

from cio_pipelines.sync.state import dead_letters
from tests.engines.rig import EngineRig, raw
from tests.engines.values import FAULTY, POSTGRESQL_TYPES, VALUES

from .rig import MovingRig

ENGINES = ("duckdb", "postgresql")
SPELLED = {name: value.sql for name, value in VALUES.items() if set(ENGINES) <= value.sql.keys()}
HURT = {name: spellings for name, spellings in FAULTY.items() if set(ENGINES) <= spellings.keys()}


def make_mart(rig: EngineRig) -> None:
    """One person a value, good or faulty, who has it in a column of its own."""
    everything = [*SPELLED.items(), *HURT.items()]
    columns = [
        f"CASE WHEN person_id = 'p{n}' THEN {spellings[rig.engine_name]} END AS v{n}"
        for n, (_, spellings) in enumerate(everything)
    ]
    people = " UNION ALL ".join(f"SELECT 'p{n}' AS person_id" for n in range(len(everything)))
    if rig.engine_name == "postgresql":
        for statement in POSTGRESQL_TYPES:
            rig.execute(raw(statement))
    rig.execute(sa.schema.CreateSchema("analytics", if_not_exists=True))
    rig.execute(
        raw(
            "CREATE TABLE analytics.customerio_people AS SELECT person_id, "
            f"CAST('2026-05-01' AS TIMESTAMP) AS updated_at, {', '.join(columns)} FROM ({people}) AS people"
        )
    )


def test_odd_values_are_adopted_and_faulty_ones_stay_dead(moving: MovingRig) -> None:
    make_mart(moving.old)
    make_mart(moving.new)
    sent = moving.old.run()
    assert sent.outcomes.quarantined == len(HURT)

    moving.move()
    adoption = moving.adopt()
    ran = moving.new.run()

    assert adoption.differing == 0
    assert (ran.plan.planned, ran.report.requests) == (0, 0)
    assert ran.plan.left_alone == len(HURT)
    assert len(moving.new.state(dead_letters, "person_id")) == len(HURT)
