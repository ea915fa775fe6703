"""The embedded queue: one SQLite file, for the processes of one machine.

A write is on the disk when it returns (write-ahead log, `synchronous = full`), so that nothing that was
acknowledged is lost when the process is killed or the machine loses its power. Times are the machine's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Self, TypeVar

from cio_pipelines.messaging.queue.errors import QueueUnavailable
from cio_pipelines.messaging.queue.protocol import (
    Depth,
    LetterFilter,
    MessageStatus,
    NewMessage,
    QueuedLetter,
    QueueName,
    Receipt,
    Settlement,
    Taken,
)
from cio_pipelines.messaging.queue.sqlite_store import SqliteStore

_POLL_SECONDS: Final = 0.04
_LETTERS_AT_ONCE: Final = 500
"""So that a write of many letters lets others write in between."""

T = TypeVar("T")


class SqliteQueue:
    """See Queue. The file is opened on entering, and made when it is not there.

    A thread of the queue's own does the work, so that the event loop never waits for the disk.
    """

    def __init__(self, path: Path, *, max_messages: int) -> None:
        self._path = path
        self._max_messages = max_messages
        self._thread: ThreadPoolExecutor | None = None
        self._store: SqliteStore | None = None

    def __repr__(self) -> str:
        return f"SqliteQueue({str(self._path)!r})"

    async def __aenter__(self) -> Self:
        thread = ThreadPoolExecutor(1, thread_name_prefix="queue")
        try:
            self._store = await asyncio.get_running_loop().run_in_executor(
                thread, SqliteStore, self._path, self._max_messages
            )
        except BaseException:
            thread.shutdown(wait=False)
            raise
        self._thread = thread
        return self

    async def __aexit__(self, *error: object) -> None:
        thread, store = self._thread, self._store
        self._thread = self._store = None
        if thread is not None and store is not None:
            # after what was asked for already
            thread.submit(store.close)
            await asyncio.to_thread(thread.shutdown)

    async def put(self, messages: Sequence[NewMessage]) -> list[Receipt]:
        """See Queue.put."""
        return await self._do(lambda store: store.put(messages)) if messages else []

    async def take(self, queue: QueueName, limit: int, lease_seconds: float) -> list[Taken]:
        """See Queue.take."""
        return await self._do(lambda store: store.take(queue, limit, lease_seconds))

    async def settle(self, settlements: Sequence[Settlement]) -> int:
        """See Queue.settle."""
        return await self._do(lambda store: store.settle(settlements)) if settlements else 0

    async def extend(self, taken: Sequence[Taken], lease_seconds: float) -> int:
        """See Queue.extend."""
        return await self._do(lambda store: store.extend(taken, lease_seconds)) if taken else 0

    async def wait(self, queue: QueueName, seconds: float) -> None:
        """See Queue.wait. Other processes put too, so that the file is looked at now and then."""
        end = time.monotonic() + seconds
        while not await self._do(lambda store: store.may_take(queue)):
            rest = end - time.monotonic()
            if rest <= 0:
                return
            await asyncio.sleep(min(rest, _POLL_SECONDS))

    async def status(self, message_id: str) -> MessageStatus | None:
        """See Queue.status."""
        return await self._do(lambda store: store.status(message_id))

    async def depths(self) -> dict[QueueName, Depth]:
        """See Queue.depths."""
        return await self._do(lambda store: store.depths())

    async def letters(self, wanted: LetterFilter, limit: int = 50) -> list[QueuedLetter]:
        """See Queue.letters."""
        return await self._do(lambda store: store.letters(wanted, limit))

    async def replay(self, wanted: LetterFilter) -> int:
        """See Queue.replay. The bound on messages does not hold it up."""
        before = time.time()  # what dies again meanwhile is not meant
        return await self._in_portions(lambda store: store.replay(wanted, _LETTERS_AT_ONCE, before))

    async def purge(self, wanted: LetterFilter) -> int:
        """See Queue.purge."""
        return await self._in_portions(lambda store: store.purge(wanted, _LETTERS_AT_ONCE))

    async def durability(self) -> str:
        """See Queue.durability."""
        return "every message is on the disk when it is acknowledged (write-ahead log, synced)"

    async def _in_portions(self, portion: Callable[[SqliteStore], int]) -> int:
        count = 0
        while done := await self._do(portion):
            count += done
        return count

    async def _do(self, operation: Callable[[SqliteStore], T]) -> T:
        thread, store = self._thread, self._store
        if thread is None or store is None:
            raise QueueUnavailable("The queue is not open.", "Use it inside `async with`.")
        return await asyncio.get_running_loop().run_in_executor(thread, operation, store)
