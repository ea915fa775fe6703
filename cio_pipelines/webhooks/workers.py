"""Threads for work that blocks, which do not keep the process alive when the work never ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class Workers:
    """A bounded number of daemon threads.

    The executors of the standard library are waited for at the end of the process: one call that hangs, to a
    bucket that does not answer, would keep it from ending.

    Args:
        threads: at most so many; they are started when they are needed.
        name: of the threads.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._limit = threads
        self._name = name
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._unfinished = 0

    def submit(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Have a thread do the work. To be called in the event loop, which then knows what became of it."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        future.add_done_callback(self._finished)

        def job() -> None:
            settle: Callable[[Any], None]
            try:
                settle, outcome = future.set_result, work()
            except BaseException as error:  # noqa: BLE001  # whoever waits is told, whatever it is
                settle, outcome = future.set_exception, error
            with suppress(RuntimeError):  # the loop has ended meanwhile, and nobody waits
                loop.call_soon_threadsafe(_settle, future, settle, outcome)

        self._unfinished += 1
        if len(self._threads) < min(self._limit, self._unfinished):
            thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._threads.append(thread)
            thread.start()
        self._jobs.put(job)
        return future

    def close(self) -> None:
        """End the threads that have nothing to do; one that hangs ends with its work, or the process."""
        for _ in self._threads:
            self._jobs.put(None)
        self._threads.clear()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    def _finished(self, future: asyncio.Future[Any]) -> None:
        del future
        self._unfinished -= 1


def _settle(future: asyncio.Future[Any], settle: Callable[[Any], None], outcome: Any) -> None:
    if not future.done():
        settle(outcome)
