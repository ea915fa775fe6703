"""Messages that go out now: what applications call instead of Customer.io's APIs.

    async with MessagingService(TrackClient(…), AppClient(…)) as service:
        await service.identify_user("42", {"plan": "pro"})
        await service.track_event("42", "order_placed", {"amount": 12})

Without an event loop: `SyncMessagingService`. To keep a message when Customer.io or the process is down:
`QueuedMessagingService`.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AsyncExitStack
from datetime import datetime
from types import TracebackType
from typing import Self

from cio_pipelines.customerio import (
    AppClient,
    Audience,
    ConfigurationError,
    SendResult,
    Sent,
    TrackClient,
    TransactionalMessage,
)
from cio_pipelines.customerio.blocking import Blocking, blocking
from cio_pipelines.messaging import entries
from cio_pipelines.messaging.entries import Attributes
from cio_pipelines.messaging.instruments import Instruments


class MessagingService:
    """An async context manager around clients that were not entered yet; `app` where it is needed only.

    Every method raises InvalidOperation before anything is sent, else what its client raises: when a method
    returns, Customer.io has accepted. Forms for many do not raise for a single one: see SendResult.
    """

    def __init__(
        self, track: TrackClient, app: AppClient | None = None, *, instruments: Instruments | None = None
    ) -> None:
        self._track = track
        self._app = app
        self._instruments = instruments or Instruments()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._track)
            if self._app is not None:
                await stack.enter_async_context(self._app)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        value: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        await self._stack.aclose()

    async def identify_user(
        self, person_id: str, attributes: Attributes, *, timestamp: datetime | int | None = None
    ) -> None:
        """Set attributes of a person, and `last_seen_at` (now). `timestamp` (now) orders such calls."""
        with self._instruments.measured("identify_user"):
            await self._track.entity(entries.identify(person_id, attributes, timestamp))

    async def track_event(
        self,
        person_id: str,
        name: str,
        attributes: Attributes | None = None,
        *,
        event_id: str | None = None,
        timestamp: datetime | int | None = None,
    ) -> str:
        """Something a person did, at `timestamp` (now). Returns its ULID: sent again it is ignored."""
        with self._instruments.measured("track_event"):
            event = entries.track(person_id, name, attributes, event_id=event_id, timestamp=timestamp)
            await self._track.entity(event)
            return str(event.id)

    async def suppress_user(self, person_id: str) -> None:
        """Delete a person there and block the identifier: it destroys history."""
        with self._instruments.measured("suppress_user"):
            await self._track.entity(entries.suppress(person_id))

    async def delete_user(self, person_id: str) -> None:
        """Delete a person there; a later identify starts an empty profile."""
        with self._instruments.measured("delete_user"):
            await self._track.entity(entries.delete(person_id))

    async def send_transactional(self, message: TransactionalMessage) -> Sent:
        """Send a message to one person.

        Sent again only when it was surely not taken; `was_accepted` of the error says which is the case.
        """
        with self._instruments.measured("send_transactional"):
            return await self._app_client().send(message)

    async def trigger_broadcast(
        self, broadcast_id: int, audience: Audience, data: Attributes | None = None
    ) -> int:
        """Trigger a broadcast; returns the trigger's id. Repeated as `send_transactional` is."""
        with self._instruments.measured("trigger_broadcast"):
            return await self._app_client().trigger_broadcast(broadcast_id, audience, data)

    async def identify_users(
        self, people: Iterable[tuple[str, Attributes]], *, timestamp: datetime | int | None = None
    ) -> SendResult:
        """As identify_user for many people, in batches; indexes in the result are those of `people`."""
        with self._instruments.measured("identify_users") as measured:
            operations = [entries.identify(who, said, timestamp) for who, said in people]
            result = await self._track.batch(operations)
            measured.settle(result)
            return result

    async def track_events(
        self, events: Iterable[tuple[str, str, Attributes | None]], *, timestamp: datetime | int | None = None
    ) -> SendResult:
        """As track_event for many (person, name, attributes), in batches; indexes are those of `events`."""
        with self._instruments.measured("track_events") as measured:
            operations = [entries.track(who, name, said, timestamp=timestamp) for who, name, said in events]
            result = await self._track.batch(operations)
            measured.settle(result)
            return result

    def _app_client(self) -> AppClient:
        if self._app is None:
            raise ConfigurationError(
                "transactional messages and broadcasts need the App API",
                remedy="Give the service an AppClient (CUSTOMERIO_APP_API_KEY).",
            )
        return self._app


class SyncMessagingService(Blocking[MessagingService]):
    """MessagingService, blocking: `with SyncMessagingService(MessagingService(…)) as service: …`."""

    identify_user = blocking(MessagingService.identify_user)
    track_event = blocking(MessagingService.track_event)
    suppress_user = blocking(MessagingService.suppress_user)
    delete_user = blocking(MessagingService.delete_user)
    send_transactional = blocking(MessagingService.send_transactional)
    trigger_broadcast = blocking(MessagingService.trigger_broadcast)
    identify_users = blocking(MessagingService.identify_users)
    track_events = blocking(MessagingService.track_events)
