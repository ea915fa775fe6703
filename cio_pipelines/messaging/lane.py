"""One queue's worth of a worker: take, deliver with a bounded number of requests at once, settle."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from cio_pipelines.messaging.fates import WorkerSettings
from cio_pipelines.messaging.handlers import CredentialsRefused, Handler
from cio_pipelines.messaging.instruments import Instruments, OperationEvent, Outcome
from cio_pipelines.messaging.queue.errors import QueueUnavailable
from cio_pipelines.messaging.queue.protocol import (
    Buried,
    Delivered,
    Queue,
    QueueName,
    Settlement,
    Taken,
)

_log = logging.getLogger(__name__)

_IDLE_SECONDS: Final = 1.0
_AGAIN_SECONDS = 1.0
"""After the queue could not be used."""


class Lane:
    """Serves one queue until it is told to stop. `held` has what is in its hands, by message id."""

    def __init__(
        self,
        name: QueueName,
        queue: Queue,
        handler: Handler,
        settings: WorkerSettings,
        instruments: Instruments,
        on_refused: Callable[[CredentialsRefused], None],
    ) -> None:
        self.held: dict[str, Taken] = {}
        self.counts: Counter[str] = Counter()
        self._name: QueueName = name
        self._queue = queue
        self._handler = handler
        self._settings = settings
        self._instruments = instruments
        self._on_refused = on_refused
        self._slots = asyncio.Semaphore(settings.concurrency[name])
        self._stopping = asyncio.Event()
        self._deliveries: set[asyncio.Task[None]] = set()
        self._is_told = False
        self._failure: BaseException | None = None

    def stop(self) -> None:
        """Take nothing more."""
        self._stopping.set()

    async def run(self) -> None:
        """Take and deliver until told to stop, then wait for what is on its way.

        What a delivery raises that nobody foresaw ends the lane, and is raised here.
        """
        try:
            while not self._stopping.is_set():
                try:
                    await self._turn()
                    self._is_told = False
                except QueueUnavailable as error:
                    self._tell(error)
                    await self._sleep(_AGAIN_SECONDS)
        finally:
            if self._deliveries:
                await asyncio.wait(self._deliveries)
        if self._failure is not None:
            raise self._failure

    def break_off(self) -> None:
        """Cancel what is on its way; `run` then ends soon."""
        for delivery in self._deliveries:
            delivery.cancel()

    async def _turn(self) -> None:
        wait = self._handler.breaker.seconds_to_wait()
        if wait > 0:
            await self._sleep(wait)
            return
        await self._slots.acquire()
        try:
            taken = await self._take()
        except BaseException:
            self._slots.release()
            raise
        if not taken:
            self._slots.release()
            await self._until_stopped(self._queue.wait(self._name, _IDLE_SECONDS))
            return
        for number, part in enumerate(self._handler.cut(taken)):
            if number:
                await self._slots.acquire()
            delivery = asyncio.create_task(self._deliver(part))
            self._deliveries.add(delivery)
            delivery.add_done_callback(self._ended)

    async def _take(self) -> list[Taken]:
        limit, lease = self._handler.limit, self._settings.lease
        taken = await self._queue.take(self._name, limit, lease)
        if 0 < len(taken) < limit and self._settings.linger and limit > 1:
            # a body that is not full waits a moment for more
            self._hold(taken)
            await self._sleep(self._settings.linger)
            try:
                taken += await self._queue.take(self._name, limit - len(taken), lease)
            except QueueUnavailable as error:
                # what is in our hands goes out all the same
                self._tell(error)
        self._hold(taken)
        return taken

    def _ended(self, delivery: asyncio.Task[None]) -> None:
        self._deliveries.discard(delivery)
        if not delivery.cancelled() and (failure := delivery.exception()) is not None:
            # a defect: the worker ends with it, and the leases of what it had in hand end too
            self._failure = self._failure or failure
            self.stop()

    def _hold(self, taken: Sequence[Taken]) -> None:
        self.held.update((message.message_id, message) for message in taken)

    async def _deliver(self, part: Sequence[Taken]) -> None:
        started = time.perf_counter()
        settlements: Sequence[Settlement] = []
        try:
            settlements = await self._handler.deliver(part)
        except CredentialsRefused as refused:
            settlements = refused.settlements
            self._on_refused(refused)
        except asyncio.CancelledError:
            settlements = self._handler.interrupted(part)
            raise
        finally:
            self._slots.release()
            await asyncio.shield(self._settle(part, settlements, time.perf_counter() - started))

    async def _settle(self, part: Sequence[Taken], settlements: Sequence[Settlement], seconds: float) -> None:
        try:
            if settlements:
                self.counts["lost leases"] += await self._queue.settle(settlements)
        except QueueUnavailable as error:
            # nothing is lost: the leases end, and somebody delivers again
            self.counts["unsettled"] += len(settlements)
            self._tell(error)
        finally:
            for message in part:
                self.held.pop(message.message_id, None)
        self._count(settlements, seconds)

    def _count(self, settlements: Sequence[Settlement], seconds: float) -> None:
        kinds = Counter(_outcome(settlement) for settlement in settlements)
        for (word, outcome), number in kinds.items():
            self.counts[word] += number
            self._instruments.emit(OperationEvent(f"deliver_{self._name}", outcome, seconds, number))

    def _tell(self, error: QueueUnavailable) -> None:
        """Once an outage: the lane looks every second."""
        if not self._is_told:
            _log.warning("the queue cannot be used", extra={"fields": {"why": str(error)}})
        self._is_told = True

    async def _sleep(self, seconds: float) -> None:
        await self._until_stopped(asyncio.sleep(seconds))

    async def _until_stopped(self, waiting: Coroutine[Any, Any, None]) -> None:
        """Wait for something, but not past the word to stop."""
        waits: tuple[Coroutine[Any, Any, object], ...] = (waiting, self._stopping.wait())
        tasks: set[asyncio.Future[Any]] = {asyncio.ensure_future(each) for each in waits}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()


def _outcome(settlement: Settlement) -> tuple[str, Outcome]:
    if isinstance(settlement, Delivered):
        return "delivered", "accepted"
    if isinstance(settlement, Buried):
        return "dead letters", "rejected"
    return ("to be tried again" if settlement.counts else "given back"), "unanswered"
