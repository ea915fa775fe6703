"""One history: the rig that it happens to, the reference beside it, and what must hold after each run."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import note
from hypothesis.stateful import invariant
from sqlalchemy.exc import ProgrammingError

from cio_pipelines.sync.engine import PeopleSync
from cio_pipelines.sync.push import PushSettings
from cio_pipelines.sync.windows import FULL, Window
from tests.sync.rig import EVERYTHING

from .drawing import TYPES
from .judged import Judged, Pending
from .mortal import Killed
from .reference import Decision, Row

STATE = (
    *("synced_people", "sync_runs", "sync_plan", "sync_acks", "sync_log", "open_people", "dead_letters"),
    "sync_lease",
)
PUSH = PushSettings(max_in_flight=1, flush_people=1, rows_per_batch=3)
NOBODY = "update sync_lease set pid = 4194303, process_started = 0"
"""As if the process that holds the lease had died: nobody with its number and start is running."""


class History(Judged):
    """One history. `rig` is the warehouse and sandbox of all of them, which each begins by emptying."""

    def __init__(self) -> None:
        super().__init__()
        self.is_written = False
        self.is_amid = True
        self.rig.sandbox.set_faults([])
        self.rig.sandbox.reset()
        with contextlib.suppress(ProgrammingError):  # before the very first run there are no tables
            self.rig.state(";".join(f"delete from {table}" for table in STATE))
        self._write_mart()
        self.engine()  # what follows finds the tables of the state
        self._run(FULL, [])

    # the warehouse

    def _write_mart(self) -> None:
        columns = self.reference.columns
        typed = "".join(f", {name} {TYPES[name]}" for name in columns)
        self.rig.sql(
            "create schema if not exists analytics; create or replace table analytics.customerio_people ("
            f"person_id varchar, updated_at timestamp, opted_out boolean, deleted_at timestamp{typed})"
        )
        rows = [
            (who, row.updated_at, row.opted_out, row.deleted_at, *(row.attributes[name] for name in columns))
            for who, row in self.reference.mart.items()
        ]
        if rows:
            marks = f"({', '.join('?' * len(rows[0]))})"
            self.rig.sql(
                f"insert into analytics.customerio_people values {', '.join([marks] * len(rows))}",
                *(value for row in rows for value in row),
            )
        self.is_written = True

    def _step(self) -> None:
        type(self).steps += 1
        self.is_amid = True

    @invariant()
    def the_step_was_taken(self) -> None:
        self.is_amid = False

    def _put(self, person: str, row: Row) -> None:
        self.reference.mart[person] = row
        self.is_written = False

    # what they do

    def engine(self, warehouse: Any = None) -> PeopleSync:
        return self.rig.engine(warehouse=warehouse, push=PUSH)

    def _planned(
        self, engine: PeopleSync, run_id: str, window: Window | None, *, dry_run: bool = False
    ) -> Any:
        if not self.is_written:
            self._write_mart()
        if window is None:
            return engine.plan_erasure(run_id, EVERYTHING, dry_run=dry_run)
        engine.extract(run_id, window)
        return engine.plan(run_id, EVERYTHING, dry_run=dry_run)

    def _decided(self, window: Window | None) -> Decision:
        if window is None:
            return self.reference.decide_erasures()
        ends = (end if end is None else end.replace(tzinfo=None) for end in (window.start, window.end))
        return self.reference.decide(*ends)

    def _run(
        self, window: Window | None, faults: Sequence[Mapping[str, Any]], engine: PeopleSync | None = None
    ) -> None:
        run_id = self.rig.new_id()
        note(f"{run_id}: {window or 'erasure'}, faults {list(faults)}")
        report = plan = None
        engine = engine or self.engine()
        try:
            with self.rig.faults(*faults) if faults else contextlib.nullcontext():
                plan = self._planned(engine, run_id, window)
                report = engine.push(run_id)
        except Killed:
            self.rig.state(NOBODY)
        except BaseExceptionGroup as group:
            if group.subgroup(Killed) is None:
                raise
            self.rig.state(NOBODY)
        self.runs["completed" if report is not None else "killed"] += 1
        self._finish_pending()
        decision = self._decided(window)
        if report is None:
            self._bury(run_id, decision)
            return
        assert plan is not None
        self._check_plan(run_id, decision, plan.planned, plan.left_alone)
        assert report.outcomes.complete, report.outcomes
        assert self.engine().outcomes(run_id) == report.outcomes
        self._end(run_id, decision, report.outcomes)

    def _status(self, run_id: str) -> str | None:
        found = self.rig.state("select status from sync_runs where run_id = ?", run_id)
        return found[0][0] if found else None

    def _finish_pending(self) -> None:
        """Whoever gets the lease first commits the run that was killed."""
        if self.pending is not None and self._status(self.pending.run_id) == "committed":
            killed, self.pending = self.pending, None
            self._settle(killed.run_id, killed.decision)

    def _bury(self, run_id: str, decision: Decision) -> None:
        status = self._status(run_id)
        note(f"{run_id} was killed when {status}")
        self.runs[f"killed when {status}"] += 1
        if status in ("planned", "sending"):
            assert self.pending is None
            self._check_plan(run_id, decision)
            self.pending = Pending(run_id, decision)
            self._witness(run_id, decision)
        elif status == "committed":
            self._check_plan(run_id, decision)
            self._end(run_id, decision)
            return
        self._check_state()

    def _end(self, run_id: str, decision: Decision, outcomes: Any = None) -> None:
        accepted, refused = self._witness(run_id, decision)
        self._settle(run_id, decision)
        if outcomes is not None:
            faulty = sum(each.fault is not None for each in decision.operations)
            planned = len(decision.operations)
            told = (outcomes.accepted, outcomes.rejected, outcomes.quarantined, outcomes.due)
            due = planned - len(accepted) - len(refused) - faulty
            assert told == (len(accepted), len(refused), faulty, due)
        self._check_state()

    def _settle(self, run_id: str, decision: Decision) -> None:
        self.reference.settle(decision, *self._ledger(run_id))

    def teardown(self) -> None:
        """When nothing fails any more everybody is right in the end."""
        if not self.is_amid:  # else a step failed, which is what is to be told
            self._run(FULL, [])
            self.engine().replay()
            self.reference.replay()
            self._run(FULL, [])
            self._run(None, [])
            self._run(FULL, [])
            again = self.seen
            self._run(FULL, [])
            assert self.seen == again, "what nobody changed was sent"
            for person, row in self.reference.mart.items():
                self._check_end(person, row)
