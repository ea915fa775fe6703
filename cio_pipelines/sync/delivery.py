"""Carrying out a plan: send it, commit what was accepted whatever ended the sending, and report."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from cio_pipelines.customerio import CustomerIOError, TrackClient
from cio_pipelines.sync.errors import PlanOutdated
from cio_pipelines.sync.key import SyncKey
from cio_pipelines.sync.lease import Lease
from cio_pipelines.sync.letters import count_letters
from cio_pipelines.sync.manners import PEOPLE, Manner
from cio_pipelines.sync.preflight import check_region
from cio_pipelines.sync.push import Costs, Progress, Pusher
from cio_pipelines.sync.reports import PushReport
from cio_pipelines.sync.runs import Runs, run_key
from cio_pipelines.sync.settings import SyncSettings
from cio_pipelines.warehouse import Warehouse, WarehouseConnection


def deliver(
    warehouse: Warehouse,
    connection: WarehouseConnection,
    key: SyncKey,
    run: sa.Row[Any],
    settings: SyncSettings,
    connect: Callable[[], TrackClient],
    on_progress: Progress | None,
    manner: Manner = PEOPLE,
) -> PushReport:
    """Send the plan of `run` (its row), under its lease.

    Raises PlanOutdated when the lease is lost, WarehouseError when the ledger cannot be written. Whatever is
    raised, and KeyboardInterrupt too, first everything that was answered is committed.
    """
    mine = run_key(key, run)
    runs, ledger, lease = Runs(connection, key), manner.ledger(mine), Lease(key, run.run_id)
    costs = Costs()
    preflight: str | None = None
    ended_by: str | None = "interrupted"
    is_ours = True
    commit_seconds = 0.0
    started = time.monotonic()
    runs.note(run.run_id, status="sending")
    try:
        if run.planned:
            pusher = Pusher(
                warehouse=warehouse,
                connection=connection,
                ledger=ledger,
                lease=lease,
                phases=manner.phases(mine, int(run.extracted_at.timestamp())),
                settings=settings.push,
                total=run.planned,
                on_progress=on_progress,
                costs=costs,
            )
            preflight = asyncio.run(_send(pusher, settings, connect))
        # Even one body without an answer leaves people due: the run is not the sync it was meant to be.
        failure = costs.ended_by or costs.unanswered
        ended_by = str(failure) if failure else None
    except PlanOutdated:
        is_ours = False
        raise
    finally:
        sent = time.monotonic()
        # Whoever took the lease has committed this run; doing it again would undo their work.
        is_ours = is_ours and lease.is_held(connection)
        if is_ours:
            manner.commit(connection, mine, settings.max_attempts).execute(ended_by)
            commit_seconds = time.monotonic() - sent
            runs.note(
                run.run_id,
                requests=costs.requests,
                attempts=costs.attempts,
                bytes_sent=costs.bytes_sent,
                send_seconds=sent - started,
                commit_seconds=commit_seconds,
            )
    if not is_ours:
        lease.renew(connection)  # tells it
    return PushReport(
        run_id=run.run_id,
        outcomes=ledger.outcomes(connection),
        refusals=ledger.refusals(connection),
        dead_letters=count_letters(connection, key),
        requests=costs.requests,
        attempts=costs.attempts,
        bytes_sent=costs.bytes_sent,
        send_seconds=sent - started,
        commit_seconds=commit_seconds,
        ended_by=ended_by,
        preflight=preflight,
    )


async def _send(pusher: Pusher, settings: SyncSettings, connect: Callable[[], TrackClient]) -> str | None:
    """Returns what could not be verified before sending; what it cost and what ended it is in the pusher."""
    async with connect() as client:
        try:
            preflight = await check_region(client, settings.region)
        except CustomerIOError as error:
            pusher.costs.ended_by = error
            return None
        await pusher.run(client)
        return preflight
