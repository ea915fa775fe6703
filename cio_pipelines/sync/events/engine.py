"""The event sync: `plan` and `push`, joined by the run's id and the warehouse's state.

    engine = EventSync(open_warehouse(url), EVENTS, settings, connect)
    plan = engine.plan(run_id, Window(start, end))
    report = engine.push(run_id)

An event is sent until it is accepted, and never again. Its ULID is made of its time and its own id, so that
what is sent twice, because the process was killed before it knew the answer, is dropped by Customer.io.

Where to read on: `mart.py` (what a row of the mart is to Customer.io), `planning.py` (what is sent),
`ending.py` (what is remembered); the rest is what every sync does, in `sync/base.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa

from cio_pipelines.customerio import TrackClient
from cio_pipelines.sync.base import BaseSync
from cio_pipelines.sync.events import ending
from cio_pipelines.sync.events.mart import EventMart, read_mart
from cio_pipelines.sync.events.planning import EventPlanner
from cio_pipelines.sync.events.reports import EventPlan
from cio_pipelines.sync.key import RunKey, SyncKey
from cio_pipelines.sync.preview import mask
from cio_pipelines.sync.runs import EVENTS, Runs
from cio_pipelines.sync.settings import SyncSettings
from cio_pipelines.sync.specs import EventSpec
from cio_pipelines.sync.state import sync_plan
from cio_pipelines.sync.tallies import count_plan
from cio_pipelines.sync.windows import Window
from cio_pipelines.warehouse import Warehouse
from cio_pipelines.warehouse.functions import byte_length

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs]


class EventSync(BaseSync):
    """The events of one mart for one workspace. `connect` makes a client for a push."""

    def __init__(
        self,
        warehouse: Warehouse,
        spec: EventSpec,
        settings: SyncSettings,
        connect: Callable[[], TrackClient],
    ) -> None:
        key = SyncKey(settings.workspace, spec.name, subject="event_id")
        super().__init__(warehouse, key, settings, connect, ending.EVENTS)
        self._spec = spec

    def mart(self) -> EventMart:
        """The mart as it is now. Raises SourceContractError or MappingError."""
        return read_mart(self._spec, self._warehouse.columns(self._spec.schema, self._spec.table))

    def plan(self, run_id: str, window: Window, *, dry_run: bool = False) -> EventPlan:
        """Decide which events of a window the run sends, and note it; without `dry_run`, `push` must follow.

        An id that was used before begins anew; what Customer.io accepted from its first try is kept.
        Raises SourceContractError for a mart that is missing, or has null or repeated ids; MappingError;
        SyncInProgress; WarehouseError.
        """
        started = time.monotonic()
        extracted_at = datetime.now(UTC).replace(microsecond=0)
        with self._state() as connection, self._leased(connection, run_id) as lease:
            runs, mart = Runs(connection, self._key), self.mart()
            runs.expire(self._settings.retention_days)
            runs.begin(run_id, EVENTS, window, extracted_at)
            run = RunKey(self._key, run_id, extracted_at.date())
            decided = EventPlanner(connection, run, mart, extracted_at).plan(window)
            tallies = count_plan(connection, run)
            plan = EventPlan(
                run_id=run_id,
                window=window,
                extracted_at=extracted_at,
                extracted=decided.extracted,
                accepted_before=decided.accepted_before,
                altered=decided.altered,
                left_alone=decided.left_alone,
                planned=tallies.planned,
                late=tallies.sent(why="late"),
                quarantined=tallies.quarantined,
                properties=len(mart.kinds),
                seconds=time.monotonic() - started,
                dry_run=dry_run,
                estimated_bytes=decided.estimated_bytes,
            )
            runs.note(
                run_id,
                status="dry_run" if dry_run else "planned",
                extracted=plan.extracted,
                unchanged=plan.accepted_before,
                altered=plan.altered,
                left_alone=plan.left_alone,
                planned=plan.planned,
                estimated_bytes=plan.estimated_bytes,
                plan_seconds=plan.seconds,
            )
            if dry_run:
                lease.release(connection)
            return plan

    def properties(self) -> dict[str, str]:
        """Property → kind (text, integer, decimal, boolean, timestamp, …), as the mart is now."""
        return self.mart().described

    def preview(self, run_id: str, rows: int = 10) -> pd.DataFrame:
        """Up to `rows` planned events: event_id, person_id, why, occurred_at, bytes. E-mails are masked."""
        # half a second that every other command would wait for
        import pandas as pd  # pyright: ignore[reportMissingTypeStubs]

        plan = sync_plan.c
        names = ("event_id", "person_id", "why", "occurred_at", "bytes")
        with self._state() as connection:
            run = Runs(connection, self._key).key_of(run_id)
            chosen = (
                sa.select(
                    plan.event_id,
                    plan.person_id,
                    plan.why,
                    plan.source_updated_at,
                    byte_length(plan.attributes).label("bytes"),
                    plan.fault_field,
                    plan.fault_reason,
                )
                .where(run.owns(sync_plan))
                .order_by(plan.source_updated_at.desc(), plan.event_id)
                .limit(rows)
            )
            shown = [
                (
                    mask(row.event_id) if "@" in row.event_id else row.event_id,
                    mask(row.person_id) if row.person_id is None or "@" in row.person_id else row.person_id,
                    row.why
                    if row.fault_field is None
                    else f"quarantine: {row.fault_field} {row.fault_reason}",
                    "∅" if row.source_updated_at is None else f"{row.source_updated_at:%Y-%m-%d %H:%M}",
                    row.bytes,
                )
                for row in connection.rows(chosen)
            ]
        return pd.DataFrame(shown, columns=pd.Index(names))


__all__ = ["EventSync"]
