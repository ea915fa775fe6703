"""Messages through the queue: kept before the caller goes on, delivered by a worker."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import orjson

from cio_pipelines.customerio import Audience, TransactionalMessage
from cio_pipelines.customerio.blocking import Blocking, blocking
from cio_pipelines.customerio.jsontext import json_ready
from cio_pipelines.messaging import entries
from cio_pipelines.messaging.entries import Attributes, person_line
from cio_pipelines.messaging.instruments import Instruments, Measured
from cio_pipelines.messaging.putting import Putter
from cio_pipelines.messaging.queue.protocol import (
    Depth,
    MessageStatus,
    NewMessage,
    Queue,
    QueueName,
    Receipt,
)

KEY_SECONDS = 86_400.0
"""How long an idempotency key is known after its message ended, when the caller does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a message is kept.

    With an `idempotency_key` it is kept once, whoever repeats the call. `not_before` holds it back until
    then, naive moments being UTC. For `keep_seconds` after it ended its state can be asked for, and its key
    is known; None is a day when there is a key, else not at all.
    """

    idempotency_key: str | None = None
    not_before: datetime | None = None
    keep_seconds: float | None = None


PLAIN = Options()


class QueuedMessagingService:
    """An async context manager around a queue that was not entered yet.

    Every `enqueue_…` returns when the message is durable. It raises InvalidOperation for what Customer.io
    would refuse, QueueFull when there was no room for `wait_seconds`, IdempotencyError for a key that stands
    for another message, and QueueUnavailable; then nothing was kept. Messages about one person are delivered
    in the order in which they were put. Transactional messages have an order of their own, so that a receipt
    does not wait for a profile.
    """

    def __init__(
        self, queue: Queue, *, wait_seconds: float = 0.0, instruments: Instruments | None = None
    ) -> None:
        self._queue = queue
        self._putter = Putter(queue, wait_seconds)
        self._instruments = instruments or Instruments()

    async def __aenter__(self) -> Self:
        await self._queue.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        value: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        await self._putter.close()
        await self._queue.__aexit__(kind, value, trace)

    async def enqueue_identify(
        self,
        person_id: str,
        attributes: Attributes,
        *,
        timestamp: datetime | int | None = None,
        options: Options = PLAIN,
    ) -> Receipt:
        """Set attributes of a person. `timestamp` (now) keeps it from overwriting what is newer."""
        with self._measured("identify"):
            body = entries.identify(person_id, attributes, timestamp).encode()
            said = ("identify", person_id, attributes, timestamp)
            return await self._put("identify", person_line(person_id), body, options, said)

    async def enqueue_track(
        self,
        person_id: str,
        name: str,
        attributes: Attributes | None = None,
        *,
        event_id: str | None = None,
        timestamp: datetime | int | None = None,
        options: Options = PLAIN,
    ) -> Receipt:
        """Something a person did, at `timestamp` (now). The event gets a ULID unless it has one."""
        with self._measured("track"):
            body = entries.track(person_id, name, attributes, event_id=event_id, timestamp=timestamp).encode()
            said = ("track", person_id, name, attributes, event_id, timestamp)
            return await self._put("track", person_line(person_id), body, options, said)

    async def enqueue_suppress(self, person_id: str, *, options: Options = PLAIN) -> Receipt:
        """Delete a person there and block the identifier: it destroys history."""
        with self._measured("suppress"):
            body = entries.suppress(person_id).encode()
            return await self._put("identify", person_line(person_id), body, options)

    async def enqueue_delete(self, person_id: str, *, options: Options = PLAIN) -> Receipt:
        """Delete a person there."""
        with self._measured("delete"):
            body = entries.delete(person_id).encode()
            return await self._put("identify", person_line(person_id), body, options)

    async def enqueue_transactional(
        self, message: TransactionalMessage, *, after_profile: bool = False, options: Options = PLAIN
    ) -> Receipt:
        """A message to one person; `after_profile`: not before what was put about that person earlier."""
        with self._measured("transactional"):
            body = entries.transactional_body(message)
            line = entries.transactional_line(message, after_profile=after_profile)
            return await self._put("transactional", line, body, options)

    async def enqueue_broadcast(
        self,
        broadcast_id: int,
        audience: Audience,
        data: Attributes | None = None,
        *,
        options: Options = PLAIN,
    ) -> Receipt:
        """Trigger a broadcast."""
        with self._measured("broadcast"):
            body = entries.broadcast_body(broadcast_id, audience, data)
            return await self._put("broadcast", f"broadcast:{broadcast_id}", body, options)

    async def enqueue_identifies(
        self, people: Iterable[tuple[str, Attributes]], *, timestamp: datetime | int | None = None
    ) -> list[Receipt]:
        """As enqueue_identify for many people, all or none of them."""
        with self._measured("identify") as measured:
            messages = [
                NewMessage("identify", person_line(who), entries.identify(who, said, timestamp).encode())
                for who, said in people
            ]
            measured.messages = len(messages)
            return await self._putter.put(messages)

    async def enqueue_tracks(
        self, events: Iterable[tuple[str, str, Attributes | None]], *, timestamp: datetime | int | None = None
    ) -> list[Receipt]:
        """As enqueue_track for many (person, name, attributes), all or none of them."""
        with self._measured("track") as measured:
            messages = [
                NewMessage(
                    "track", person_line(who), entries.track(who, name, said, timestamp=timestamp).encode()
                )
                for who, name, said in events
            ]
            measured.messages = len(messages)
            return await self._putter.put(messages)

    async def status(self, message_id: str) -> MessageStatus | None:
        """What is known of a message; None when nothing (any more)."""
        return await self._queue.status(message_id)

    async def depths(self) -> Mapping[QueueName, Depth]:
        """How much waits in every queue."""
        return await self._queue.depths()

    @contextmanager
    def _measured(self, name: str) -> Generator[Measured]:
        with self._instruments.measured(f"enqueue_{name}") as measured:
            measured.outcome = "queued"
            yield measured

    async def _put(
        self, queue: QueueName, line: str, body: bytes, options: Options, said: object = None
    ) -> Receipt:
        """Keep one message; `said` is what the caller said of it, where `body` holds more."""
        key, moment = options.idempotency_key, options.not_before
        keep = options.keep_seconds
        if keep is None:
            keep = KEY_SECONDS if key is not None else 0.0
        if moment is not None and moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        message = NewMessage(
            queue,
            line,
            body,
            key,
            moment.timestamp() if moment is not None else None,
            keep,
            _fingerprint(said, moment) if key is not None and said is not None else "",
        )
        [receipt] = await self._putter.put([message])
        return receipt


def _fingerprint(said: object, moment: datetime | None) -> str:
    text = orjson.dumps(json_ready([said, moment], "message"), option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()


class SyncQueuedMessagingService(Blocking[QueuedMessagingService]):
    """QueuedMessagingService, blocking: `with SyncQueuedMessagingService(QueuedMessagingService(…)) as …`."""

    enqueue_identify = blocking(QueuedMessagingService.enqueue_identify)
    enqueue_track = blocking(QueuedMessagingService.enqueue_track)
    enqueue_suppress = blocking(QueuedMessagingService.enqueue_suppress)
    enqueue_delete = blocking(QueuedMessagingService.enqueue_delete)
    enqueue_transactional = blocking(QueuedMessagingService.enqueue_transactional)
    enqueue_broadcast = blocking(QueuedMessagingService.enqueue_broadcast)
    enqueue_identifies = blocking(QueuedMessagingService.enqueue_identifies)
    enqueue_tracks = blocking(QueuedMessagingService.enqueue_tracks)
    status = blocking(QueuedMessagingService.status)
    depths = blocking(QueuedMessagingService.depths)
