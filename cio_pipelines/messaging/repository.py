"""Syncing one user now: what applications call when a user changed, and do not wait for the warehouse.

    repository = UserMessagingRepository(open_warehouse(url), settings, connect)
    repository.sync_user({"person_id": "42", "updated_at": user.updated_at, "plan": "pro"})
    repository.on_user_deleted("42")

Rules, code and memory are those of the people sync: the next scheduled run neither repeats nor undoes it.
From an event loop: `await anyio.to_thread.run_sync(repository.sync_user, user)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cio_pipelines.customerio import TrackClient
from cio_pipelines.messaging.instruments import Instruments, Measured
from cio_pipelines.sync.direct import DirectSync
from cio_pipelines.sync.results import UserOutcome
from cio_pipelines.sync.settings import SyncSettings
from cio_pipelines.sync.specs import PEOPLE, SyncSpec
from cio_pipelines.warehouse import Warehouse

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

WAIT_SECONDS = 30.0
"""How long a call waits for a scheduled run to end."""


class UserMessagingRepository:
    """The users of one workspace. Threads may share it; each call is a run of the people sync of its own.

    Args:
        warehouse: where mart and state are.
        settings: of the workspace's sync.
        connect: makes a client for a call.
        wait_seconds: for another run, which holds the lease of the workspace, to end.
        spec: which mart.
        instruments: told of every call, with nothing of whom it was about.

    A user is a mapping or dataclass of columns of the mart. There must be `person_id` and `updated_at`: when
    the application changed it, as it will be in the mart. Columns that are left out keep what is known: what
    an earlier call said if the mart lags behind it, else the mart's value.

    Every method raises, with nothing sent: InvalidUser, SyncInProgress after `wait_seconds`,
    SourceContractError and MappingError for a mart that cannot be synced, WarehouseError. PlanOutdated says
    that the lease was lost while sending. Any call may be made again.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        settings: SyncSettings,
        connect: Callable[[], TrackClient],
        *,
        wait_seconds: float = WAIT_SECONDS,
        spec: SyncSpec = PEOPLE,
        instruments: Instruments | None = None,
    ) -> None:
        self._sync = DirectSync(warehouse, spec, settings, connect)
        self._wait_seconds = wait_seconds
        self._instruments = instruments or Instruments()

    def sync_user(self, user: Mapping[str, Any] | DataclassInstance) -> UserOutcome:
        """Identify a user, or suppress one who says `opted_out` (of everything).

        Suppressing deletes the person in Customer.io with all history, unless the workspace is set to
        unsubscribe. No guard stands before it.
        """
        with self._instruments.measured("sync_user") as measured:
            return _told(measured, self._sync.sync([user], wait_seconds=self._wait_seconds))[0]

    def sync_users(self, users: Iterable[Mapping[str, Any] | DataclassInstance]) -> list[UserOutcome]:
        """As sync_user, for some thousands in one run; the outcomes are in the order of `users`."""
        with self._instruments.measured("sync_users") as measured:
            return _told(measured, self._sync.sync(users, wait_seconds=self._wait_seconds))

    def on_user_deleted(self, person_id: object, *, deleted_at: datetime | None = None) -> UserOutcome:
        """Erase a user: suppress, then delete, and forget what was sent. It cannot be undone.

        With `deleted_at` a call that comes late does not erase who came back since; without, it is now.
        """
        with self._instruments.measured("on_user_deleted") as measured:
            erased = self._sync.erase([person_id], deleted_at=deleted_at, wait_seconds=self._wait_seconds)
            return _told(measured, erased)[0]


def _told(measured: Measured, outcomes: list[UserOutcome]) -> list[UserOutcome]:
    """The outcomes, of which the worst is the call's."""
    found = {outcome.outcome for outcome in outcomes}
    measured.messages = len(outcomes)
    if "due" in found:
        measured.outcome = "unanswered"
    elif found & {"rejected", "quarantined", "withheld"}:
        measured.outcome = "rejected"
    return outcomes
