"""The queue in production: Redis, or a server that speaks as it does, for the processes of many machines.

Every change is one script on the server, by the server's clock. What is durable when is the server's setting
(`durability` tells). All keys have one hash tag, so that a cluster keeps a queue in one slot.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from typing import Any, Final, Self, cast

from cio_pipelines.messaging.queue import redis_letters, texts
from cio_pipelines.messaging.queue.errors import QueueError, QueueUnavailable, QueueVersionError
from cio_pipelines.messaging.queue.protocol import (
    QUEUES,
    Buried,
    Delivered,
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
from cio_pipelines.messaging.queue.redis_wire import line_hash, read_value, write_value

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
            await _check_version(client)
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
        ids = texts.new_ids(len(messages))
        arguments: list[str | bytes | float] = [ids[0], self._max_messages]
        for message_id, message in zip(ids, messages, strict=True):
            arguments += (
                message_id,
                message.queue,
                line_hash(message.order_key),
                write_value(message.order_key, message.body),
                _extra(message),
            )
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
        until, found = await self._client.run(
            _TAKE, lease, last, queue, limit, lease_seconds, patience=_PATIENCE
        )
        # what the server keeps to give this answer again it may forget at the next take
        self._last_takes[queue] = lease
        end = float(until)
        answer: list[Taken] = []
        for n in range(0, len(found), 4):
            message_id, value, enqueued_at, attempt = found[n : n + 4]
            line, body = read_value(value)
            answer.append(
                Taken(message_id.decode(), queue, line, body, int(attempt), float(enqueued_at), lease, end)
            )
        return answer

    async def settle(self, settlements: Sequence[Settlement]) -> int:
        """See Queue.settle."""
        if not settlements:
            return 0
        arguments: list[str | bytes | float] = [secrets.token_hex(8)]
        for settlement in settlements:
            arguments += (settlement.taken.message_id, settlement.taken.lease, *_fate(settlement))
        return await self._client.run(_SETTLE, *arguments, patience=_SETTLE_PATIENCE)

    async def extend(self, taken: Sequence[Taken], lease_seconds: float) -> int:
        """See Queue.extend."""
        if not taken:
            return 0
        leases = [word for one in taken for word in (one.message_id, one.lease, one.queue)]
        return await self._client.run(_EXTEND, lease_seconds, *leases, patience=_SETTLE_PATIENCE)

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
        queue, state, attempts, enqueued_at, not_before, result, failures = (text.decode() for text in fields)
        return MessageStatus(
            message_id,
            cast("QueueName", queue),
            cast("State", state),
            int(attempts),
            float(enqueued_at),
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
            waiting = int(live) - delayed - in_flight
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

    @property
    def _client(self) -> RedisClient:
        if self._open is None:
            raise QueueUnavailable("The queue is not open.", "Use it inside `async with`.")
        return self._open


async def _check_version(client: RedisClient) -> None:
    version = await client.version(VERSION, _PATIENCE)
    if version != VERSION:
        raise QueueVersionError(
            f"The queue in Redis at {client.where} has layout {version}; this release knows {VERSION}.",
            "Use the release that wrote it, or another database of the server (the number in QUEUE_URL).",
        )


def _extra(message: NewMessage) -> str:
    """What most messages lack, as put.lua reads it."""
    if message.idempotency_key is None and message.not_before is None and message.keep_seconds <= 0:
        return ""
    key, fingerprint = "", ""
    if message.idempotency_key:
        key, fingerprint = texts.hash_of(message.idempotency_key), texts.fingerprint_of(message)
    later = "" if message.not_before is None else repr(message.not_before)
    return f"{message.keep_seconds!r}|{later}|{key}|{fingerprint}"


def _fate(settlement: Settlement) -> tuple[str, str | float, str]:
    """Kind and details, as settle.lua reads them."""
    if isinstance(settlement, Delivered):
        return "D", settlement.result, ""
    if isinstance(settlement, Buried):
        return "B", settlement.failure.reason, texts.write_failure(settlement.failure)
    failure = texts.write_failure(settlement.failure) if settlement.failure else ""
    return "R" if settlement.counts else "U", settlement.at, failure
