"""The queue in production: Redis, or a server that speaks as it does, for the processes of many machines.

Every change is one script on the server, by the server's clock. What is durable when is the server's setting
(`durability` tells). All keys have one hash tag, so that a cluster keeps a queue in one slot.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final, Self, cast

from cio_pipelines.messaging.queue import redis_letters, texts
from cio_pipelines.messaging.queue.errors import QueueError, QueueUnavailable, QueueVersionError
from cio_pipelines.messaging.queue.protocol import (
    QUEUES,
    Depth,
    LetterFilter,
    MessageStatus,
    NewMessage,
    QueuedLetter,
    QueueName,
    Receipt,
    Settlement,
    State,
    Taken,
)
from cio_pipelines.messaging.queue.redis_client import RedisClient, Script
from cio_pipelines.messaging.queue.redis_wire import read_value, write_fate, write_kind, write_value

VERSION: Final = "1"
PREFIX: Final = "cio"
MOST_AT_ONCE: Final = 100_000
"""Messages of one put: more would hold up everybody else for about a second."""

_POLL_SECONDS: Final = 0.04
_PATIENCE: Final = 5.0
"""How long a server that is away is waited for, seconds."""
_SETTLE_PATIENCE: Final = 20.0
"""Longer where what was done would be done again."""

_PUT, _TAKE, _SETTLE, _EXTEND = Script("put"), Script("take"), Script("settle"), Script("extend")
_MAY_TAKE, _STATUS, _DEPTHS = Script("may_take"), Script("status"), Script("depths")


class RedisQueue:
    """See Queue. It connects on entering."""

    def __init__(self, url: str, *, max_messages: int, prefix: str = PREFIX) -> None:
        """Raises QueueError for a URL that cannot be read."""
        self._url = url
        self._prefix = prefix
        self._max_messages = max_messages
        self._where = RedisClient(url, prefix).where
        self._open: RedisClient | None = None
        self._last_takes: dict[QueueName, str] = {}

    def __repr__(self) -> str:
        return f"RedisQueue({self._where!r})"

    async def __aenter__(self) -> Self:
        client = RedisClient(self._url, self._prefix)
        try:
            await _check(client)
        except BaseException:
            await client.close()
            raise
        self._open = client
        return self

    async def __aexit__(self, *error: object) -> None:
        client, self._open = self._open, None
        if client is not None:
            await client.close()

    async def put(self, messages: Sequence[NewMessage]) -> list[Receipt]:
        """See Queue.put. Raises QueueError for more than MOST_AT_ONCE messages."""
        if not messages:
            return []
        if len(messages) > MOST_AT_ONCE:
            raise QueueError(
                f"{len(messages)} messages are more than may be kept at once.",
                f"Put at most {MOST_AT_ONCE} at a time; thousands are as fast.",
            )
        now = time.time()
        ids = texts.new_ids(len(messages))
        arguments: list[str | bytes | float] = [ids[0], self._max_messages]
        for message_id, message in zip(ids, messages, strict=True):
            arguments += (message_id, write_kind(message), message.order_key, write_value(message, now))
        kind, *details = await self._client.run(_PUT, *arguments, patience=_PATIENCE)
        if kind == b"used":
            raise texts.key_was_used(details[0])
        if kind == b"full":
            live, new = details
            raise texts.full(live, new, self._max_messages)
        return [
            Receipt(earlier.decode(), is_duplicate=True) if earlier else Receipt(message_id)
            for message_id, earlier in zip(ids, cast("list[bytes]", details[0]), strict=True)
        ]

    async def take(self, queue: QueueName, limit: int, lease_seconds: float) -> list[Taken]:
        """See Queue.take."""
        lease = secrets.token_hex(8)
        last = self._last_takes.pop(queue, "")
        until, *found = await self._client.run(
            _TAKE, lease, last, queue, limit, lease_seconds, patience=_PATIENCE
        )
        # what the server keeps to give this answer again it may forget at the next take
        self._last_takes[queue] = lease
        end = float(until)
        answer: list[Taken] = []
        for message_id, value, attempt in zip(*found, strict=True):
            _, enqueued_at, line, body = read_value(value)
            answer.append(Taken(message_id.decode(), queue, line, body, attempt, enqueued_at, lease, end))
        return answer

    async def settle(self, settlements: Sequence[Settlement]) -> int:
        """See Queue.settle."""
        by_queue: defaultdict[QueueName, list[str | bytes | float]] = defaultdict(list)
        for settlement in settlements:
            taken = settlement.taken
            by_queue[taken.queue] += (
                taken.message_id,
                taken.lease,
                taken.order_key,
                write_fate(settlement),
            )
        lost = 0
        for queue, some in by_queue.items():
            lost += await self._client.run(
                _SETTLE, secrets.token_hex(8), queue, *some, patience=_SETTLE_PATIENCE
            )
        return lost

    async def extend(self, taken: Sequence[Taken], lease_seconds: float) -> int:
        """See Queue.extend."""
        by_queue: defaultdict[QueueName, list[str]] = defaultdict(list)
        for one in taken:
            by_queue[one.queue] += (one.message_id, one.lease)
        lost = 0
        for queue, some in by_queue.items():
            lost += await self._client.run(_EXTEND, lease_seconds, queue, *some, patience=_SETTLE_PATIENCE)
        return lost

    async def wait(self, queue: QueueName, seconds: float) -> None:
        """See Queue.wait. Time makes messages takeable too, so that the server is asked now and then."""
        end = time.monotonic() + seconds
        while not await self._client.run(_MAY_TAKE, queue, patience=_PATIENCE):
            rest = end - time.monotonic()
            if rest <= 0:
                return
            await asyncio.sleep(min(rest, _POLL_SECONDS))

    async def status(self, message_id: str) -> MessageStatus | None:
        """See Queue.status."""
        fields: list[bytes] = await self._client.run(_STATUS, message_id, patience=_PATIENCE)
        if not fields:
            return None
        header, *rest = fields
        state, attempts, not_before, result, failures = (text.decode() for text in rest)
        queue, enqueued_at, _, _ = read_value(header)
        return MessageStatus(
            message_id,
            queue,
            cast("State", state),
            int(attempts),
            enqueued_at,
            float(not_before) if not_before else None,
            result,
            texts.read_failures(failures),
        )

    async def depths(self) -> dict[QueueName, Depth]:
        """See Queue.depths."""
        numbers: list[Any] = await self._client.run(_DEPTHS, patience=_PATIENCE)
        answer: dict[QueueName, Depth] = {}
        for n, queue in enumerate(QUEUES):
            live, delayed, in_flight, dead, oldest, oldest_dead = numbers[6 * n : 6 * n + 6]
            waiting = live - delayed - in_flight
            answer[queue] = Depth(waiting, delayed, in_flight, dead, float(oldest), float(oldest_dead))
        return answer

    async def letters(self, wanted: LetterFilter, limit: int = 50) -> list[QueuedLetter]:
        """See Queue.letters."""
        return await redis_letters.letters(self._client, wanted, limit)

    async def replay(self, wanted: LetterFilter) -> int:
        """See Queue.replay. The bound on messages does not hold it up."""
        return await redis_letters.change(self._client, redis_letters.REPLAY, wanted)

    async def purge(self, wanted: LetterFilter) -> int:
        """See Queue.purge."""
        return await redis_letters.change(self._client, redis_letters.PURGE, wanted)

    async def durability(self) -> str:
        """See Queue.durability."""
        appends = await self._client.setting("appendonly", _PATIENCE)
        syncs = await self._client.setting("appendfsync", _PATIENCE)
        if not appends:
            return "unknown: the server does not tell its settings"
        if appends != "yes":
            return "none: there is no append-only file, and a restart of the server loses messages"
        if syncs == "always":
            return "every message is on the disk when it is acknowledged (append-only file, synced)"
        if syncs == "everysec":
            return "a crash of the server's machine loses up to a second (appendfsync everysec)"
        return f"a crash of the server's machine loses what it had not written yet (appendfsync {syncs})"

    @property
    def _client(self) -> RedisClient:
        if self._open is None:
            raise QueueUnavailable("The queue is not open.", "Use it inside `async with`.")
        return self._open


async def _check(client: RedisClient) -> None:
    if (await client.setting("maxmemory-policy", _PATIENCE)).startswith("allkeys"):
        raise QueueUnavailable(
            f"Redis at {client.where} drops messages when its memory is full (maxmemory-policy).",
            "Set maxmemory-policy noeviction, or use a server that is no cache.",
        )
    version = await client.version(VERSION, _PATIENCE)
    if version != VERSION:
        raise QueueVersionError(
            f"The queue in Redis at {client.where} has layout {version}; this release knows {VERSION}.",
            "Use the release that wrote it, or another database of the server (the number in QUEUE_URL).",
        )
