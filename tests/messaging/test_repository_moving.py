"""What the application said itself is still ahead of the mart in the warehouse that a workspace moved to."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from cio_pipelines.moving.adoption import adopt
from cio_pipelines.moving.move import move
from cio_pipelines.sandbox import SandboxServer
from cio_pipelines.sync.key import SyncKey
from cio_pipelines.sync.specs import PEOPLE
from cio_pipelines.sync.state import synced_people
from tests.engines.rig import EngineRig

from .repository_rig import repository

TEXT = sa.String()
LATER = datetime(2026, 6, 1, tzinfo=UTC)


def test_a_mart_that_lags_undoes_nothing_after_a_move_either(
    tmp_path: Path, postgres_url: str, sandbox: SandboxServer
) -> None:
    old = EngineRig("duckdb", f"duckdb:///{tmp_path}/warehouse.duckdb", sandbox)
    new = EngineRig("postgresql", postgres_url, sandbox, defaults=old.defaults)
    people = [{"person_id": f"p{n}", "email": f"p{n}@example.com", "plan": "free"} for n in range(3)]
    for rig in (old, new):
        rig.make_mart(people, email=TEXT, plan=TEXT)
    old.run()
    users = repository(old)
    users.sync_user({"person_id": "p1", "updated_at": LATER, "plan": "pro"})
    users.on_user_deleted("p2")
    before = new.profiles()

    key, mart = SyncKey(old.workspace, PEOPLE.name), old.engine().mart()
    move(old.warehouse, new.warehouse, key, max_attempts=3, mart=mart)
    adopt(new.warehouse, key, new.engine().mart(), max_attempts=3)

    assert new.state(synced_people, "person_id", "direct") == [("p0", False), ("p1", True), ("p2", True)]
    ran = new.run()
    assert (ran.plan.planned, ran.plan.ahead) == (0, 2)
    assert new.profiles() == before
    assert (
        repository(new).sync_user({"person_id": "p1", "updated_at": LATER, "email": None}).outcome
        == "accepted"
    )
    assert new.profile("p1") == {"plan": "pro"}
