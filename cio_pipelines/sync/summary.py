"""A run as the ledger tells it afterwards."""

from __future__ import annotations

from cio_pipelines.sync.key import SyncKey
from cio_pipelines.sync.ledger import Ledger
from cio_pipelines.sync.reports import RunSummary
from cio_pipelines.sync.review import Review
from cio_pipelines.sync.runs import STATUSES, Runs, run_key
from cio_pipelines.sync.tallies import count_plan
from cio_pipelines.sync.windows import Window
from cio_pipelines.warehouse import WarehouseConnection


def summarise(connection: WarehouseConnection, key: SyncKey, run_id: str) -> RunSummary:
    """Everything that is known of a run, whatever became of it. Raises UnknownRun."""
    run = Runs(connection, key).find(run_id, *STATUSES)
    ledger = Ledger(run_key(key, run))
    tallies = count_plan(connection, ledger.run)
    return RunSummary(
        run_id=run_id,
        status=run.status,
        window=Window(run.window_start, run.window_end),
        extracted=run.extracted or 0,
        unchanged=run.unchanged or 0,
        tombstoned=run.tombstoned or 0,
        left_alone=run.left_alone or 0,
        operations=tallies.operations,
        whys=tallies.whys,
        mapping_change=run.mapping_change or "none",
        estimated_bytes=run.estimated_bytes,
        outcomes=ledger.outcomes(connection),
        refusals=ledger.refusals(connection),
        requests=run.requests or 0,
        attempts=run.attempts or 0,
        bytes_sent=run.bytes_sent or 0,
        seconds={
            "plan": run.plan_seconds or 0.0,
            "send": run.send_seconds or 0.0,
            "commit": run.commit_seconds or 0.0,
        },
        ended_by=run.ended_by,
        kind=run.kind,
        altered=run.altered or 0,
        review=Review.read(run.review),
    )
