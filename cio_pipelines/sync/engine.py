"""The people sync: `extract`, `plan` and `push`, joined by the run's id and the warehouse's state.

    engine = PeopleSync(open_warehouse(url), PEOPLE, settings, connect)
    engine.extract(run_id, FULL)
    plan = engine.plan(run_id)
    if not plan.blocked:
        report = engine.push(run_id)

The three may run in different processes. `plan` takes the lease of the workspace and `push` gives it back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import sqlalchemy as sa

from cio_pipelines.customerio import (
    CustomerIOError,
    Forbidden,
    NotFound,
    Region,
    TrackClient,
    Unauthorized,
    UnexpectedResponse,
)
from cio_pipelines.customerio.errors import ConfigurationError
from cio_pipelines.sync.candidates import Mart
from cio_pipelines.sync.commit import Commit, expire
from cio_pipelines.sync.errors import SourceContractError, UnknownRun
from cio_pipelines.sync.guards import (
    Approvals,
    Counts,
    GuardLimits,
    Verdict,
    erasure_verdict,
    people_verdicts,
)
from cio_pipelines.sync.key import SyncKey
from cio_pipelines.sync.lease import Lease
from cio_pipelines.sync.ledger import Ledger
from cio_pipelines.sync.letters import DeadLetter, list_letters, replay
from cio_pipelines.sync.mapping import MappingChange, PeopleMapping, read_mapping
from cio_pipelines.sync.planning import Planner, by
from cio_pipelines.sync.preview import sample
from cio_pipelines.sync.push import Costs, Progress, Pusher, PushSettings
from cio_pipelines.sync.reports import Extraction, Outcomes, Plan, PushReport, Refusals, RunSummary
from cio_pipelines.sync.specs import SyncSpec
from cio_pipelines.sync.state import dead_letters, prepare_state, sync_plan, sync_runs
from cio_pipelines.sync.windows import Window
from cio_pipelines.warehouse import Warehouse, WarehouseConnection

_ALIVE = ("planned", "sending")
_PEOPLE, _ERASURE = "people", "erasure"


@dataclass(frozen=True, slots=True)
class SyncSettings:
    """How a workspace is synced.

    `workspace` names it in the state's keys. `shared_emails_conflict`: the workspace identifies people
    by e-mail too, so two people with one e-mail are quarantined. `unsubscribe_opted_out`: people who
    opted out of everything get `unsubscribed` instead of being suppressed. `max_attempts` refusals of
    the same content make a dead letter. `retention_days` is how long plans and ledgers are kept.
    """

    workspace: str
    region: Region = Region.US
    shared_emails_conflict: bool = True
    unsubscribe_opted_out: bool = False
    max_attempts: int = 3
    retention_days: int = 30
    guards: GuardLimits = field(default_factory=GuardLimits)
    push: PushSettings = field(default_factory=PushSettings)


class PeopleSync:
    """One sync of one workspace. `connect` makes a client for a push; nothing else talks to Customer.io."""

    def __init__(
        self,
        warehouse: Warehouse,
        spec: SyncSpec,
        settings: SyncSettings,
        connect: Callable[[], TrackClient],
    ) -> None:
        self._warehouse = warehouse
        self._spec = spec
        self._settings = settings
        self._connect = connect
        self._key = SyncKey(settings.workspace, spec.name)

    @contextmanager
    def _state(self) -> Generator[WarehouseConnection]:
        with self._warehouse.session(), self._warehouse.connect() as connection:
            prepare_state(connection)
            yield connection

    def mart(self) -> Mart:
        """The mart as it is now. Raises SourceContractError or MappingError."""
        columns = self._warehouse.columns(self._spec.schema, self._spec.table)
        mapping = read_mapping(self._spec, columns, unsubscribes=self._settings.unsubscribe_opted_out)
        updated_at = columns[self._spec.updated_at]
        has_zone = isinstance(updated_at, sa.DateTime) and updated_at.timezone
        if not isinstance(updated_at, (sa.DateTime, sa.Date)):
            raise SourceContractError(
                f"{self._spec.relation}.{self._spec.updated_at} is no timestamp.", "Cast it in the mart."
            )
        return Mart(self._spec, mapping, has_zone)

    def extract(self, run_id: str, window: Window) -> Extraction:
        """Begin a run: note its window and count what it looks at.

        Raises SourceContractError for a mart that is missing, or has null or repeated ids; MappingError;
        WarehouseError.
        """
        extracted_at = datetime.now(UTC).replace(microsecond=0)
        with self._state() as connection:
            mart = self.mart()
            self._check_ids(connection, mart)
            planner = Planner(connection, self._key, mart, run_id, extracted_at)
            mart_rows, _ = planner.count(sa.true())
            extracted, tombstoned = planner.count(planner.selection(window))
            self._begin_run(connection, run_id, _PEOPLE, window, extracted_at, mart.mapping)
        return Extraction(run_id, window, extracted_at, mart_rows, extracted, tombstoned)

    def _check_ids(self, connection: WarehouseConnection, mart: Mart) -> None:
        person = mart.person_id
        counts = sa.select(
            sa.func.count(), sa.func.count(person), sa.func.count(sa.distinct(person))
        ).select_from(mart.table)
        rows, named, distinct = (int(n) for n in connection.rows(counts)[0])
        column = f"{self._spec.relation}.{self._spec.person_id}"
        if named < rows:
            raise SourceContractError(
                f"{rows - named} rows have a null {column}.",
                "Every person needs an id: leave these rows out of the mart, or give them one.",
            )
        if distinct < named:
            raise SourceContractError(
                f"{named - distinct} rows repeat a {column} that another row has.",
                "One row a person: remove the duplicates in the mart.",
            )

    def _begin_run(
        self,
        connection: WarehouseConnection,
        run_id: str,
        kind: str,
        window: Window,
        extracted_at: datetime,
        mapping: PeopleMapping | None,
    ) -> None:
        expire(connection, self._key, self._settings.retention_days)
        with connection.transaction():
            connection.execute(sync_runs.delete().where(self._key.run(sync_runs, run_id)))
            connection.execute(sync_plan.delete().where(self._key.run(sync_plan, run_id)))
            connection.execute(
                sync_runs.insert().values(
                    **self._key.values,
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

    def plan(self, run_id: str, approvals: Approvals = Approvals(), *, dry_run: bool = False) -> Plan:  # noqa: B008
        """Decide what the run sends. A blocked plan is kept to be read and can never be pushed.

        Raises UnknownRun unless the run was extracted; SyncInProgress; what `extract` raises.
        """
        started = time.monotonic()
        with self._state() as connection, self._leased(connection, run_id) as lease:
            run = self._run(connection, run_id, ("extracted",))
            window = Window(run.window_start, run.window_end)
            mart = self.mart()
            planner = Planner(connection, self._key, mart, run_id, run.extracted_at)
            change = mart.mapping.change_from(self._last_mapping(connection))
            with connection.transaction():
                extracted, tombstoned = planner.count(planner.selection(window))
                left_alone = planner.plan_people(
                    window, shared_emails_conflict=self._settings.shared_emails_conflict
                )
                tallies = planner.tallies()
                snapshot, living = planner.known_people()
            whys = by(tallies, 1)
            counts = Counts(
                known=max(snapshot, living),
                changed=_sending(tallies, "changed") + _sending(tallies, "silent"),
                mapping=_sending(tallies, "mapping"),
                suppressed=_sending(tallies, "opted_out"),
            )
            plan = Plan(
                run_id=run_id,
                window=window,
                extracted_at=run.extracted_at,
                extracted=extracted,
                unchanged=extracted - tombstoned - left_alone - sum(whys.values()),
                tombstoned=tombstoned,
                left_alone=left_alone,
                planned=sum(tally[4] for tally in tallies),
                operations=by(tallies, 0),
                whys=whys,
                quarantined=_quarantined(tallies),
                mapping_change=change,
                mapping_version=mart.mapping.version,
                attributes=len(mart.mapping.described),
                verdicts=people_verdicts(counts, self._settings.guards, approvals),
                seconds=time.monotonic() - started,
                dry_run=dry_run,
                absent=planner.absent_people() if window.is_full else None,
            )
            self._settle_plan(connection, plan, lease)
            return plan

    def plan_erasure(self, run_id: str, approvals: Approvals = Approvals(), *, dry_run: bool = False) -> Plan:  # noqa: B008
        """Decide whom to erase: everybody with a tombstone who is not erased yet. Raises as `plan` does."""
        started = time.monotonic()
        extracted_at = datetime.now(UTC).replace(microsecond=0)
        with self._state() as connection:
            self._begin_run(connection, run_id, _ERASURE, Window(), extracted_at, None)
            with self._leased(connection, run_id) as lease:
                mart = self.mart()
                planner = Planner(connection, self._key, mart, run_id, extracted_at)
                with connection.transaction():
                    tombstones = planner.count(mart.deleted_at.is_not(None))[0]
                    left_alone = planner.plan_erasures()
                    tallies = planner.tallies()
                    snapshot, living = planner.known_people()
                people = sum(tally[4] for tally in tallies if tally[0] == "delete")
                counts = Counts(
                    known=max(snapshot, living),
                    erased=sum(tally[4] for tally in tallies if tally[0] == "delete" and tally[2] is None),
                )
                plan = Plan(
                    run_id=run_id,
                    window=Window(),
                    extracted_at=extracted_at,
                    extracted=tombstones,
                    unchanged=tombstones - left_alone - people,
                    tombstoned=0,
                    left_alone=left_alone,
                    planned=sum(tally[4] for tally in tallies),
                    operations=by(tallies, 0),
                    whys={"tombstone": people} if people else {},
                    quarantined=_quarantined(tallies),
                    mapping_change=MappingChange(),
                    mapping_version=mart.mapping.version,
                    attributes=0,
                    verdicts=(erasure_verdict(counts, self._settings.guards, approvals),),
                    seconds=time.monotonic() - started,
                    dry_run=dry_run,
                )
                self._settle_plan(connection, plan, lease)
                return plan

    @contextmanager
    def _leased(self, connection: WarehouseConnection, run_id: str) -> Generator[Lease]:
        """Hold the lease, with the runs of dead owners finished first; it is kept when all goes well."""
        lease = Lease(self._settings.workspace, self._spec.name, run_id)
        lease.acquire(connection)
        try:
            self._finish_dead_runs(connection, run_id)
            yield lease
        except BaseException:
            lease.release(connection)
            raise

    def _finish_dead_runs(self, connection: WarehouseConnection, run_id: str) -> None:
        """Commit what the ledgers of killed runs hold, so that nothing accepted is sent again."""
        runs = sa.select(sync_runs.c.run_id).where(
            self._key.owns(sync_runs), sync_runs.c.status.in_(_ALIVE), sync_runs.c.run_id != run_id
        )
        for row in connection.rows(runs.order_by(sync_runs.c.extracted_at)):
            self._commit(connection, row.run_id, ended_by="killed")

    def _commit(self, connection: WarehouseConnection, run_id: str, *, ended_by: str | None) -> None:
        Commit(connection, self._key, run_id, self._settings.max_attempts).execute()
        if ended_by is not None:
            self._note(connection, run_id, ended_by=ended_by)

    def _settle_plan(self, connection: WarehouseConnection, plan: Plan, lease: Lease) -> None:
        status = "dry_run" if plan.dry_run else "blocked" if plan.blocked else "planned"
        self._note(
            connection,
            plan.run_id,
            status=status,
            extracted=plan.extracted,
            unchanged=plan.unchanged,
            tombstoned=plan.tombstoned,
            left_alone=plan.left_alone,
            planned=plan.planned,
            plan_seconds=plan.seconds,
        )
        if status != "planned":
            lease.release(connection)

    def _note(self, connection: WarehouseConnection, run_id: str, **values: object) -> None:
        connection.execute(sync_runs.update().where(self._key.run(sync_runs, run_id)).values(**values))

    def _run(self, connection: WarehouseConnection, run_id: str, statuses: tuple[str, ...]) -> sa.Row[Any]:
        found = connection.rows(sa.select(sync_runs).where(self._key.run(sync_runs, run_id)))
        if not found or found[0].status not in statuses:
            state = f"is {found[0].status}" if found else "is not in the ledger"
            raise UnknownRun(
                f"Run {run_id} {state}, not {' or '.join(statuses)}.",
                "Run changed_users, profile_diff and identified_profiles together, in one run.",
            )
        return found[0]

    def _last_mapping(self, connection: WarehouseConnection) -> str | None:
        latest = (
            sa.select(sync_runs.c.mapping)
            .where(self._key.owns(sync_runs), sync_runs.c.status == "committed", sync_runs.c.kind == _PEOPLE)
            .order_by(sync_runs.c.extracted_at.desc(), sync_runs.c.finished_at.desc())
            .limit(1)
        )
        found: str | None = connection.scalar(latest)
        return found

    def push(self, run_id: str, on_progress: Progress | None = None) -> PushReport:
        """Send a plan and commit what was accepted. What stopped it early is in the report's `ended_by`.

        Raises UnknownRun unless the run is planned and not blocked; PlanOutdated; WarehouseError. After
        KeyboardInterrupt everything that was answered is committed before it goes on its way.
        """
        ledger = Ledger(self._key, run_id)
        lease = Lease(self._settings.workspace, self._spec.name, run_id)
        with self._state() as connection:
            run = self._run(connection, run_id, ("planned",))
            try:
                lease.renew(connection)
                self._note(connection, run_id, status="sending")
                started = sent = time.monotonic()
                costs, preflight, ended_by = Costs(), None, "interrupted"
                try:
                    if run.planned:
                        costs, preflight = asyncio.run(
                            self._send(connection, ledger, lease, run, on_progress)
                        )
                    ended_by = str(costs.ended_by) if costs.ended_by else None
                finally:
                    sent = time.monotonic()
                    self._commit(connection, run_id, ended_by=ended_by)
                    commit_seconds = time.monotonic() - sent
                    self._note(
                        connection,
                        run_id,
                        requests=costs.requests,
                        attempts=costs.attempts,
                        bytes_sent=costs.bytes_sent,
                        send_seconds=sent - started,
                        commit_seconds=commit_seconds,
                    )
            finally:
                lease.release(connection)
            return PushReport(
                run_id=run_id,
                outcomes=ledger.outcomes(connection),
                refusals=ledger.refusals(connection),
                dead_letters=self._dead_letters(connection),
                requests=costs.requests,
                attempts=costs.attempts,
                bytes_sent=costs.bytes_sent,
                send_seconds=sent - started,
                commit_seconds=commit_seconds,
                ended_by=ended_by,
                preflight=preflight,
            )

    async def _send(
        self,
        connection: WarehouseConnection,
        ledger: Ledger,
        lease: Lease,
        run: sa.Row[Any],
        on_progress: Progress | None,
    ) -> tuple[Costs, str | None]:
        async with self._connect() as client:
            try:
                preflight = await self._check_region(client)
            except CustomerIOError as error:
                return Costs(ended_by=error), None
            pusher = Pusher(
                warehouse=self._warehouse,
                connection=connection,
                ledger=ledger,
                lease=lease,
                timestamp=int(run.extracted_at.timestamp()),
                client=client,
                settings=self._settings.push,
                total=run.planned,
                on_progress=on_progress,
            )
            return await pusher.run(), preflight

    async def _check_region(self, client: TrackClient) -> str | None:
        """What could not be verified, None when credentials and region are right.

        Raises Unauthorized, ConfigurationError and whatever says that nobody answers.
        """
        try:
            account = await client.region()
        except Unauthorized:
            raise
        except (NotFound, Forbidden, UnexpectedResponse) as error:
            return f"The region was not verified: {error}"
        if account.region is not self._settings.region:
            raise ConfigurationError(
                f"the workspace is in region {account.region}, not {self._settings.region}",
                field="CUSTOMERIO_REGION",
                remedy=f"Set CUSTOMERIO_REGION={account.region}.",
            )
        return None

    def _dead_letters(self, connection: WarehouseConnection) -> int:
        letters = sa.select(sa.func.count()).where(self._key.owns(dead_letters))
        return int(connection.scalar(letters))

    def preview(self, run_id: str, rows: int = 10) -> pd.DataFrame:
        """A few rows of a plan with every value masked; see `preview.sample`."""
        with self._state() as connection:
            return sample(connection, self._key, run_id, rows)

    def letters(self, limit: int | None = None) -> list[DeadLetter]:
        """Dead letters of this workspace and sync, the newest first."""
        with self._state() as connection:
            return list_letters(connection, self._key, limit=limit)

    def replay(self, people: Sequence[str] | None = None) -> int:
        """Give dead letters another chance; see `letters.replay`."""
        with self._state() as connection:
            return replay(connection, self._key, people)

    def outcomes(self, run_id: str) -> Outcomes:
        """The ledger's word on a run, read anew."""
        with self._state() as connection:
            return Ledger(self._key, run_id).outcomes(connection)

    def summary(self, run_id: str) -> RunSummary:
        """Everything the ledger knows of a run. Raises UnknownRun."""
        every = ("extracted", "planned", "blocked", "dry_run", "sending", "committed")
        with self._state() as connection:
            run = self._run(connection, run_id, every)
            ledger = Ledger(self._key, run_id)
            return RunSummary(
                run_id=run_id,
                status=run.status,
                window=Window(run.window_start, run.window_end),
                extracted=run.extracted or 0,
                unchanged=run.unchanged or 0,
                tombstoned=run.tombstoned or 0,
                left_alone=run.left_alone or 0,
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
            )


def _sending(tallies: list[tuple[str, str, str | None, str | None, int]], why: str) -> int:
    """People planned for one reason who are not quarantined."""
    return sum(t[4] for t in tallies if t[1] == why and t[2] is None and t[0] != "unsuppress")


def _quarantined(tallies: list[tuple[str, str, str | None, str | None, int]]) -> tuple[Refusals, ...]:
    counts: dict[tuple[str, str], int] = {}
    for _, _, where, reason, count in tallies:
        if where is not None and reason is not None:
            counts[where, reason] = counts.get((where, reason), 0) + count
    found = [Refusals("quarantine", where, reason, people) for (where, reason), people in counts.items()]
    return tuple(sorted(found, key=lambda item: (-item.people, item.field)))


__all__ = ["PeopleSync", "SyncSettings", "Verdict"]
