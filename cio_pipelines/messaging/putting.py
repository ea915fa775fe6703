"""Many callers, few writes: messages that are put at the same time are kept by one write of the queue."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cio_pipelines.messaging.queue.errors import IdempotencyError, QueueError, QueueFull
from cio_pipelines.messaging.queue.protocol import NewMessage, Queue, Receipt

_MOST_AT_ONCE: Final = 1_000
_POLL_SECONDS = 0.1


@dataclass(slots=True)
class _Put:
    messages: Sequence[NewMessage]
    done: asyncio.Future[list[Receipt]]


class Putter:
    """Puts messages for many callers of one event loop. A call's messages are kept all or none.

    While one write is on its way the next is gathered, so that no caller waits for a timer. `wait_seconds` is
    how long a caller waits for room in a full queue.
    """

    def __init__(self, queue: Queue, wait_seconds: float = 0.0) -> None:
        self._queue = queue
        self._wait_seconds = wait_seconds
        self._waiting: deque[_Put] = deque()
        self._writing: asyncio.Task[None] | None = None

    async def put(self, messages: Sequence[NewMessage]) -> list[Receipt]:
        """As Queue.put, which see, but waits for room first."""
        loop = asyncio.get_running_loop()
        latest = loop.time() + self._wait_seconds
        while True:
            put = _Put(messages, loop.create_future())
            put.done.add_done_callback(_seen)
            self._waiting.append(put)
            if self._writing is None:
                self._writing = loop.create_task(self._write())
            try:
                # a caller who is cancelled does not undo what others put
                return await asyncio.shield(put.done)
            except QueueFull:
                if loop.time() + _POLL_SECONDS > latest:
                    raise
            await asyncio.sleep(_POLL_SECONDS)

    async def close(self) -> None:
        """Wait until everything that was given is kept or refused."""
        while self._writing is not None:
            await asyncio.wait([self._writing])

    async def _write(self) -> None:
        try:
            while self._waiting:
                group = self._gather()
                try:
                    await self._keep(group)
                except BaseException as error:
                    self._fail(group, error)
                    # its callers have it: raised again, asyncio would log its text, and others would wait
                    if not isinstance(error, Exception):
                        raise
        finally:
            self._writing = None

    def _gather(self) -> list[_Put]:
        group = [self._waiting.popleft()]
        count = len(group[0].messages)
        while self._waiting and count + len(self._waiting[0].messages) <= _MOST_AT_ONCE:
            group.append(self._waiting.popleft())
            count += len(group[-1].messages)
        return group

    async def _keep(self, group: list[_Put]) -> None:
        """Keep the messages of all; when that is refused, of each by themselves."""
        try:
            receipts = await self._queue.put([message for put in group for message in put.messages])
        except (QueueFull, IdempotencyError) as error:
            if len(group) == 1:
                self._fail(group, error)
                return
            for put in group:
                await self._keep([put])
        except QueueError as error:
            self._fail(group, error)
        else:
            start = 0
            for put in group:
                stop = start + len(put.messages)
                if not put.done.done():
                    put.done.set_result(receipts[start:stop])
                start = stop

    @staticmethod
    def _fail(group: list[_Put], error: BaseException) -> None:
        for put in group:
            if not put.done.done():
                put.done.set_exception(error if isinstance(error, Exception) else asyncio.CancelledError())


def _seen(done: asyncio.Future[list[Receipt]]) -> None:
    """An error whose caller was cancelled is no news to anybody."""
    if not done.cancelled():
        done.exception()
