"""Dead letters: seen, replayed, purged."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from cio_pipelines.messaging.queue.protocol import (
    Buried,
    Failure,
    LetterFilter,
    NewMessage,
    Queue,
    QueuedLetter,
    Retried,
)
from tests.messaging.queues import FAILED, LONG, bodies, deliver_all, message, messages, take_one

pytestmark = pytest.mark.anyio

ALL = LetterFilter()


async def bury(queue: Queue, new: NewMessage, reason: str = "refused") -> str:
    """Put a message and let it die; its id."""
    await queue.put([new])
    taken = await take_one(queue, new.queue)
    await queue.settle([Buried(taken, replace(FAILED, reason=reason))])
    return taken.message_id


async def three(queue: Queue) -> list[str]:
    """Ids of three letters, the oldest first."""
    return [
        await bury(queue, message("person:1", "one")),
        await bury(queue, message("person:2", "two", "track"), "lost"),
        await bury(queue, message("person:3", "three")),
    ]


def ids(letters: list[QueuedLetter]) -> list[str]:
    return [letter.message_id for letter in letters]


async def test_a_letter_has_the_message_and_the_history_of_its_attempts(queue: Queue) -> None:
    [receipt] = await queue.put([message(body="what was said", queue="transactional")])
    first = Failure(at=2.5, reason="timeout", message="no answer – \u2028 at all")
    await queue.settle([Retried(await take_one(queue, "transactional"), time.time(), first)])
    taken = await take_one(queue, "transactional")
    await queue.settle([Buried(taken, FAILED)])
    [letter] = await queue.letters(ALL)
    assert letter.message_id == receipt.message_id
    assert (letter.queue, letter.order_key, letter.body) == ("transactional", "person:1", b"what was said")
    assert letter.failures == (first, FAILED)
    assert letter.enqueued_at == taken.enqueued_at
    assert letter.died_at == pytest.approx(time.time(), abs=5)
    status = await queue.status(receipt.message_id)
    assert status is not None
    assert (status.state, status.attempts, status.failures) == ("dead", 2, (first, FAILED))


async def test_letters_come_the_newest_first_up_to_a_limit(queue: Queue) -> None:
    one, two, last = await three(queue)
    assert ids(await queue.letters(ALL)) == [last, two, one]
    assert ids(await queue.letters(ALL, limit=2)) == [last, two]


async def test_letters_are_filtered(queue: Queue) -> None:
    one, two, last = await three(queue)
    died = {letter.message_id: letter.died_at for letter in await queue.letters(ALL)}
    for wanted, found in [
        (LetterFilter(queue="identify"), [last, one]),
        (LetterFilter(queue="broadcast"), []),
        (LetterFilter(reason="lost"), [two]),
        (LetterFilter(order_key="person:3"), [last]),
        (LetterFilter(message_ids=(one, two, "unknown")), [two, one]),
        (LetterFilter(message_ids=(one, two), queue="track"), [two]),
        (LetterFilter(message_ids=(one, two), reason="refused", order_key="person:1"), [one]),
        (LetterFilter(message_ids=()), []),
        (LetterFilter(before=died[two]), [one]),
        (LetterFilter(after=died[two]), [last]),
        (LetterFilter(after=died[one], before=died[last]), [two]),
        (LetterFilter(message_ids=(one, last), after=died[one]), [last]),
    ]:
        assert ids(await queue.letters(wanted)) == found, wanted


async def test_replayed_letters_have_all_attempts_before_them_at_the_end_of_their_lines(queue: Queue) -> None:
    await queue.put(messages(lines=1, each=3))
    for _ in range(2):
        await queue.settle([Retried(await take_one(queue), time.time(), FAILED)])
    letter = await take_one(queue)
    await queue.settle([Buried(letter, FAILED)])
    assert await queue.replay(ALL) == 1
    assert await queue.replay(ALL) == 0
    assert await queue.letters(ALL) == []
    status = await queue.status(letter.message_id)
    assert status is not None
    assert (status.state, status.attempts, len(status.failures)) == ("waiting", 0, 3)
    seen: list[str] = []
    for _ in range(3):
        taken = await take_one(queue)
        assert taken.attempt == 1
        seen.append(taken.body.decode())
        await queue.settle([Buried(taken, FAILED)])
    assert seen == ["0.1", "0.2", "0.0"]
    assert taken.message_id == letter.message_id


async def test_replayed_letters_of_a_line_keep_their_order(queue: Queue) -> None:
    for number in range(5):
        await bury(queue, message(body=str(number), queue="track" if number % 2 else "identify"))
    assert await queue.replay(ALL) == 5
    assert await deliver_all(queue) == ["0"]
    assert await deliver_all(queue, "track") == ["1"]
    assert await deliver_all(queue) == ["2"]


async def test_only_what_is_meant_is_replayed_or_purged(queue: Queue) -> None:
    one, two, last = await three(queue)
    assert await queue.replay(LetterFilter(queue="track")) == 1
    assert bodies(await queue.take("track", 10, LONG)) == ["two"]
    assert await queue.purge(LetterFilter(message_ids=(one, two))) == 1
    assert ids(await queue.letters(ALL)) == [last]
    assert await queue.status(one) is None
    assert await queue.purge(ALL) == 1
    depths = await queue.depths()
    assert [depth.dead for depth in depths.values()] == [0, 0, 0, 0]
    assert await queue.take("identify", 10, LONG) == []


async def test_many_letters_are_replayed_and_purged_in_portions(queue: Queue) -> None:
    # as many as the bound of the queue, and more than a portion
    await queue.put(messages(lines=1_000))
    taken = await queue.take("identify", 1_000, LONG)
    await queue.settle([Buried(one, FAILED) for one in taken])
    assert len(await queue.letters(ALL, limit=2_000)) == 1_000
    assert await queue.replay(ALL) == 1_000
    taken = await queue.take("identify", 2_000, LONG)
    assert len(taken) == 1_000
    await queue.settle([Buried(one, FAILED) for one in taken])
    assert await queue.purge(LetterFilter(reason="refused")) == 1_000
    assert await queue.letters(ALL) == []
