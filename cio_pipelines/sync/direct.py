"""Syncing a few people of whom the application said something itself, without waiting for the warehouse.

The same plan, push, ledger and commit as in a scheduled run, over rows that `overlay.py` lays over the mart.
What is committed is marked as `direct`, so that a mart that lags behind does not undo it.
"""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from cio_pipelines.sync.beside import after_all, ahead_of_mart, outdated
from cio_pipelines.sync.candidates import Mart
from cio_pipelines.sync.delivery import deliver
from cio_pipelines.sync.engine import PeopleSync
from cio_pipelines.sync.erasing import plan_erasures
from cio_pipelines.sync.errors import InvalidUser, SyncInProgress
from cio_pipelines.sync.given import Given, Types, fill, read_person_id, read_users
from cio_pipelines.sync.overlay import lay_over, lay_tombstones
from cio_pipelines.sync.planning import Planner
from cio_pipelines.sync.results import Outcome, UserOutcome, outcomes_of
from cio_pipelines.sync.runs import DIRECT, Runs, run_key
from cio_pipelines.sync.state import dead_letters, sync_plan
from cio_pipelines.sync.windows import FULL
from cio_pipelines.warehouse import WarehouseBusy, WarehouseConnection, WarehouseError, WarehouseLocked

_BY_NAME = 1_000
"""People who are named in statements; more are looked up."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
"""Seconds between tries to get the lease; each pause is twice the one before."""
_ALL = (sa.true(),)

_Others = dict[str, Outcome]
"""People of a call to whom nothing is sent, and why."""


class DirectSync(PeopleSync):
    """The people sync for some people at a time; each call is a run of its own, one after the other."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._threads = threading.Lock()

    def sync(self, users: Iterable[object], *, wait_seconds: float) -> list[UserOutcome]:
        """Identify or suppress people as a scheduled run would whose mart has what is said of them.

        Args:
            users: see `given.read_users`. Of one who is there twice the later word counts.
            wait_seconds: for another run to end.

        Returns:
            What became of each, in order.

        Raises:
            InvalidUser, SyncInProgress, SourceContractError, MappingError, WarehouseError; PlanOutdated when
            the lease was lost meanwhile.
        """
        said = list(users)
        if not said:
            return []
        latest: dict[str, Given] = {}

        def plan(connection: WarehouseConnection, run_id: str, at: datetime) -> tuple[Planner, _Others]:
            return self._plan_people(connection, run_id, at, latest)

        with self._turn(wait_seconds) as (connection, run_id):
            types = self._types()
            given = read_users(said, self._spec, types)
            for person in given:
                if person.person_id not in latest or person.updated_at >= latest[person.person_id].updated_at:
                    latest[person.person_id] = person
            found = self._carry_out(connection, run_id, list(latest), plan)
        return [
            found[person.person_id]
            if latest[person.person_id] is person
            else UserOutcome(person.person_id, "outdated", run_id)
            for person in given
        ]

    def erase(
        self, people: Iterable[object], *, deleted_at: datetime | None, wait_seconds: float
    ) -> list[UserOutcome]:
        """Suppress and then delete people, as the erasure does with tombstones of that moment.

        `deleted_at` None is now, whatever is known already. Raises as `sync` does.
        """
        if deleted_at is not None and deleted_at.tzinfo is None:
            raise InvalidUser("The time of the deletion has no time zone.", "Give it one. Nothing was sent.")
        moment = deleted_at or datetime.now(UTC)
        said = list(people)
        ids: list[str] = []

        def plan(connection: WarehouseConnection, run_id: str, at: datetime) -> tuple[Planner, _Others]:
            mart = self.mart()
            left = list(dict.fromkeys(ids))
            over = lay_tombstones(mart, left, moment)
            others: _Others = {}
            if deleted_at is None:
                over = lay_tombstones(mart, left, after_all(connection, self._key, over, left, moment))
            else:
                others = _old(outdated(connection, self._key, over, left))
                left = [person for person in left if person not in others]
                over = lay_tombstones(mart, left, moment)
            planner = self._planner_of(connection, run_id, at, over, left)
            _take_up(planner, left)
            plan_erasures(planner)
            return planner, others

        with self._turn(wait_seconds) as (connection, run_id):
            types = self._types()
            ids += [read_person_id(person, self._spec, types, place) for place, person in enumerate(said)]
            found = self._carry_out(connection, run_id, ids, plan)
        return [found[person] for person in ids]

    def _types(self) -> Types:
        """The columns of a mart that can be synced. Raises SourceContractError or MappingError."""
        types = self._columns()
        self._mart_of(types)
        return types

    @contextmanager
    def _turn(self, wait_seconds: float) -> Generator[tuple[WarehouseConnection, str]]:
        """Hold the lease for a new run; while another has it, it has the warehouse to itself."""
        _refuse_event_loop()
        run_id = f"direct-{uuid.uuid4().hex}"
        until, pause = time.monotonic() + wait_seconds, _FIRST_PAUSE
        in_vain = (
            f"It was waited for {wait_seconds:g} s and nothing was sent: call again later, or enqueue it."
        )
        with ExitStack() as stack:
            if not self._threads.acquire(timeout=wait_seconds):
                raise SyncInProgress("Other threads of this process sync people of this workspace.", in_vain)
            stack.callback(self._threads.release)
            while True:
                tried = stack.enter_context(ExitStack())
                try:
                    connection = tried.enter_context(self._state())
                    lease = tried.enter_context(self._leased(connection, run_id))
                    break
                except (SyncInProgress, WarehouseLocked, WarehouseBusy) as error:
                    tried.close()
                    if time.monotonic() + pause > until:
                        raise SyncInProgress(error.message, in_vain) from None
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            yield connection, run_id
            lease.release(connection)

    def _carry_out(
        self,
        connection: WarehouseConnection,
        run_id: str,
        people: Sequence[str],
        plan: Callable[[WarehouseConnection, str, datetime], tuple[Planner, _Others]],
    ) -> dict[str, UserOutcome]:
        runs = Runs(connection, self._key)
        started, extracted_at = time.monotonic(), runs.moment()
        runs.begin(run_id, DIRECT, FULL, extracted_at, self.mart().mapping)
        planner, others = plan(connection, run_id, extracted_at)
        tallies = planner.tallies()
        runs.note(
            run_id,
            status="planned",
            extracted=len(people),
            unchanged=len(people) - sum(tallies.whys.values()),
            tombstoned=0,
            left_alone=0,
            planned=tallies.planned,
            mapping_change="none",
            plan_seconds=time.monotonic() - started,
        )
        run = runs.find(run_id, "planned")
        report = deliver(
            self._warehouse, connection, self._key, run, self._settings, self._connect, None, self._manner
        )
        found = outcomes_of(connection, run_key(self._key, run), people, report.ended_by)
        return found | {person: UserOutcome(person, why, run_id) for person, why in others.items()}

    def _plan_people(
        self, connection: WarehouseConnection, run_id: str, at: datetime, given: dict[str, Given]
    ) -> tuple[Planner, _Others]:
        types = self._columns()
        mart = self._mart_of(types)
        over = lay_over(mart, types, list(given.values()))
        self._planner_of(connection, run_id, at, over, list(given)).check_ids(_ALL)
        others = _old(outdated(connection, self._key, over, list(given)))
        known = ahead_of_mart(connection, self._key, over, list(given))
        people = [
            fill(person, self._spec, types, known[person.person_id]) if person.person_id in known else person
            for person in given.values()
            if person.person_id not in others
        ]
        left = [person.person_id for person in people]
        planner = self._planner_of(connection, run_id, at, lay_over(mart, types, people), left)
        _take_up(planner, left)
        try:
            planner.plan_people(_ALL, shared_emails_conflict=self._settings.shared_emails_conflict)
        except WarehouseError:
            _check_values(planner)
            raise
        silent = [who for who in left if given[who].texts.get(self._spec.opted_out) != "true"]
        return planner, others | _withhold(planner, silent)

    def _planner_of(
        self, connection: WarehouseConnection, run_id: str, at: datetime, over: Mart, people: Sequence[str]
    ) -> Planner:
        planner = self._planner(connection, over, run_id, at)
        return replace(planner, people=people) if len(people) <= _BY_NAME else planner


def _refuse_event_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError("An event loop runs in this thread: call it by anyio.to_thread.run_sync.")


def _old(people: Iterable[str]) -> _Others:
    return dict.fromkeys(people, "outdated")


def _take_up(planner: Planner, people: Sequence[str]) -> None:
    """A call is another chance for whom earlier runs gave up."""
    planner.connection.execute(
        dead_letters.delete().where(planner.run.sync.owns(dead_letters), dead_letters.c.person_id.in_(people))
    )


def _withhold(planner: Planner, people: Sequence[str]) -> _Others:
    """Leave out whom only the mart wants suppressed: guards stand before that, and none before a call."""
    suppressed = sa.and_(planner.mine, sync_plan.c.operation == "suppress", sync_plan.c.person_id.in_(people))
    rows = planner.connection.rows(sa.select(sync_plan.c.person_id).where(suppressed))
    if rows:
        planner.delete(suppressed)
    return {row.person_id: "withheld" for row in rows}


def _check_values(planner: Planner) -> None:
    """Raises InvalidUser when the database cannot make values of what was given."""
    mart = planner.mart
    counts = (sa.func.count(column) for column in mart.table.c)
    try:
        planner.connection.rows(sa.select(*counts).select_from(mart.table))
    except WarehouseError:
        raise InvalidUser(
            "A value of the call does not fit its column of the mart: a number is too large, perhaps.",
            "Call for one user at a time to find whose. Nothing was sent.",
        ) from None
