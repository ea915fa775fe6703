"""The worker: takes messages from the queues and delivers them, at least once and never forgetting one."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping

from cio_pipelines.customerio import AppClient, TrackClient
from cio_pipelines.messaging.breaker import Breaker
from cio_pipelines.messaging.fates import WorkerSettings
from cio_pipelines.messaging.handlers import CredentialsRefused, Handler, OperationsHandler, RequestsHandler
from cio_pipelines.messaging.instruments import Instruments
from cio_pipelines.messaging.lane import Lane
from cio_pipelines.messaging.queue.errors import QueueUnavailable
from cio_pipelines.messaging.queue.protocol import Queue, QueueName

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.2


class Worker:
    """Serves queues with clients that were entered already, on one event loop.

    The clients should try once (`RetryPolicy(max_attempts=1)`): the queue tries again.
    """

    def __init__(
        self,
        queue: Queue,
        track: TrackClient,
        app: AppClient | None = None,
        settings: WorkerSettings | None = None,
        instruments: Instruments | None = None,
    ) -> None:
        """Raises ValueError when a queue is to be served that needs the App API, and there is no client."""
        self._queue = queue
        self._settings = settings or WorkerSettings()
        self._refused: CredentialsRefused | None = None
        self._stopping = asyncio.Event()
        instruments = instruments or Instruments()
        of_track, of_app = Breaker(), Breaker()
        operations = OperationsHandler(track, of_track, self._settings)
        handlers: dict[QueueName, Handler] = {"identify": operations, "track": operations}
        if app is not None:
            requests = RequestsHandler(app, queue, of_app, self._settings)
            handlers |= {"transactional": requests, "broadcast": requests}
        missing = [name for name in self._settings.queues if name not in handlers]
        if missing:
            raise ValueError(f"without an App API client these queues cannot be served: {', '.join(missing)}")
        self._lanes = [
            Lane(name, queue, handlers[name], self._settings, instruments, self._refuse)
            for name in self._settings.queues
        ]

    @property
    def counts(self) -> Mapping[str, int]:
        """Messages by what became of them here: delivered, dead letters, to be tried again, given back."""
        total: Counter[str] = Counter()
        for lane in self._lanes:
            total.update(lane.counts)
        return total

    def stop(self) -> None:
        """Take nothing more; `run` ends when what is on its way is answered, or the time for that is over."""
        self._stopping.set()
        for lane in self._lanes:
            lane.stop()

    async def run(self, *, until_empty: bool = False) -> None:
        """Work until `stop` is called; with `until_empty`, or until nothing is left that could go now.

        Raises CredentialsRefused when Customer.io takes none of ours.
        """
        lanes = [asyncio.create_task(lane.run()) for lane in self._lanes]
        beside = [asyncio.create_task(self._beat())]
        if until_empty:
            beside.append(asyncio.create_task(self._stop_when_empty()))
        try:
            await self._until_stopped(lanes)
        finally:
            self.stop()
            for lane in self._lanes:
                lane.break_off()
            await asyncio.gather(*lanes, return_exceptions=True)
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
        for lane in lanes:
            lane.result()
        if self._refused is not None:
            raise self._refused

    async def _until_stopped(self, lanes: list[asyncio.Task[None]]) -> None:
        """Wait for the word to stop, or for a lane that fails; then for what is on its way."""
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait([stopping, *lanes], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        self.stop()
        await asyncio.wait(lanes, timeout=self._settings.drain)

    async def _stop_when_empty(self) -> None:
        while not await self._is_empty():
            await asyncio.sleep(_LOOK_SECONDS)
        self.stop()

    async def _is_empty(self) -> bool:
        try:
            depths = await self._queue.depths()
        except QueueUnavailable:
            return False  # the lanes tell, and wait for it to come back
        return not any(depths[name].waiting + depths[name].in_flight for name in self._settings.queues)

    def _refuse(self, refused: CredentialsRefused) -> None:
        self._refused = refused
        self.stop()

    async def _beat(self) -> None:
        """Hold on to what is in our hands: a request may wait longer for its turn than a lease lasts."""
        while True:
            await asyncio.sleep(self._settings.lease / 3)
            held = [message for lane in self._lanes for message in lane.held.values()]
            if not held:
                continue
            try:
                lost = await self._queue.extend(held, self._settings.lease)
            except QueueUnavailable as error:
                _log.warning("leases could not be extended", extra={"fields": {"why": str(error)}})
                continue
            if lost:
                _log.warning("messages were taken over by others", extra={"fields": {"messages": lost}})
