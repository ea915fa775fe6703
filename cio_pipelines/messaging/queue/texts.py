"""What both stores write the same way: message ids, fingerprints, histories of failures."""

from __future__ import annotations

import hashlib
import itertools
import os
import time
from collections.abc import Sequence
from typing import Final

import msgspec
from ulid import ULID

from cio_pipelines.messaging.queue.errors import IdempotencyError, QueueFull
from cio_pipelines.messaging.queue.protocol import Failure, NewMessage

LEASE_EXPIRED: Final = "lease_expired"
"""The reason of a failure whose worker never came back."""

FAILURES_BYTES: Final = 16_000
"""From about this size on the oldest failure of a message goes when one is added."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(tuple[float, str, str, str, int | None]).decode

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ENDINGS: Final = ["".join(pair) for pair in itertools.product(_CROCKFORD, repeat=2)]


def new_ids(count: int) -> list[str]:
    """ULIDs; those made at once share all but the end, and a thousand of them sort in their order.

    Not `ULID()`: within a millisecond it counts up, and what shares all but the end would come twice.
    """
    return [
        start + ending
        for first in range(0, count, len(_ENDINGS))
        for start in [str(ULID(int(time.time() * 1000).to_bytes(6) + os.urandom(10)))[:-2]]
        for ending in _ENDINGS[: count - first]
    ]


def hash_of(key: str) -> str:
    """An idempotency key as it is stored: it may name a person, and may be long."""
    return hashlib.sha256(key.encode()).hexdigest()


def fingerprint_of(message: NewMessage) -> str:
    """What a key stands for, as a hash."""
    if message.fingerprint:
        parts = [message.fingerprint.encode()]
    else:
        parts = [message.order_key.encode(), message.body, repr(message.not_before).encode()]
    digest = hashlib.sha256(message.queue.encode())
    for part in parts:
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.hexdigest()


def write_failure(failure: Failure) -> str:
    """One line of a history; a history is lines, oldest first."""
    entry = (failure.at, failure.reason, failure.field, failure.message, failure.status)
    return _encode(entry).decode() + "\n"


def expired(at: float) -> str:
    """The line for an attempt whose lease ended."""
    return write_failure(Failure(at, LEASE_EXPIRED))


def read_failures(lines: str | bytes) -> tuple[Failure, ...]:
    """What `write_failure` wrote."""
    text = lines.decode() if isinstance(lines, bytes) else lines
    # not splitlines, which knows other ends of lines that JSON leaves as they are
    return tuple(Failure(*_decode(line)) for line in text.split("\n") if line)


def key_was_used(position: int) -> IdempotencyError:
    """The key of the message at `position` came with another message before."""
    return IdempotencyError(
        f"The idempotency key of message {position} was used for another message; nothing was kept.",
        "Use a new key for a new message, and repeat a message unchanged.",
        position,
    )


def full(live: int, count: int, most: int) -> QueueFull:
    """`live` messages of `most` wait, and `count` more were to be kept."""
    return QueueFull(
        f"The queue holds {live} of at most {most} messages: {count} more were not kept.",
        "Put them again later; start more workers (cio worker), or raise CIO_QUEUE_MAX_MESSAGES.",
    )


def first_uses(hashes: Sequence[str | None]) -> list[int]:
    """For each message the position of the first one with its key among those given: itself, mostly."""
    seen: dict[str, int] = {}
    return [
        position if key is None else seen.setdefault(key, position) for position, key in enumerate(hashes)
    ]
