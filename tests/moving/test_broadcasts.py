"""Which days of a broadcast were triggered moves along: nobody is written to twice."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import sqlalchemy as sa

from cio_pipelines.broadcasts.state import TRIGGERED, broadcast_triggers, prepare_broadcasts
from cio_pipelines.moving.move import move
from cio_pipelines.moving.tables import BROADCASTS
from cio_pipelines.sync.key import SyncKey
from cio_pipelines.warehouse import open_warehouse


def test_triggered_days_of_the_workspace_move(tmp_path: Path, postgres_url: str) -> None:
    source, target = open_warehouse(f"duckdb:///{tmp_path / 'old.duckdb'}"), open_warehouse(postgres_url)
    rows = [
        {
            "workspace": workspace,
            "broadcast": "win_back",
            "day": date(2026, 5, 20),
            "attempt": 1,
            "broadcast_id": 7,
            "status": TRIGGERED,
            "trigger_id": 12,
            "requested_at": datetime(2026, 5, 20, 9, tzinfo=UTC),
        }
        for workspace in ("mine", "another")
    ]
    with source.connect() as connection:
        prepare_broadcasts(connection)
        for row in rows:
            connection.execute(broadcast_triggers.insert().values(**row))

    report = move(source, target, SyncKey("mine", "people"), max_attempts=3, parts=[BROADCASTS])

    assert report.rows["customerio_sync.broadcast_triggers"] == 1
    table = broadcast_triggers.c
    with target.connect() as connection:
        [moved] = connection.rows(sa.select(table.workspace, table.day, table.status, table.trigger_id))
    assert tuple(moved) == ("mine", date(2026, 5, 20), TRIGGERED, 12)
