"""The Track client for callers without an event loop. All logic stays in the async one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from anyio.from_thread import BlockingPortal, start_blocking_portal

from cio_pipelines.customerio.encoding import EncodedOperations
from cio_pipelines.customerio.operations import Operation
from cio_pipelines.customerio.regions import AccountRegion
from cio_pipelines.customerio.results import SendResult
from cio_pipelines.customerio.track import TrackClient


class SyncTrackClient:
    """A context manager around a TrackClient that was not entered yet, on an event loop in its own thread.

    Methods are those of TrackClient, blocking; they may be called from several threads at once.
    """

    def __init__(self, client: TrackClient) -> None:
        self._client = client
        self._stack = ExitStack()
        self._portal: BlockingPortal | None = None

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

    def _running(self) -> BlockingPortal:
        if self._portal is None:
            raise RuntimeError("SyncTrackClient is used outside its `with` block")
        return self._portal

    def batch(self, operations: Sequence[Operation]) -> SendResult:
        """See TrackClient.batch."""
        return self._running().call(self._client.batch, operations)

    def send(self, operations: EncodedOperations, start: int, stop: int) -> SendResult:
        """See TrackClient.send."""
        return self._running().call(self._client.send, operations, start, stop)

    def entity(self, operation: Operation) -> None:
        """See TrackClient.entity."""
        self._running().call(self._client.entity, operation)

    def region(self) -> AccountRegion:
        """See TrackClient.region."""
        return self._running().call(self._client.region)
