"""What a call, and a run after it, ask of a warehouse: statements that BigQuery takes too."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cio_pipelines.messaging.repository import UserMessagingRepository
from cio_pipelines.sandbox import SandboxServer
from cio_pipelines.sync.settings import SyncSettings
from cio_pipelines.sync.windows import FULL
from tests.bigquery import BilledWarehouse, RecordingConnection, bigquery, check
from tests.sync.rig import Rig

MAY = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture
def rig(tmp_path: Path, sandbox: SandboxServer) -> Iterator[Rig]:
    rig = Rig(tmp_path / "warehouse.duckdb", sandbox)
    with rig.kept_open():
        rig.make_mart(3)
        yield rig


@pytest.fixture
def recorded(rig: Rig) -> list[str]:
    """All distinct statements of calls and of the runs that follow, as BigQuery's dialect writes them."""
    statements: list[Any] = []
    warehouse = BilledWarehouse(rig.warehouse, lambda inner: RecordingConnection(inner, statements))
    users = UserMessagingRepository(warehouse, SyncSettings(workspace="tests"), rig.client)

    def later(hours: int, person: str, **values: Any) -> dict[str, Any]:
        return {"person_id": person, "updated_at": MAY + timedelta(hours=hours), **values}

    users.sync_users([later(1, "p0", plan="pro"), later(1, "new", email="p1@example.com")])
    users.sync_user(later(2, "p0", opted_out=True))
    users.sync_user(later(3, "p0", opted_out=False))
    rig.change("p1", "opted_out = true")
    users.sync_user(later(4, "p1", plan="pro"))
    users.on_user_deleted("p2", deleted_at=MAY + timedelta(hours=1))
    users.on_user_deleted("p1")
    rig.change("p0", "email = 'new@example.com'")
    scheduled = rig.engine(warehouse=warehouse)
    scheduled.extract("scheduled", FULL)
    assert scheduled.plan("scheduled").ahead == 3
    scheduled.push("scheduled")
    scheduled.plan_erasure("erasure")
    return sorted({bigquery(statement) for statement in statements})


def test_every_statement_is_good_bigquery(recorded: list[str]) -> None:
    assert len(recorded) > 40
    for text in recorded:
        check(text)
