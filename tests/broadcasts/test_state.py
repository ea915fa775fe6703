"""What broadcasts remember lives in tables of their own, on whatever engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from cio_pipelines.broadcasts.engine import Broadcast
from cio_pipelines.broadcasts.errors import TriggerUnclear
from cio_pipelines.broadcasts.state import broadcast_errors, broadcast_triggers
from cio_pipelines.sandbox import SandboxServer
from cio_pipelines.warehouse import StateVersionError, WarehouseConnection, open_warehouse
from tests.bigquery import RecordingConnection, bigquery, check
from tests.sync.passing import PassingWarehouse

from .rig import SPEC, TODAY, TRIGGERS, WORKSPACE, Rig, client_of, person_id


def test_every_statement_is_good_bigquery(rig: Rig) -> None:
    statements: list[Any] = []

    def recording(inner: WarehouseConnection) -> RecordingConnection:
        return RecordingConnection(inner, statements)

    warehouse = PassingWarehouse(rig.warehouse, recording)
    rig.model(TODAY, [1, 98])
    rig.server.set_faults([{"kind": "reset", "count": 1, "path": TRIGGERS}])
    with Broadcast(warehouse, WORKSPACE, SPEC, lambda: client_of(rig.server.url)) as broadcast:
        with pytest.raises(TriggerUnclear):
            broadcast.run(TODAY, "first")
        rig.execute("update customerio_sync.broadcast_triggers set status = 'refused'")
        broadcast.run(TODAY, "second")

    texts = {bigquery(statement).strip() for statement in statements}
    assert len(texts) > 15
    for text in texts:
        check(text)
    tables = [
        text for text in texts if text.startswith("CREATE TABLE IF NOT EXISTS `customerio_sync`.`broad")
    ]
    assert any("CLUSTER BY workspace, broadcast, day" in text for text in tables)
    assert any("PARTITION BY day\nCLUSTER BY workspace, broadcast" in text for text in tables)


def test_the_tables_of_a_newer_release_are_left_alone(rig: Rig) -> None:
    rig.model(TODAY, [1])
    rig.run()
    rig.execute("insert into customerio_sync.broadcast_version values (99, now())")

    with pytest.raises(StateVersionError):
        rig.run()


def test_every_column_is_described() -> None:
    silent = [
        f"{table.name}.{column.name}"
        for table in (broadcast_triggers, broadcast_errors)
        for column in table.columns
        if not column.comment and column.name != "workspace"
    ]

    assert silent == []


def test_a_broadcast_goes_out_from_postgresql_too(
    tmp_path: Path, sandbox: SandboxServer, postgres_url: str
) -> None:
    rig = Rig(tmp_path, sandbox)
    rig.warehouse = open_warehouse(postgres_url)
    for statement in (
        "create schema analytics",
        "create table analytics.recipients (day date, person_id text)",
        *(f"insert into analytics.recipients values ('{TODAY}', '{person_id(n)}')" for n in (1, 2)),
    ):
        with rig.warehouse.connect() as connection:
            connection.execute(sa.text(statement))

    for triggered_here in (True, False):
        outcome = rig.run(allow_audience=True)
        assert (outcome.status, outcome.reached, outcome.triggered_here) == ("processed", 2, triggered_here)
        assert outcome.attempt is not None
        assert outcome.attempt.requested_at.tzinfo is not None
    assert len(sandbox.triggers()) == 1
