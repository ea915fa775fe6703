"""What is remembered of events moves to another warehouse, where nothing is sent again."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import sqlalchemy as sa

from cio_pipelines.moving.move import has_state, move
from cio_pipelines.moving.tables import STATE
from cio_pipelines.sandbox import SandboxServer
from cio_pipelines.sync.events.ending import EventCommit
from cio_pipelines.sync.key import SyncKey
from cio_pipelines.sync.specs import EVENTS
from cio_pipelines.sync.state import sync_lease
from cio_pipelines.sync.windows import FULL

from .rig import EventRig, event


def test_after_a_move_only_what_was_left_open_is_sent(
    tmp_path: Path, sandbox: SandboxServer, postgres_url: str
) -> None:
    old, new = (EventRig(url, sandbox) for url in (f"duckdb:///{tmp_path / 'old.duckdb'}", postgres_url))
    rows = [event("a", ratio=2.0), event("b"), event("refused", person_id="bob"), event("bad", name="")]
    for rig in (old, new):
        rig.make_mart(*rows)
    old.refuse("bob")
    old.run()
    old.refuse()
    old.add(event("late"))
    new.add(event("late"))
    # a run that is killed before it sends anything
    old.engine().plan("killed", FULL)
    old.execute(sync_lease.delete().where(sa.true()))
    key = SyncKey("tests", EVENTS.name, subject="event_id")
    assert has_state(old.warehouse, key)
    assert not has_state(old.warehouse, SyncKey("another", EVENTS.name))
    before = old.received()

    report = move(old.warehouse, new.warehouse, key, max_attempts=3, parts=[STATE], commit=EventCommit)

    assert report.rows["customerio_sync.accepted_events"] == 2
    ran = new.run()
    assert (ran.plan.accepted_before, ran.outcomes.accepted) == (2, 2)
    assert new.received() - before == Counter({("bob", "accepted"): 1, ("ada", "accepted"): 1})
