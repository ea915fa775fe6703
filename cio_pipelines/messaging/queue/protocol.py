"""What a queue promises, whichever store it is.

A message belongs to a `queue` (its kind of work) and to a line, its `order_key`: messages of one line are
handed out one after another in the order they were put, across queues too. A message is handed out again only
when its lease has ended, so that it is delivered at least once; the next one of its line waits until it is
settled. Lines never wait for each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

QueueName = Literal["identify", "track", "transactional", "broadcast"]
QUEUES: tuple[QueueName, ...] = ("identify", "track", "transactional", "broadcast")

State = Literal["waiting", "in_flight", "delivered", "dead"]


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to keep. `body` is what is sent, in the form its queue's handler reads.

    `not_before` (unix seconds) holds it back without holding back its line, whose end it joins then. With an
    `idempotency_key` the same message is kept once: the key, and the message's state, are remembered for
    `keep_seconds` after it was delivered, or while it is a dead letter. With `keep_seconds` 0 nothing is
    remembered of a delivered message.
    `fingerprint` tells whether a key came again with the same message; empty, it is made of queue, line, body
    and `not_before`. It is given where `body` holds what the caller did not say (the time, an event's id).
    """

    queue: QueueName
    order_key: str = field(repr=False)
    body: bytes = field(repr=False)
    idempotency_key: str | None = field(default=None, repr=False)
    not_before: float | None = None
    keep_seconds: float = 0.0
    fingerprint: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Receipt:
    """`message_id` is a ULID; `is_duplicate` when the key was known and this is the earlier message's."""

    message_id: str
    is_duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Taken:
    """A message in somebody's hands until `lease_until` (unix seconds).

    `attempt` is 1 for the first try. `lease` proves the lease: a settlement with an older one is ignored.
    """

    message_id: str
    queue: QueueName
    order_key: str = field(repr=False)
    body: bytes = field(repr=False)
    attempt: int
    enqueued_at: float
    lease: str
    lease_until: float


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed; scrubbed of personal data. `at` is unix seconds, `status` the HTTP status."""

    at: float
    reason: str
    field: str = ""
    message: str = ""
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """Customer.io took it. `result` (a delivery id, say) is kept for as long as the message's state."""

    taken: Taken
    result: str = ""


@dataclass(frozen=True, slots=True)
class Retried:
    """To be tried again not before `at` (unix seconds); its line waits. `failure` is one more in its history.

    With `counts` false the attempt did not count: it was given back, or the fault was not the message's.
    """

    taken: Taken
    at: float
    failure: Failure | None = None
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Buried:
    """Given up: a dead letter from now on; its line goes on."""

    taken: Taken
    failure: Failure


Settlement = Delivered | Retried | Buried


@dataclass(frozen=True, slots=True)
class MessageStatus:
    """What became of a message. `failures` are those of its attempts so far, oldest first, about the newest
    16 kB of them. A message whose lease ended is "waiting" until it is taken again."""

    message_id: str
    queue: QueueName
    state: State
    attempts: int
    enqueued_at: float
    not_before: float | None = None
    result: str = ""
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True, slots=True)
class QueuedLetter:
    """A dead letter of the queue. `order_key` and `body` are personal data: shown on demand only."""

    message_id: str
    queue: QueueName
    order_key: str = field(repr=False)
    body: bytes = field(repr=False)
    enqueued_at: float
    died_at: float
    failures: tuple[Failure, ...]


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which dead letters are meant; None is any. `before` and `after` are of `died_at`, unix seconds."""

    queue: QueueName | None = None
    reason: str | None = None
    message_ids: tuple[str, ...] | None = None
    order_key: str | None = field(default=None, repr=False)
    before: float | None = None
    after: float | None = None


@dataclass(frozen=True, slots=True)
class Depth:
    """Of one queue: numbers of messages, and seconds that the oldest one that could go has waited."""

    waiting: int = 0
    delayed: int = 0
    in_flight: int = 0
    dead: int = 0
    oldest_seconds: float = 0.0
    oldest_dead_seconds: float = 0.0


class Queue(Protocol):
    """An async context manager. Every method raises QueueUnavailable when the store cannot be used."""

    async def __aenter__(self) -> Queue: ...

    async def __aexit__(self, *error: object) -> None: ...

    async def put(self, messages: Sequence[NewMessage]) -> list[Receipt]:
        """Keep messages, all or none, durable when this returns; after QueueUnavailable perhaps.

        Raises QueueFull when they would be more than the bound, IdempotencyError for a key that was used for
        another message (another queue, line, body or time).
        """
        ...

    async def take(self, queue: QueueName, limit: int, lease_seconds: float) -> list[Taken]:
        """Up to `limit` messages of different lines that may go now, the longest waiting first; [] if none.

        Messages whose lease has ended are among them, with the attempt counted.
        """
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> int:
        """Record what became of taken messages; returns how many leases were no longer held (ignored)."""
        ...

    async def extend(self, taken: Sequence[Taken], lease_seconds: float) -> int:
        """Hold on to messages; returns how many leases were no longer held."""
        ...

    async def wait(self, queue: QueueName, seconds: float) -> None:
        """Return when something of `queue` may be there to take, at the latest after `seconds`."""
        ...

    async def status(self, message_id: str) -> MessageStatus | None:
        """What is known of a message; None when nothing (any more)."""
        ...

    async def depths(self) -> Mapping[QueueName, Depth]:
        """Of every queue."""
        ...

    async def letters(self, wanted: LetterFilter, limit: int = 50) -> list[QueuedLetter]:
        """Dead letters, the newest first."""
        ...

    async def replay(self, wanted: LetterFilter) -> int:
        """Put dead letters back at the end of their lines, with all attempts before them; returns how many.

        They keep their message ids, so that a second replay finds nothing to do. The bound does not hold them
        up.
        """
        ...

    async def durability(self) -> str:
        """What would be left of kept messages after a crash, in words."""
        ...

    async def purge(self, wanted: LetterFilter) -> int:
        """Forget dead letters for good; returns how many."""
        ...
