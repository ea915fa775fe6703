"""Every statement of a verification as BigQuery would get it: a good one, which leaves partitions out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from cio_pipelines.sandbox import SandboxServer
from cio_pipelines.sync.key import SyncKey
from cio_pipelines.sync.specs import EVENTS
from cio_pipelines.sync.windows import FULL, Window
from cio_pipelines.verification.engine import Verifier
from cio_pipelines.verification.reports import VerificationSettings
from tests.bigquery import BilledWarehouse, RecordingConnection, bigquery, check
from tests.events.rig import EventRig, event
from tests.pruning import read_whole
from tests.sync.rig import Rig

from .rig import KEY, app

PARTITIONED = {
    "customerio_sync.accepted_events": "occurred_on",
    **{
        f"customerio_sync.{name}": "run_date"
        for name in ("sync_plan", "sync_acks", "sync_log", "sync_verifications", "sync_differences")
    },
}
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
DAY = Window(TODAY, TODAY + timedelta(days=1))


def recorded(warehouse: Any, key: SyncKey, server: SandboxServer, *runs: str) -> list[str]:
    """All distinct statements of verifying these runs, each of which has lost somebody."""
    statements: list[sa.Executable] = []
    billed = BilledWarehouse(warehouse, lambda inner: RecordingConnection(inner, statements))
    for rule in ("resend", "dead_letter"):
        settings = VerificationSettings(wait_seconds=0, rule=rule)
        for run_id in runs:
            verifier = Verifier(billed, key, settings, lambda: app(server))
            verifier.verify(run_id)
            verifier.recorded(run_id)
    return sorted({bigquery(statement) for statement in statements})


def test_of_people_and_their_ledger_over_all_time(rig: Rig) -> None:
    rig.make_mart(5)
    with rig.faults({"kind": "unapplied", "ids": ["p1"], "trace": True}):
        ran = rig.run(FULL)
        rig.change("p2", "opted_out = true")
        rig.change("p1", "plan = 'pro'")
        later = rig.run()

    statements = recorded(rig.warehouse, KEY, rig.sandbox, ran.run_id, later.run_id)

    assert len(statements) > 20
    for text in statements:
        check(text)
        assert not read_whole(text, PARTITIONED), text


def test_of_events(tmp_path: Path, sandbox: SandboxServer) -> None:
    rig = EventRig(f"duckdb:///{tmp_path / 'warehouse.duckdb'}", sandbox)
    with rig.warehouse.session():
        rig.make_mart(event("o1", occurred_at=TODAY), event("o2", occurred_at=TODAY, person_id="bob"))
        sandbox.set_faults([{"kind": "unapplied", "ids": ["bob"], "trace": True}])
        ran = rig.run(DAY)
        key = SyncKey(rig.workspace, EVENTS.name, subject="event_id")
        statements = recorded(rig.warehouse, key, sandbox, ran.run_id)

    for text in statements:
        check(text)
        assert not read_whole(text, PARTITIONED), text
