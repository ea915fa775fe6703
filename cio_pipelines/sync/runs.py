"""The runs of a sync: beginning one, finding it again, noting what became of it, forgetting old ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from cio_pipelines.sync.errors import UnknownRun
from cio_pipelines.sync.key import RunKey, SyncKey
from cio_pipelines.sync.mapping import PeopleMapping
from cio_pipelines.sync.state import (
    sync_acks,
    sync_differences,
    sync_log,
    sync_plan,
    sync_runs,
    sync_verifications,
)
from cio_pipelines.sync.windows import Window
from cio_pipelines.warehouse import WarehouseConnection

PEOPLE, ERASURE, EVENTS = "people", "erasure", "events"
DIRECT = "direct"
"""Kinds of runs; direct ones are of a few people of whom the application said something itself."""
UNFINISHED = ("planned", "sending")
"""Statuses of a run that may have been killed: its ledger has yet to be committed."""
_RUNS_AT_ONCE = 500
STATUSES = ("extracted", *UNFINISHED, "blocked", "dry_run", "committed")


@dataclass(frozen=True, slots=True)
class Runs:
    """The table `sync_runs` of one sync, seen over one connection."""

    connection: WarehouseConnection
    key: SyncKey

    def moment(self) -> datetime:
        """The time of a new run's extraction, in whole seconds as Customer.io's timestamps are.

        Never before that of an earlier run: operations bear it, and Customer.io would drop what a clock that
        went back made older than what it has, as if it had taken it.
        """
        now = datetime.now(UTC).replace(microsecond=0)
        newest: datetime | None = self.connection.scalar(
            sa.select(sa.func.max(sync_runs.c.extracted_at)).where(self.key.owns(sync_runs))
        )
        return now if newest is None else max(now, newest)

    def begin(
        self,
        run_id: str,
        kind: str,
        window: Window,
        extracted_at: datetime,
        mapping: PeopleMapping | None = None,
    ) -> None:
        """Note a new run. An earlier try under the same id is forgotten, which must be finished before."""
        earlier = [run_key(self.key, row) for row in self._rows(run_id)]
        with self.connection.transaction():
            for run in earlier:
                self._forget([run.run_id], run.date)
            self.connection.execute(
                sync_runs.insert().values(
                    **self.key.values,
                    run_id=run_id,
                    kind=kind,
                    status="extracted",
                    window_start=window.start,
                    window_end=window.end,
                    extracted_at=extracted_at,
                    mapping_version=mapping.version if mapping else None,
                    mapping=mapping.document if mapping else None,
                )
            )

    def note(self, run_id: str, **values: object) -> None:
        """Set columns of a run's row."""
        self.connection.execute(sync_runs.update().where(self._is(run_id)).values(**values))

    def find(self, run_id: str, *statuses: str) -> sa.Row[Any]:
        """The run's row. Raises UnknownRun unless there is one with one of `statuses`."""
        found = self._rows(run_id)
        if not found or found[0].status not in statuses:
            state = f"is {found[0].status}" if found else "is not in the ledger"
            raise UnknownRun(
                f"Run {run_id} {state}, not {' or '.join(statuses)}.",
                "Let one run extract, plan and push: launch the assets of the sync together.",
            )
        return found[0]

    def look_up(self, run_id: str) -> sa.Row[Any] | None:
        """The run's row, whatever became of it; None when there is no such run."""
        return next(iter(self._rows(run_id)), None)

    def carried_out(self, plan: str) -> list[str]:
        """Runs that were approved by the plan of another one, and have sent what it says or are about to."""
        used = sa.select(sync_runs.c.run_id).where(
            self.key.owns(sync_runs),
            sync_runs.c.approved_plan == plan,
            sync_runs.c.status.in_((*UNFINISHED, "committed")),
        )
        return [row.run_id for row in self.connection.rows(used)]

    def key_of(self, run_id: str) -> RunKey:
        """The key of a run. Raises UnknownRun when there is no such run."""
        return run_key(self.key, self.find(run_id, *STATUSES))

    def unfinished(self, run_id: str | None = None) -> list[RunKey]:
        """Runs whose ledger was not committed, the oldest first; with `run_id`, that one if it is so."""
        condition = sync_runs.c.status.in_(UNFINISHED)
        if run_id is not None:
            condition = sa.and_(condition, sync_runs.c.run_id == run_id)
        runs = sa.select(sync_runs).where(self.key.owns(sync_runs), condition)
        return [
            run_key(self.key, row) for row in self.connection.rows(runs.order_by(sync_runs.c.extracted_at))
        ]

    def last_mapping(self) -> str | None:
        """The mapping of the last people sync that was committed, as JSON; None before the first."""
        latest = (
            sa.select(sync_runs.c.mapping)
            .where(self.key.owns(sync_runs), sync_runs.c.status == "committed", sync_runs.c.kind == PEOPLE)
            .order_by(sync_runs.c.extracted_at.desc(), sync_runs.c.finished_at.desc())
            .limit(1)
        )
        found: str | None = self.connection.scalar(latest)
        return found

    def expire(self, days: int) -> None:
        """Forget plans and ledgers of runs that were extracted more than `days` ago; the snapshot stays.

        What a killed run left is not touched: nothing else knows yet whom Customer.io accepted.
        """
        latest = datetime.now(UTC) - timedelta(days=days)
        old = sa.select(sync_runs.c.run_id).where(
            self.key.owns(sync_runs),
            sync_runs.c.status.not_in(UNFINISHED),
            sync_runs.c.extracted_at < latest,
        )
        run_ids = [row.run_id for row in self.connection.rows(old)]
        for start in range(0, len(run_ids), _RUNS_AT_ONCE):
            with self.connection.transaction():
                self._forget(run_ids[start : start + _RUNS_AT_ONCE], latest.date())

    def _forget(self, run_ids: Sequence[str], last: date) -> None:
        """Remove runs that were extracted on the day `last` or before."""
        for table in (sync_acks, sync_log, sync_plan, sync_verifications, sync_differences):
            self.connection.execute(
                table.delete().where(
                    self.key.owns(table), table.c.run_date <= sa.literal(last), table.c.run_id.in_(run_ids)
                )
            )
        self.connection.execute(
            sync_runs.delete().where(self.key.owns(sync_runs), sync_runs.c.run_id.in_(run_ids))
        )

    def _is(self, run_id: str) -> sa.ColumnElement[bool]:
        return sa.and_(self.key.owns(sync_runs), sync_runs.c.run_id == run_id)

    def _rows(self, run_id: str) -> Sequence[sa.Row[Any]]:
        return self.connection.rows(sa.select(sync_runs).where(self._is(run_id)))


def run_key(key: SyncKey, run: sa.Row[Any]) -> RunKey:
    """The key of a run by its row."""
    return RunKey(key, run.run_id, run.extracted_at.date())
