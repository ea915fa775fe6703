"""Dead letters of every kind in one place: of the syncs, kept in the warehouse, and of the message queue."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

from cio_pipelines.messaging.opened import opened
from cio_pipelines.messaging.queue.protocol import (
    Depth,
    LetterFilter,
    Queue,
    QueuedLetter,
    QueueName,
)
from cio_pipelines.messaging_setup import message_queue
from cio_pipelines.settings import Settings
from cio_pipelines.sync import letters as synced
from cio_pipelines.sync.base import BaseSync
from cio_pipelines.warehouse import Warehouse

_T = TypeVar("_T")

Origin = Literal["people", "events", "queue"]
ORIGINS: tuple[Origin, ...] = ("people", "events", "queue")
_MOST = 1_000
"""Letters of the queue that are looked at to tell their reasons."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter, whoever gave it up. `id` is unique in its origin; nothing of a payload is here."""

    origin: Origin
    id: str
    operation: str
    kind: str
    attempts: int
    field: str
    reason: str
    message: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters are meant; what is left out is any. They were given up in [`after`, `before`).

    `queue` leaves out the syncs, which have none.
    """

    ids: tuple[str, ...] = ()
    origins: tuple[Origin, ...] = ORIGINS
    queue: QueueName | None = None
    reason: str | None = None
    after: datetime | None = None
    before: datetime | None = None

    @property
    def of_syncs(self) -> synced.LetterFilter:
        return synced.LetterFilter(self.reason, self.after, self.before)

    @property
    def of_queue(self) -> LetterFilter:
        return LetterFilter(
            queue=self.queue,
            reason=self.reason,
            message_ids=self.ids or None,
            before=self.before.timestamp() if self.before else None,
            after=self.after.timestamp() if self.after else None,
        )

    def asks(self, origin: Origin) -> bool:
        """Whether letters of that origin are meant."""
        return origin in self.origins and (origin == "queue" or self.queue is None)


@dataclass(frozen=True, slots=True)
class Heap:
    """Letters of one origin that say the same."""

    origin: Origin
    kind: str
    field: str
    reason: str
    letters: int
    oldest: datetime


@dataclass(frozen=True, slots=True)
class Census:
    """All dead letters by what is wrong, and how much waits in the queues.

    Of the queue's letters the newest thousand tell their reasons; the rest are counted in one heap.
    """

    heaps: tuple[Heap, ...]
    depths: dict[QueueName, Depth]

    @property
    def letters(self) -> int:
        return sum(heap.letters for heap in self.heaps)


def find(settings: Settings, wanted: Wanted, limit: int) -> list[Letter]:
    """At most `limit` of them, the newest first. Raises what the stores raise."""
    found: list[Letter] = []
    for origin, sync in _syncs(settings, wanted):
        letters = sync.letters(None if wanted.ids else limit, wanted=wanted.of_syncs)
        found += [each for letter in letters if _is_wanted(each := _of_sync(origin, letter), wanted)]
    if wanted.asks("queue"):
        kept = _ask_queue(settings, lambda queue: queue.letters(wanted.of_queue, limit))
        found += [_of_queue(letter) for letter in kept]
    return sorted(found, key=lambda letter: letter.since, reverse=True)[:limit]


def replay(settings: Settings, wanted: Wanted) -> dict[Origin, int]:
    """Give them another chance; how many there were, by origin. Twice does no harm."""
    replayed: dict[Origin, int] = {
        origin: sync.replay(wanted.ids or None, wanted=wanted.of_syncs)
        for origin, sync in _syncs(settings, wanted)
    }
    if wanted.asks("queue"):
        replayed["queue"] = _ask_queue(settings, lambda queue: queue.replay(wanted.of_queue))
    return replayed


def purge(settings: Settings, wanted: Wanted) -> int:
    """Forget letters of the queue for good; returns how many."""
    return _ask_queue(settings, lambda queue: queue.purge(wanted.of_queue))


def show(settings: Settings, message_id: str) -> QueuedLetter | None:
    """One letter of the queue, with what it holds."""
    wanted = LetterFilter(message_ids=(message_id,))
    found = _ask_queue(settings, lambda queue: queue.letters(wanted, 1))
    return found[0] if found else None


def census(settings: Settings, warehouse: Warehouse | None = None) -> Census:
    """What there is, of every origin; of the syncs in the warehouse given, or that of the settings."""

    async def ask(queue: Queue) -> tuple[dict[QueueName, Depth], list[QueuedLetter]]:
        return dict(await queue.depths()), await queue.letters(LetterFilter(), _MOST)

    heaps = [
        Heap(origin, count.kind, count.field, count.reason, count.letters, count.oldest)
        for origin, sync in _syncs(settings, Wanted(), warehouse)
        for count in sync.letter_counts()
    ]
    depths, newest = _ask_queue(settings, ask)
    return Census((*heaps, *_heaps(newest, sum(depth.dead for depth in depths.values()))), depths)


def _heaps(newest: Sequence[QueuedLetter], dead: int) -> Iterator[Heap]:
    letters = [_of_queue(letter) for letter in newest]
    counts = Counter((letter.kind, letter.field, letter.reason) for letter in letters)
    for (kind, field, reason), number in counts.most_common():
        oldest = min(
            letter.since
            for letter in letters
            if (letter.kind, letter.field, letter.reason) == (kind, field, reason)
        )
        yield Heap("queue", kind, field, reason, number, oldest)
    if dead > len(letters):
        yield Heap("queue", "older", "", "", dead - len(letters), min(letter.since for letter in letters))


def _syncs(
    settings: Settings, wanted: Wanted, warehouse: Warehouse | None = None
) -> Iterator[tuple[Origin, BaseSync]]:
    if wanted.asks("people"):
        yield "people", settings.people_sync(warehouse)
    if wanted.asks("events"):
        yield "events", settings.event_sync(warehouse)


def _ask_queue(settings: Settings, ask: Callable[[Queue], Awaitable[_T]]) -> _T:
    async def asked() -> _T:
        async with message_queue(settings) as queue:
            return await ask(queue)

    return asyncio.run(asked())


def _is_wanted(letter: Letter, wanted: Wanted) -> bool:
    return not wanted.ids or letter.id in wanted.ids


def _of_sync(origin: Origin, letter: synced.DeadLetter) -> Letter:
    return Letter(
        origin,
        letter.event_id or letter.person_id,
        letter.operation,
        letter.kind,
        letter.attempts,
        letter.field,
        letter.reason,
        letter.message,
        letter.since if letter.since.tzinfo else letter.since.replace(tzinfo=UTC),
    )


def _of_queue(letter: QueuedLetter) -> Letter:
    last = letter.failures[-1]
    return Letter(
        "queue",
        letter.message_id,
        opened(letter).operation,
        letter.queue,
        len(letter.failures),
        last.field,
        last.reason,
        last.message,
        datetime.fromtimestamp(letter.died_at, UTC),
    )


def failures_of(letter: QueuedLetter) -> list[dict[str, Any]]:
    """The history of a letter's attempts, oldest first."""
    return [
        {
            "at": datetime.fromtimestamp(failure.at, UTC).isoformat(timespec="seconds"),
            "reason": failure.reason,
            "status": failure.status,
            "field": failure.field,
            "message": failure.message,
        }
        for failure in letter.failures
    ]
