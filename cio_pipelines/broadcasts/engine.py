"""Triggering a broadcast for a day once, and following it until Customer.io is done.

What is about to be asked for is written down before it is asked for, and Customer.io's number of the trigger
after it, both under the lease of the broadcast. Whoever finds the first without the second looks into
Customer.io's own list, and asks a person when that does not tell either. The database is closed while
Customer.io is waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from types import TracebackType
from typing import Self

from cio_pipelines.broadcasts.attempts import Attempt, Attempts
from cio_pipelines.broadcasts.errors import BroadcastInProgress, PartitionLate, RecipientsError
from cio_pipelines.broadcasts.following import Follower
from cio_pipelines.broadcasts.guards import AudienceVerdict
from cio_pipelines.broadcasts.recipients import Counted, recipients_of, too_large
from cio_pipelines.broadcasts.reports import BLOCKED, DRY_RUN, EMPTY, Outcome, Request
from cio_pipelines.broadcasts.resolving import Resolver
from cio_pipelines.broadcasts.specs import KEY, BroadcastSpec
from cio_pipelines.broadcasts.state import (
    FAILED,
    INTENDED,
    REFUSED,
    TRIGGERED,
    UNKNOWN,
    broadcast_leases,
    prepare_broadcasts,
)
from cio_pipelines.customerio import AppClient, Audience, CustomerIOError, InvalidOperation, SyncAppClient
from cio_pipelines.customerio.audiences import trigger_body
from cio_pipelines.customerio.limits import TRIGGER_BYTES
from cio_pipelines.warehouse import Warehouse, WarehouseError
from cio_pipelines.warehouse.leases import Lease


@dataclass(frozen=True, slots=True, repr=False)
class _Intent:
    """A try that is written down, and what is to be asked for."""

    attempt: Attempt
    identifiers: Sequence[str]
    audience: Audience
    data: Mapping[str, object]


class Broadcast:
    """One broadcast of one workspace: a context manager, for it keeps a client of the workspace's App API.

    `connect` makes that client, when the first request is to be made.
    """

    def __init__(
        self, warehouse: Warehouse, workspace: str, spec: BroadcastSpec, connect: Callable[[], AppClient]
    ) -> None:
        self._warehouse = warehouse
        self._workspace = workspace
        self._spec = spec
        self._connect = connect
        self._stack = ExitStack()
        self._connected: SyncAppClient | None = None
        self._is_prepared = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        value: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        self._connected = None
        self._stack.__exit__(kind, value, trace)

    def run(self, day: date, run_id: str, request: Request = Request()) -> Outcome:  # noqa: B008  # frozen
        """Bring a day to its end: trigger it unless it is, wait until it is processed, read the errors.

        Raises:
            BroadcastError: any member of its tree; the broadcast is triggered only after TriggerUnread, and
                perhaps after TriggerUnclear.
            WarehouseError, CustomerIOError: of the latter only those after which nothing was sent.
        """
        if request.dry_run:
            return self._counted(day, request)
        with self._leased(run_id) as lease:
            with self._warehouse.session():
                decided = self._decided(day, run_id, request, lease)
            if isinstance(decided, Outcome):
                return decided
            attempt = self._triggered(decided, request)
        triggered_here = attempt.run_id == run_id and not attempt.adopted
        return self._follower.follow(attempt, request.wait_seconds, triggered_here=triggered_here)

    def _decided(self, day: date, run_id: str, request: Request, lease: Lease) -> Attempt | Outcome | _Intent:
        """The day's try as it stands, what the day is without one, or what is to be asked for now."""
        with self._state() as attempts:
            latest = attempts.latest(day)
        if latest is not None:
            is_open = latest.is_unresolved or latest.status == FAILED
            if latest.status != REFUSED and not (is_open and request.retrigger):
                return latest
        self._demand_in_time(day, request)
        counted = self._counted(day, request)
        if counted.status in (EMPTY, BLOCKED):
            return counted
        self._client()  # settings that cannot work are told before anything is written down
        return self._intended(counted, 1 if latest is None else latest.attempt + 1, run_id, lease)

    def _triggered(self, decided: Attempt | _Intent, request: Request) -> Attempt:
        """The try with the number of its trigger."""
        if isinstance(decided, _Intent):
            return self._requested(decided, request.wait_seconds)
        if not decided.is_unresolved:
            return decided
        if request.adopt:
            return self._resolver.adopt(decided, request.adopt)
        return self._resolver.resolve(decided, request.wait_seconds)

    def _demand_in_time(self, day: date, request: Request) -> None:
        # without a column of days the model knows the present only
        allowed = 0 if self._spec.day is None else self._spec.days_late
        if datetime.now(UTC).date() - day > timedelta(days=allowed) and not request.allow_late:
            raise PartitionLate(
                f"{self._spec.name} is for {day}, and may be triggered until {allowed} days later; nothing "
                "was sent.",
                "If people shall have the message now all the same, run again with allow_late.",
            )

    def _counted(self, day: date, request: Request) -> Outcome:
        """The audience of a day and the guard's word on it; nothing is sent."""
        with self._warehouse.session(), self._warehouse.connect() as connection:
            recipients = recipients_of(self._warehouse, self._spec, self._workspace, day)
            counted: Counted = recipients.count(self._warehouse, connection)
        verdict = AudienceVerdict(counted.people, counted.known, self._spec.limits, request.allow_audience)
        status = BLOCKED if not verdict.passed else DRY_RUN
        return Outcome(
            day=day,
            status=EMPTY if not counted.people else status,
            recipients=counted.people,
            known=counted.known,
            unsynced=counted.unsynced,
            verdict=verdict,
        )

    def _intended(self, counted: Outcome, number: int, run_id: str, lease: Lease) -> _Intent:
        """What will be asked for, written down. Nothing is, when it cannot be sent."""
        spec, day = self._spec, counted.day
        key = f"{spec.name}/{day}/{number}"
        data = {**spec.data, KEY: key}
        with self._state() as attempts:
            recipients = recipients_of(self._warehouse, spec, self._workspace, day)
            identifiers, audience = recipients.read(attempts.connection)
            if len(identifiers) != counted.recipients:
                raise RecipientsError(
                    f"{spec.relation} was built anew while it was read; nothing was sent.", "Run it again."
                )
            self._demand_sendable(audience, data)
            attempt = Attempt(
                day=day,
                attempt=number,
                key=key,
                status=INTENDED,
                recipients=len(identifiers),
                requested_at=datetime.now(UTC),
                run_id=run_id,
                known_people=counted.known,
                unsynced=counted.unsynced,
            )
            attempts.add(attempt)
            if not lease.renew(attempts.connection):
                attempts.remove(attempt)
                raise BroadcastInProgress(
                    f"Run {run_id} no longer holds the lease of the broadcast {spec.name}; nothing was sent.",
                    "Run it again.",
                )
        return _Intent(attempt, identifiers, audience, data)

    def _demand_sendable(self, audience: Audience, data: Mapping[str, object]) -> None:
        try:
            trigger_body(audience, data)
        except InvalidOperation as error:
            if error.field != audience.kind or error.reason != "too_long":
                raise
            raise too_large(self._spec, f"the {TRIGGER_BYTES:,} bytes of one trigger") from error

    def _requested(self, intent: _Intent, wait_seconds: float) -> Attempt:
        attempt, client = intent.attempt, self._client()
        try:
            trigger_id = client.trigger_broadcast(self._spec.broadcast_id, intent.audience, intent.data)
        except CustomerIOError as error:
            status = REFUSED if error.was_accepted == "no" else UNKNOWN
            with self._state() as attempts:
                attempt = attempts.change(attempt, status=status)
            if status == UNKNOWN:
                return self._resolver.resolve(attempt, wait_seconds)
            self._resolver.explain(attempt, intent.identifiers, error)
            raise
        with self._state() as attempts:
            return attempts.change(attempt, status=TRIGGERED, trigger_id=trigger_id)

    @property
    def _resolver(self) -> Resolver:
        return Resolver(self._spec, self._client, self._state)

    @property
    def _follower(self) -> Follower:
        return Follower(self._spec, self._client, self._state)

    def _client(self) -> SyncAppClient:
        if self._connected is None:
            self._connected = self._stack.enter_context(SyncAppClient(self._connect()))
        return self._connected

    @contextmanager
    def _state(self) -> Generator[Attempts]:
        with self._warehouse.session(), self._warehouse.connect() as connection:
            if not self._is_prepared:
                prepare_broadcasts(connection)
                self._is_prepared = True
            yield Attempts(connection, self._workspace, self._spec)

    @contextmanager
    def _leased(self, run_id: str) -> Generator[Lease]:
        """Hold the lease of the broadcast: of two runs for a day the second finds what the first did."""
        key = {"workspace": self._workspace, "broadcast_id": str(self._spec.broadcast_id)}
        lease = Lease(broadcast_leases, key, run_id)
        with self._state() as attempts:
            holder = lease.acquire(attempts.connection)
        if holder is not None:
            raise BroadcastInProgress(
                f"Run {holder.owner} (process {holder.pid} on {holder.host}) triggers {self._spec.name}.",
                f"Wait until it ends; a run that hangs loses its lease at {holder.expires_at:%H:%M:%S} UTC.",
            )
        try:
            yield lease
        except BaseException:
            with suppress(WarehouseError):  # what went wrong is on its way; the lease expires
                self._release(lease)
            raise
        self._release(lease)

    def _release(self, lease: Lease) -> None:
        with self._state() as attempts:
            lease.release(attempts.connection)
