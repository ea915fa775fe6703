"""State that release 1 left is brought up to date, on every engine."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from cio_pipelines.sync import state
from cio_pipelines.sync.windows import FULL
from cio_pipelines.warehouse import StateVersionError

from .rig import EngineRig
from .test_sync import ATTRIBUTES, person


def of_version_1(rig: EngineRig) -> None:
    """The tables as release 1 made them: plans and ledgers know no day, the snapshot no direct word."""
    with rig.warehouse.connect() as connection:
        connection.execute(sa.schema.CreateSchema(state.SCHEMA, if_not_exists=True))
        old = sa.MetaData(schema=state.SCHEMA)
        for table in state.metadata.sorted_tables:
            connection.execute(sa.schema.DropTable(table, if_exists=True))
            known = [c for c in table.columns if c.name not in ("run_date", "direct")]
            columns = [sa.Column(c.name, c.type) for c in known]
            connection.execute(sa.schema.CreateTable(sa.Table(table.name, old, *columns)))
        connection.execute(state.state_version.insert().values(version=1, applied_at=datetime.now(UTC)))


def test_a_run_that_release_1_began_is_finished_and_nobody_is_lost(rig: EngineRig) -> None:
    of_version_1(rig)
    rig.make_mart([person("sent"), person("planned")], **ATTRIBUTES)
    began = datetime(2026, 11, 1, 23, 59, 58, tzinfo=UTC)
    owner = {"workspace": rig.workspace, "sync": "people", "run_id": "old"}
    operation = {**owner, "operation": "identify", "phase": 2, "attributes": "{}", "attributes_hash": "h"}
    # by names: the tables of today have a column more
    run = {**owner, "kind": "people", "status": "sending", "extracted_at": began, "planned": 2}
    with rig.warehouse.connect() as connection:
        connection.execute(state.sync_runs.insert().values(run))
        for name in ("sent", "planned"):
            connection.execute(state.sync_plan.insert().values(**operation, person_id=name, attempts=0))
        connection.execute(state.sync_acks.insert().values(**owner, person_id="sent", phase=2))
        body = {"entry": "batch", "operations": 1, "accepted": 1}
        connection.execute(state.sync_log.insert().values(**owner, **body))
    engine = rig.engine()
    engine.extract("new", FULL)
    assert {day for (day,) in rig.state(state.sync_plan, "run_date")} == {began.date()}
    engine.plan("new", dry_run=True)
    assert rig.state(state.synced_people, "person_id") == [("sent",)]
    assert rig.state(state.open_people, "person_id", "outcome") == [("planned", "due")]
    assert engine.outcomes("old").unaccounted == 0
    versions = [version for (version,) in rig.rows(sa.select(state.state_version.c.version))]
    assert sorted(versions) == list(range(1, len(state.MIGRATIONS) + 1))


def test_state_of_a_newer_release_is_refused(rig: EngineRig) -> None:
    with rig.warehouse.connect() as connection:
        state.prepare_state(connection)
        newer = state.state_version.insert().values(version=99, applied_at=datetime.now(UTC))
        connection.execute(newer)
        with pytest.raises(StateVersionError, match="version 99"):
            state.prepare_state(connection)
        connection.execute(state.state_version.delete().where(state.state_version.c.version == 99))
