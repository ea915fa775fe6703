"""Dead letters in Redis."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Final

from cio_pipelines.messaging.queue import texts
from cio_pipelines.messaging.queue.protocol import QUEUES, LetterFilter, QueuedLetter, QueueName
from cio_pipelines.messaging.queue.redis_client import RedisClient, Script
from cio_pipelines.messaging.queue.redis_wire import read_value

REPLAY: Final = Script("replay")
PURGE: Final = Script("purge")
_FIND, _LETTERS = Script("find_letters"), Script("letters")

_PATIENCE: Final = 5.0
_PORTION: Final = 500
"""Letters that one script looks at or changes: everybody else waits for it."""


async def letters(client: RedisClient, wanted: LetterFilter, limit: int) -> list[QueuedLetter]:
    """See Queue.letters."""
    if wanted.message_ids is not None:
        dead = _read(client, wanted.message_ids)
        found = [letter async for letter in dead if _is_meant(letter, wanted)]
    else:
        ids: list[str] = []
        for queue in _queues(wanted):
            async with aclosing(_find(client, wanted, queue, newest_first=True)) as some:
                count = 0
                async for message_id, _ in some:
                    if count == limit:
                        break
                    ids.append(message_id)
                    count += 1
        found = [letter async for letter in _read(client, ids)]
    by_id = {letter.message_id: letter for letter in found}
    newest = sorted(by_id.values(), key=lambda letter: (letter.died_at, letter.message_id), reverse=True)
    return newest[:limit]


async def change(client: RedisClient, script: Script, wanted: LetterFilter) -> int:
    """Replay or purge those that are meant and dead by now, the oldest first; how many they were."""
    if wanted.message_ids is not None:
        meant = [
            (letter.died_at, letter.message_id)
            async for letter in _read(client, wanted.message_ids)
            if _is_meant(letter, wanted)
        ]
    else:
        meant = [
            (died_at, message_id)
            for queue in _queues(wanted)
            async for message_id, died_at in _find(client, wanted, queue, newest_first=False)
        ]
    count = 0
    for ids in _portions([message_id for _, message_id in sorted(meant)]):
        count += await client.run(script, secrets.token_hex(8), *ids, patience=_PATIENCE)
    return count


async def _find(
    client: RedisClient, wanted: LetterFilter, queue: QueueName, *, newest_first: bool
) -> AsyncGenerator[tuple[str, float]]:
    """Ids and times of death of one queue's letters that are meant."""
    offset = 0
    while True:
        seen, found = await client.run(
            _FIND,
            queue,
            "-inf" if wanted.after is None else f"({wanted.after!r}",
            "+inf" if wanted.before is None else f"({wanted.before!r}",
            "1" if newest_first else "",
            offset,
            _PORTION,
            wanted.reason or "",
            wanted.order_key or "",
            patience=_PATIENCE,
        )
        for n in range(0, len(found), 2):
            yield found[n].decode(), float(found[n + 1])
        offset += seen
        if seen < _PORTION:
            return


async def _read(client: RedisClient, ids: Sequence[str]) -> AsyncGenerator[QueuedLetter]:
    """Those of the ids that are dead letters."""
    for portion in _portions(ids):
        fields: list[bytes] = await client.run(_LETTERS, *portion, patience=_PATIENCE)
        for n in range(0, len(fields), 4):
            message_id, value, died_at, failures = fields[n : n + 4]
            queue, enqueued_at, line, body = read_value(value)
            history = texts.read_failures(failures)
            yield QueuedLetter(message_id.decode(), queue, line, body, enqueued_at, float(died_at), history)


def _is_meant(letter: QueuedLetter, wanted: LetterFilter) -> bool:
    return (
        (wanted.queue is None or letter.queue == wanted.queue)
        and (wanted.reason is None or letter.failures[-1].reason == wanted.reason)
        and (wanted.order_key is None or letter.order_key == wanted.order_key)
        and (wanted.before is None or letter.died_at < wanted.before)
        and (wanted.after is None or letter.died_at > wanted.after)
    )


def _queues(wanted: LetterFilter) -> tuple[QueueName, ...]:
    return QUEUES if wanted.queue is None else (wanted.queue,)


def _portions(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), _PORTION):
        yield ids[start : start + _PORTION]
