"""How messages and their fates are written for the scripts."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from cio_pipelines.messaging.queue import texts
from cio_pipelines.messaging.queue.protocol import (
    QUEUES,
    Buried,
    Delivered,
    NewMessage,
    QueueName,
    Settlement,
)

_HEADER: Final = struct.Struct(">BdI")
"""Number of the queue, time of enqueuing (the client's clock), length of the line: the 13 bytes that the
scripts know."""

_NUMBERS: Final = {queue: number for number, queue in enumerate(QUEUES)}


class Value(NamedTuple):
    """What is kept of a message as it is."""

    queue: QueueName
    enqueued_at: float
    line: str
    body: bytes


def write_value(message: NewMessage, now: float) -> bytes:
    """Header, line in UTF-8, body."""
    line = message.order_key.encode()
    return _HEADER.pack(_NUMBERS[message.queue], now, len(line)) + line + message.body


def read_value(value: bytes) -> Value:
    """What `write_value` wrote; line and body are empty when only its header is given."""
    number, enqueued_at, length = _HEADER.unpack_from(value)
    end = _HEADER.size + length
    return Value(QUEUES[number], enqueued_at, value[_HEADER.size : end].decode(), value[end:])


def write_kind(message: NewMessage) -> str:
    """The queue, and what most messages lack, as put.lua reads it."""
    if message.idempotency_key is None and message.not_before is None and message.keep_seconds <= 0:
        return message.queue
    key, fingerprint = "", ""
    if message.idempotency_key:
        key, fingerprint = texts.hash_of(message.idempotency_key), texts.fingerprint_of(message)
    later = "" if message.not_before is None else repr(message.not_before)
    return f"{message.queue}|{message.keep_seconds!r}|{later}|{key}|{fingerprint}"


def write_fate(settlement: Settlement) -> str | bytes:
    """What became of a message, as settle.lua reads it."""
    if isinstance(settlement, Delivered):
        return "D" + settlement.result
    if isinstance(settlement, Buried):
        reason = settlement.failure.reason.encode()
        return b"B%d:%b%b" % (len(reason), reason, texts.write_failure(settlement.failure).encode())
    failure = texts.write_failure(settlement.failure) if settlement.failure else ""
    return f"{'R' if settlement.counts else 'U'}{settlement.at:.6f}|{failure}"
