"""What every sync does alike: hold the lease, finish killed runs, push a plan, tell what became of it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from cio_pipelines.customerio import TrackClient
from cio_pipelines.sync.commit import finish_killed
from cio_pipelines.sync.delivery import deliver
from cio_pipelines.sync.key import SyncKey
from cio_pipelines.sync.lease import Lease
from cio_pipelines.sync.letters import (
    ANY,
    DeadLetter,
    LetterCount,
    LetterFilter,
    letter_counts,
    list_letters,
    replay,
)
from cio_pipelines.sync.manners import Manner
from cio_pipelines.sync.push import Progress
from cio_pipelines.sync.reports import Outcomes, PushReport, RunSummary
from cio_pipelines.sync.runs import Runs
from cio_pipelines.sync.settings import SyncSettings
from cio_pipelines.sync.state import prepare_state
from cio_pipelines.sync.summary import summarise
from cio_pipelines.warehouse import Warehouse, WarehouseConnection


class BaseSync:
    """One sync of one workspace. `connect` makes a client for a push; nothing else talks to Customer.io."""

    def __init__(
        self,
        warehouse: Warehouse,
        key: SyncKey,
        settings: SyncSettings,
        connect: Callable[[], TrackClient],
        manner: Manner,
    ) -> None:
        self._warehouse = warehouse
        self._key = key
        self._settings = settings
        self._connect = connect
        self._manner = manner
        self._is_prepared = False

    @contextmanager
    def _state(self) -> Generator[WarehouseConnection]:
        with self._warehouse.session(), self._warehouse.connect() as connection:
            if not self._is_prepared:
                prepare_state(connection)
                self._is_prepared = True
            yield connection

    @contextmanager
    def _leased(self, connection: WarehouseConnection, run_id: str) -> Generator[Lease]:
        """Hold the lease, with killed runs finished first; it is kept when all goes well.

        Whoever gets the lease knows that no unfinished run is alive: their ledgers are committed, so that
        nothing that was accepted is sent again and nobody who was not is forgotten.
        """
        lease = Lease(self._key, run_id)
        lease.acquire(connection)
        try:
            finish_killed(connection, self._key, self._settings.max_attempts, self._manner.commit)
            yield lease
        except BaseException:
            lease.release(connection)
            raise

    def push(self, run_id: str, on_progress: Progress | None = None) -> PushReport:
        """Send a plan and commit what was accepted. What stopped it early is in the report's `ended_by`.

        Raises UnknownRun unless the run is planned and not blocked; PlanOutdated; WarehouseError. After
        KeyboardInterrupt everything that was answered is committed before it goes on its way.
        """
        lease = Lease(self._key, run_id)
        with self._state() as connection:
            run = Runs(connection, self._key).find(run_id, "planned")
            try:
                lease.renew(connection)
                return deliver(
                    self._warehouse,
                    connection,
                    self._key,
                    run,
                    self._settings,
                    self._connect,
                    on_progress,
                    self._manner,
                )
            finally:
                lease.release(connection)

    def letters(self, limit: int | None = None, *, wanted: LetterFilter = ANY) -> list[DeadLetter]:
        """Dead letters of this workspace and sync, the newest first."""
        with self._state() as connection:
            return list_letters(connection, self._key, limit=limit, wanted=wanted)

    def letter_counts(self) -> list[LetterCount]:
        """Dead letters by what is wrong, the most first."""
        with self._state() as connection:
            return letter_counts(connection, self._key)

    def replay(self, subjects: Sequence[str] | None = None, *, wanted: LetterFilter = ANY) -> int:
        """Give dead letters another chance: of these people, or events, or all; see `letters.replay`."""
        with self._state() as connection:
            return replay(connection, self._key, subjects, wanted)

    def outcomes(self, run_id: str, *, trace: bool = True) -> Outcomes:
        """The ledger's word on a run, read anew; with `trace` compared with what is remembered for good."""
        with self._state() as connection:
            run = Runs(connection, self._key).key_of(run_id)
            return self._manner.ledger(run).outcomes(connection, trace=trace)

    def summary(self, run_id: str) -> RunSummary:
        """Everything the ledger knows of a run. Raises UnknownRun."""
        with self._state() as connection:
            return summarise(connection, self._key, run_id)
