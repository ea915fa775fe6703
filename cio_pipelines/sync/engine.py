"""The people sync: `extract`, `plan` and `push`, joined by the run's id and the warehouse's state.

    engine = PeopleSync(open_warehouse(url), PEOPLE, settings, connect)
    engine.extract(run_id, FULL)
    plan = engine.plan(run_id)
    if not plan.blocked:
        report = engine.push(run_id)

The three may run in different processes. `plan` takes the lease of the workspace and `push` gives it back.

Where to read on: `candidates.py` (what a row of the mart is to Customer.io), `planning.py` and `erasing.py`
(what is sent), `base.py` (what every sync does alike), `delivery.py` and `push.py` (sending it), `ledger.py`
(what was answered), `commit.py` (moving the snapshot).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from cio_pipelines.customerio import TrackClient
from cio_pipelines.sync import approval, manners
from cio_pipelines.sync.base import BaseSync
from cio_pipelines.sync.candidates import Mart
from cio_pipelines.sync.counting import absent_people, ahead_people, known_people
from cio_pipelines.sync.erasing import plan_erasures
from cio_pipelines.sync.errors import SourceContractError
from cio_pipelines.sync.guards import Approvals, Counts, erasure_verdict, people_verdicts
from cio_pipelines.sync.key import RunKey, SyncKey
from cio_pipelines.sync.lease import Lease
from cio_pipelines.sync.mapping import MappingChange, read_mapping
from cio_pipelines.sync.planning import Planner
from cio_pipelines.sync.preview import sample
from cio_pipelines.sync.reports import Extraction, Plan
from cio_pipelines.sync.reviewing import Reviewer
from cio_pipelines.sync.runs import ERASURE, PEOPLE, Runs
from cio_pipelines.sync.settings import SyncSettings
from cio_pipelines.sync.specs import SyncSpec
from cio_pipelines.sync.windows import FULL, Window
from cio_pipelines.warehouse import Warehouse, WarehouseConnection

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs]


class PeopleSync(BaseSync):
    """One sync of one workspace. `connect` makes a client for a push; nothing else talks to Customer.io."""

    def __init__(
        self,
        warehouse: Warehouse,
        spec: SyncSpec,
        settings: SyncSettings,
        connect: Callable[[], TrackClient],
    ) -> None:
        super().__init__(warehouse, SyncKey(settings.workspace, spec.name), settings, connect, manners.PEOPLE)
        self._spec = spec

    def mart(self) -> Mart:
        """The mart as it is now. Raises SourceContractError or MappingError."""
        return self._mart_of(self._columns())

    def _columns(self) -> Mapping[str, sa.types.TypeEngine[Any]]:
        return self._warehouse.columns(self._spec.schema, self._spec.table)

    def _mart_of(self, columns: Mapping[str, sa.types.TypeEngine[Any]]) -> Mart:
        mapping = read_mapping(self._spec, columns, unsubscribes=self._settings.unsubscribe_opted_out)
        updated_at = columns[self._spec.updated_at]
        has_zone = isinstance(updated_at, sa.DateTime) and updated_at.timezone
        if not isinstance(updated_at, (sa.DateTime, sa.Date)):
            raise SourceContractError(
                f"{self._spec.relation}.{self._spec.updated_at} is no timestamp.", "Cast it in the mart."
            )
        return Mart(
            self._spec,
            mapping,
            updated_at_has_zone=has_zone,
            person_id_is_text=isinstance(columns[self._spec.person_id], sa.String),
            deleted_at_is_time=isinstance(columns.get(self._spec.deleted_at), (sa.DateTime, sa.Date)),
        )

    def extract(self, run_id: str, window: Window) -> Extraction:
        """Begin a run: note its window and count what it looks at.

        An id that was used before begins anew; what Customer.io accepted from its first try is kept.
        Raises SourceContractError for a mart that is missing, or has null or repeated ids; MappingError;
        SyncInProgress for an id whose first try cannot be finished now; WarehouseError.
        """
        with self._state() as connection:
            runs = Runs(connection, self._key)
            extracted_at = runs.moment()
            mart = self.mart()
            planner = self._planner(connection, mart, run_id, extracted_at)
            selection = planner.selection(window)
            planner.check_ids(selection)
            if runs.unfinished(run_id):
                with self._leased(connection, run_id) as lease:
                    lease.release(connection)
            rows = planner.mart_rows()
            extracted, tombstoned = planner.count(selection)
            runs.expire(self._settings.retention_days)
            runs.begin(run_id, PEOPLE, window, extracted_at, mart.mapping)
        return Extraction(run_id, window, extracted_at, rows, extracted, tombstoned)

    def plan(
        self,
        run_id: str,
        approvals: Approvals = Approvals(),  # noqa: B008
        *,
        dry_run: bool = False,
        approved_plan: str | None = None,
    ) -> Plan:
        """Decide what the run sends. A blocked plan is kept to be read and can never be pushed.

        `approved_plan` is a run whose plan somebody has read and approved: if it is this very plan, the
        guards let it through, and else it is blocked. Raises UnknownRun unless the run was extracted;
        ApprovalRefused; SyncInProgress; what `extract` raises.
        """
        started = time.monotonic()
        with self._state() as connection:
            runs = Runs(connection, self._key)
            run = runs.find(run_id, "extracted")
            with self._leased(connection, run_id) as lease:
                wanted = self._approved(runs, approved_plan, PEOPLE, run_id)
                window = Window(run.window_start, run.window_end)
                mart = self.mart()
                planner = self._planner(connection, mart, run_id, run.extracted_at)
                change = mart.mapping.change_from(runs.last_mapping())
                planner.clear()
                selection = planner.selection(window)
                extracted, tombstoned = planner.count(selection)
                if window.is_full:
                    planner.settle_deletions()
                decided = planner.plan_people(
                    selection, shared_emails_conflict=self._settings.shared_emails_conflict
                )
                tallies = planner.tallies()
                known = known_people(planner, exact=window.is_full)
                counts = Counts(
                    known=known,
                    changed=tallies.sent(why="changed") + tallies.sent(why="silent"),
                    mapping=tallies.sent(why="mapping"),
                    suppressed=tallies.sent(why="opted_out"),
                )
                whys = tallies.whys
                reviewer = Reviewer.of(planner, runs, self._settings, wanted)
                verdicts = people_verdicts(counts, self._settings.guards, reviewer.allowed(approvals), run_id)
                review = reviewer.review(tallies, verdicts, is_read=dry_run or window.is_full)
                plan = Plan(
                    run_id=run_id,
                    window=window,
                    extracted_at=run.extracted_at,
                    extracted=extracted,
                    unchanged=extracted - tombstoned - decided.left_alone - sum(whys.values()),
                    tombstoned=tombstoned,
                    left_alone=decided.left_alone,
                    planned=tallies.planned,
                    operations=tallies.operations,
                    whys=whys,
                    quarantined=tallies.quarantined,
                    mapping_change=change,
                    mapping_version=mart.mapping.version,
                    attributes=len(mart.mapping.described),
                    verdicts=verdicts,
                    review=review,
                    absent=absent_people(planner) if window.is_full else None,
                    ahead=ahead_people(planner, selection),
                    estimated_bytes=decided.estimated_bytes,
                    seconds=time.monotonic() - started,
                    dry_run=dry_run,
                )
                self._settle_plan(connection, plan, lease)
                return plan

    def plan_erasure(
        self,
        run_id: str,
        approvals: Approvals = Approvals(),  # noqa: B008
        *,
        dry_run: bool = False,
        approved_plan: str | None = None,
    ) -> Plan:
        """Decide whom to erase: everybody with a tombstone who is not erased yet. Raises as `plan` does."""
        started = time.monotonic()
        with self._state() as connection, self._leased(connection, run_id) as lease:
            runs = Runs(connection, self._key)
            extracted_at = runs.moment()
            wanted = self._approved(runs, approved_plan, ERASURE, run_id)
            runs.expire(self._settings.retention_days)
            runs.begin(run_id, ERASURE, FULL, extracted_at)
            mart = self.mart()
            planner = self._planner(connection, mart, run_id, extracted_at)
            planner.clear()
            tombstones, _ = planner.count((mart.deleted_at.is_not(None),))
            left_alone = plan_erasures(planner)
            tallies = planner.tallies()
            known = known_people(planner)
            people = tallies.operations.get("delete", 0)
            again = tallies.sent(operation="delete", why="unapplied")
            counts = Counts(known=known, erased=tallies.sent(operation="delete") - again)
            whys = {"tombstone": people - again, "unapplied": again}
            reviewer = Reviewer.of(planner, runs, self._settings, wanted)
            allowed = reviewer.allowed(approvals)
            verdicts = (erasure_verdict(counts, self._settings.guards, allowed, run_id),)
            plan = Plan(
                run_id=run_id,
                window=FULL,
                extracted_at=extracted_at,
                extracted=tombstones,
                unchanged=tombstones - left_alone - people,
                tombstoned=0,
                left_alone=left_alone,
                planned=tallies.planned,
                operations=tallies.operations,
                whys={why: count for why, count in whys.items() if count},
                quarantined=tallies.quarantined,
                mapping_change=MappingChange(),
                mapping_version=mart.mapping.version,
                attributes=0,
                verdicts=verdicts,
                review=reviewer.review(tallies, verdicts, is_read=True),
                seconds=time.monotonic() - started,
                dry_run=dry_run,
            )
            self._settle_plan(connection, plan, lease)
            return plan

    def _planner(
        self, connection: WarehouseConnection, mart: Mart, run_id: str, extracted_at: datetime
    ) -> Planner:
        run = RunKey(self._key, run_id, extracted_at.date())
        return Planner(connection, run, mart, extracted_at, reads_twice=self._warehouse.usage is None)

    def _approved(self, runs: Runs, plan: str | None, kind: str, asker: str) -> sa.Row[Any] | None:
        days = self._settings.retention_days
        return None if plan is None else approval.approvable(runs, plan, kind, days, asker)

    def approvable(self, run_id: str, kind: str = PEOPLE) -> Window:
        """The window of a plan that can be approved now. Raises ApprovalRefused."""
        with self._state() as connection:
            runs, days = Runs(connection, self._key), self._settings.retention_days
            found = approval.approvable(runs, run_id, kind, days)
            return Window(found.window_start, found.window_end)

    def _settle_plan(self, connection: WarehouseConnection, plan: Plan, lease: Lease) -> None:
        status = "dry_run" if plan.dry_run else "blocked" if plan.blocked else "planned"
        Runs(connection, self._key).note(
            plan.run_id,
            status=status,
            extracted=plan.extracted,
            unchanged=plan.unchanged,
            tombstoned=plan.tombstoned,
            left_alone=plan.left_alone,
            planned=plan.planned,
            estimated_bytes=plan.estimated_bytes,
            mapping_change=str(plan.mapping_change),
            plan_seconds=plan.seconds,
            review=plan.review.text,
            approved_plan=plan.review.agreement and plan.review.agreement.approved_plan,
        )
        if status != "planned":
            lease.release(connection)

    def attributes(self) -> dict[str, str]:
        """Attribute → kind (text, integer, decimal, boolean, timestamp, …), as the mart is now."""
        return self.mart().mapping.described

    def preview(self, run_id: str, rows: int = 10) -> pd.DataFrame:
        """A few rows of a plan with every value masked; see `preview.sample`."""
        with self._state() as connection:
            return sample(connection, Runs(connection, self._key).key_of(run_id), rows)


__all__ = ["PeopleSync", "SyncSettings"]
