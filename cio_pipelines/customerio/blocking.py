"""The clients for callers without an event loop. All logic stays in the async ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack
from functools import partial, wraps
from types import TracebackType
from typing import Concatenate, Generic, ParamSpec, Self, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from cio_pipelines.customerio.app import AppClient
from cio_pipelines.customerio.track import TrackClient

Client = TypeVar("Client", bound=AbstractAsyncContextManager[object])
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class Blocking(Generic[Client]):
    """A context manager around a client that was not entered yet, on an event loop in its own thread.

    Methods are those of the client, blocking; they may be called from several threads at once.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._stack = ExitStack()
        self._portal: BlockingPortal | None = None

    def __repr__(self) -> str:
        return f"Sync{self._client!r}"

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            portal = stack.enter_context(start_blocking_portal())
            stack.enter_context(portal.wrap_async_context_manager(self._client))
            self._portal = portal
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        value: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        self._portal = None
        self._stack.__exit__(kind, value, trace)

    def call(
        self,
        method: Callable[Concatenate[Client, Parameters], Awaitable[Result]],
        *arguments: Parameters.args,
        **named: Parameters.kwargs,
    ) -> Result:
        """Run a method of the client to its end. Raises RuntimeError outside the `with` block."""
        return self._running().call(partial(method, self._client, *arguments, **named))

    def items(
        self,
        method: Callable[Concatenate[Client, Parameters], AsyncIterator[Result]],
        *arguments: Parameters.args,
        **named: Parameters.kwargs,
    ) -> Iterator[Result]:
        """What a method of the client iterates over, taken as it is asked for."""
        self._running()
        items = method(self._client, *arguments, **named)

        async def following() -> tuple[Result] | None:
            # An iterator's end cannot leave a coroutine as an exception of its own kind.
            async for item in items:
                return (item,)
            return None

        while (taken := self._running().call(following)) is not None:
            yield taken[0]

    def _running(self) -> BlockingPortal:
        if self._portal is None:
            raise RuntimeError(f"{type(self).__name__} is used outside its `with` block")
        return self._portal


def blocking(
    method: Callable[Concatenate[Client, Parameters], Awaitable[Result]],
) -> Callable[Concatenate[Blocking[Client], Parameters], Result]:
    """The blocking form of a client's coroutine method."""

    @wraps(method)
    def blocked(client: Blocking[Client], *arguments: Parameters.args, **named: Parameters.kwargs) -> Result:
        return client.call(method, *arguments, **named)

    return blocked


def iterating(
    method: Callable[Concatenate[Client, Parameters], AsyncIterator[Result]],
) -> Callable[Concatenate[Blocking[Client], Parameters], Iterator[Result]]:
    """The blocking form of a client's method that iterates over pages."""

    @wraps(method)
    def iterated(
        client: Blocking[Client], *arguments: Parameters.args, **named: Parameters.kwargs
    ) -> Iterator[Result]:
        return client.items(method, *arguments, **named)

    return iterated


class SyncTrackClient(Blocking[TrackClient]):
    """TrackClient, blocking: `with SyncTrackClient(TrackClient(...)) as client: ...`."""

    batch = blocking(TrackClient.batch)
    send = blocking(TrackClient.send)
    entity = blocking(TrackClient.entity)
    region = blocking(TrackClient.region)


class SyncAppClient(Blocking[AppClient]):
    """AppClient, blocking: `with SyncAppClient(AppClient(...)) as client: ...`."""

    send = blocking(AppClient.send)
    trigger_broadcast = blocking(AppClient.trigger_broadcast)
    broadcast_trigger = blocking(AppClient.broadcast_trigger)
    broadcast_triggers = blocking(AppClient.broadcast_triggers)
    broadcast_trigger_errors = iterating(AppClient.broadcast_trigger_errors)

    people_by_email = blocking(AppClient.people_by_email)
    person = blocking(AppClient.person)
    people = blocking(AppClient.people)
    search_people = iterating(AppClient.search_people)
    person_segments = blocking(AppClient.person_segments)
    person_messages = iterating(AppClient.person_messages)
    person_relationships = iterating(AppClient.person_relationships)
    subscription_preferences = blocking(AppClient.subscription_preferences)
    person_activities = iterating(AppClient.person_activities)
    activities = iterating(AppClient.activities)

    segments = blocking(AppClient.segments)
    segment = blocking(AppClient.segment)
    segment_members = iterating(AppClient.segment_members)
    segment_count = blocking(AppClient.segment_count)
    create_segment = blocking(AppClient.create_segment)
    delete_segment = blocking(AppClient.delete_segment)

    export_people = blocking(AppClient.export_people)
    export_deliveries = blocking(AppClient.export_deliveries)
    exports = blocking(AppClient.exports)
    export = blocking(AppClient.export)
    export_url = blocking(AppClient.export_url)

    suppressed_address = blocking(AppClient.suppressed_address)
    suppressed_addresses = iterating(AppClient.suppressed_addresses)
    suppress_address = blocking(AppClient.suppress_address)
    release_address = blocking(AppClient.release_address)
