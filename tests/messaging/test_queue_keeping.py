"""What a queue keeps, of which message how long, and what it refuses."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from cio_pipelines.messaging.queue import open_queue
from cio_pipelines.messaging.queue.errors import (
    IdempotencyError,
    QueueError,
    QueueFull,
    QueueUnavailable,
    QueueVersionError,
)
from cio_pipelines.messaging.queue.protocol import (
    Buried,
    Delivered,
    Depth,
    LetterFilter,
    NewMessage,
    Queue,
    Receipt,
    Retried,
)
from tests.messaging.queues import FAILED, LONG, deliver_all, message, messages, take_one
from tests.redis import RedisServer

pytestmark = pytest.mark.anyio

KEYED = NewMessage("track", "person:1", b'{"a":1}', idempotency_key="order-1", keep_seconds=LONG)


async def test_what_is_taken_is_what_was_put(queue: Queue) -> None:
    odd = NewMessage("transactional", "e-mail:ünïcödé|\n:4@example.com", bytes(range(256)) * 40)
    before = time.time()
    [receipt] = await queue.put([odd])
    taken = await take_one(queue, "transactional")
    assert (taken.queue, taken.order_key, taken.body) == (odd.queue, odd.order_key, odd.body)
    assert taken.message_id == receipt.message_id
    assert taken.attempt == 1
    assert before <= taken.enqueued_at <= time.time()
    assert taken.lease_until == pytest.approx(time.time() + LONG, abs=5)


async def test_a_message_is_kept_while_nobody_has_the_queue_open(queue_url: str) -> None:
    async with open_queue(queue_url) as queue:
        await queue.put(messages(lines=2, each=2))
        assert len(await queue.take("identify", 1, LONG)) == 1
    async with open_queue(queue_url) as queue:
        depth = (await queue.depths())["identify"]
        assert (depth.waiting, depth.in_flight) == (3, 1)


async def test_nothing_is_remembered_of_a_delivered_message_without_a_key(queue: Queue) -> None:
    [receipt] = await queue.put([message()])
    taken = await take_one(queue)
    await queue.settle([Delivered(taken, "some result")])
    assert await queue.status(receipt.message_id) is None


async def test_state_and_result_are_remembered_for_as_long_as_asked(queue: Queue) -> None:
    [receipt] = await queue.put([replace(message(), keep_seconds=0.4)])
    waiting = await queue.status(receipt.message_id)
    assert waiting is not None
    assert (waiting.state, waiting.attempts, waiting.queue) == ("waiting", 0, "identify")
    taken = await take_one(queue)
    in_flight = await queue.status(receipt.message_id)
    assert in_flight is not None
    assert (in_flight.state, in_flight.attempts) == ("in_flight", 1)
    await queue.settle([Delivered(taken, "delivery-7")])
    delivered = await queue.status(receipt.message_id)
    assert delivered is not None
    assert (delivered.state, delivered.result, delivered.attempts) == ("delivered", "delivery-7", 1)
    assert delivered.enqueued_at == waiting.enqueued_at
    await asyncio.sleep(0.5)
    assert await queue.status(receipt.message_id) is None


async def test_a_key_that_comes_again_gives_the_earlier_receipt(queue: Queue) -> None:
    [first] = await queue.put([KEYED])
    again = await queue.put([KEYED, KEYED])
    assert again == [Receipt(first.message_id, is_duplicate=True)] * 2
    assert (await queue.depths())["track"].waiting == 1
    await queue.settle([Delivered(await take_one(queue, "track"))])
    assert await queue.put([KEYED]) == [Receipt(first.message_id, is_duplicate=True)]


async def test_a_key_twice_in_one_put_is_one_message(queue: Queue) -> None:
    first, other, second = await queue.put([KEYED, message(), KEYED])
    assert (first.is_duplicate, other.is_duplicate, second.is_duplicate) == (False, False, True)
    assert second.message_id == first.message_id
    another = replace(KEYED, idempotency_key="another")
    with pytest.raises(IdempotencyError) as caught:
        await queue.put([another, replace(another, body=b"2")])
    assert caught.value.position == 1
    assert (await queue.depths())["track"].waiting == 1


@pytest.mark.parametrize(
    "other",
    [
        replace(KEYED, queue="identify"),
        replace(KEYED, order_key="person:2"),
        replace(KEYED, body=b'{"a":2}'),
        replace(KEYED, not_before=2e9),
        replace(KEYED, fingerprint="said"),
    ],
    ids=["queue", "line", "body", "time", "fingerprint"],
)
async def test_a_key_is_refused_with_another_message_and_nothing_is_kept(
    queue: Queue, other: NewMessage
) -> None:
    await queue.put([KEYED])
    before = await queue.depths()
    with pytest.raises(IdempotencyError) as caught:
        await queue.put([message("person:3"), other, message("person:4")])
    assert caught.value.position == 1
    after = await queue.depths()
    assert [depth.waiting + depth.delayed for depth in after.values()] == [
        depth.waiting + depth.delayed for depth in before.values()
    ]
    assert await queue.take("identify", 10, LONG) == []


async def test_a_fingerprint_of_the_callers_own_stands_for_line_and_body(queue: Queue) -> None:
    said = replace(KEYED, fingerprint="what was said")
    [first] = await queue.put([said])
    [second] = await queue.put([replace(said, body=b"with another time in it")])
    assert second == Receipt(first.message_id, is_duplicate=True)


async def test_a_key_may_be_used_anew_when_it_is_forgotten(queue: Queue) -> None:
    short = replace(KEYED, keep_seconds=0.2)
    [first] = await queue.put([short])
    await queue.settle([Delivered(await take_one(queue, "track"))])
    await asyncio.sleep(0.3)
    [second] = await queue.put([replace(short, body=b"something else")])
    assert not second.is_duplicate
    assert second.message_id != first.message_id


async def test_the_key_of_a_dead_letter_is_known_until_it_is_purged(queue: Queue) -> None:
    dying = replace(KEYED, keep_seconds=0.0)
    [first] = await queue.put([dying])
    await queue.settle([Buried(await take_one(queue, "track"), FAILED)])
    assert await queue.put([dying]) == [Receipt(first.message_id, is_duplicate=True)]
    await queue.purge(LetterFilter())
    [second] = await queue.put([dying])
    assert not second.is_duplicate


async def test_the_bound_refuses_all_or_none(queue_url: str) -> None:
    async with open_queue(queue_url, max_messages=10) as queue:
        later = replace(message("person:later"), not_before=time.time() + LONG)
        await queue.put([*messages(lines=7), later])
        taken = await queue.take("identify", 2, LONG)
        with pytest.raises(QueueFull, match="8 of at most 10"):
            await queue.put(messages(lines=3, queue="track"))
        await queue.put(messages(lines=2, queue="track"))
        await queue.settle([Retried(taken[0], time.time() + LONG)])
        with pytest.raises(QueueFull):
            await queue.put([message("person:x")])
        await queue.settle([Buried(taken[1], FAILED)])
        await queue.put([message("person:x")])
        assert await queue.replay(LetterFilter()) == 1  # the bound does not hold up a replay
        with pytest.raises(QueueFull, match="11 of at most 10"):
            await queue.put([message("person:y")])
        # of the eight in this queue one is delayed, and the replayed one waits for another queue's
        assert len(await deliver_all(queue)) == 6


async def test_a_duplicate_is_welcome_in_a_full_queue(queue_url: str) -> None:
    async with open_queue(queue_url, max_messages=1) as queue:
        await queue.put([KEYED])
        [again] = await queue.put([KEYED])
        assert again.is_duplicate


async def test_depths_count_what_waits_what_is_delayed_and_what_is_in_flight(queue: Queue) -> None:
    await queue.put([*messages(lines=4, each=2), message("person:9", queue="broadcast")])
    await queue.put([replace(message("person:8"), not_before=time.time() + LONG)])
    taken = await queue.take("identify", 3, LONG)
    await queue.settle([Retried(taken[0], time.time() + LONG), Buried(taken[1], FAILED)])
    await asyncio.sleep(0.1)
    depths = await queue.depths()
    assert list(depths) == ["identify", "track", "transactional", "broadcast"]
    identify = depths["identify"]
    assert (identify.waiting, identify.delayed, identify.in_flight, identify.dead) == (5, 2, 1, 1)
    assert 0.1 <= identify.oldest_seconds < 5
    assert 0.1 <= identify.oldest_dead_seconds < 5
    assert depths["broadcast"].waiting == 1
    assert depths["track"] == Depth()


async def test_histories_are_bounded_and_keep_the_newest(queue: Queue) -> None:
    [receipt] = await queue.put([message()])
    for number in range(60):
        failure = replace(FAILED, at=float(number), message="x" * 500)
        await queue.settle([Retried(await take_one(queue), time.time(), failure)])
    status = await queue.status(receipt.message_id)
    assert status is not None
    assert status.attempts == 60
    assert [failure.at for failure in status.failures][-3:] == [57.0, 58.0, 59.0]
    assert 20 < len(status.failures) < 40


async def test_an_empty_call_does_nothing(queue: Queue) -> None:
    assert await queue.put([]) == []
    assert await queue.settle([]) == 0
    assert await queue.extend([], 60) == 0
    assert await queue.take("identify", 10, LONG) == []


async def test_nothing_shows_what_a_message_says(queue: Queue) -> None:
    secret = NewMessage("identify", "anna@example.com", b"anna's secret", "anna's key", fingerprint="anna's")
    receipts = await queue.put([secret])
    taken = await take_one(queue)
    status = await queue.status(taken.message_id)
    with pytest.raises(IdempotencyError) as caught:
        await queue.put([replace(secret, fingerprint="anna did not say this")])
    await queue.settle([Buried(taken, FAILED)])
    letters = await queue.letters(LetterFilter(order_key="anna@example.com"))
    assert len(letters) == 1
    shown = repr([secret, receipts, taken, status, letters, queue, LetterFilter(order_key="anna")])
    assert "anna" not in shown + str(caught.value) + repr(caught.value)


async def test_a_queue_that_is_not_open_says_so(queue_url: str) -> None:
    queue = open_queue(queue_url)
    with pytest.raises(QueueUnavailable, match="not open"):
        await queue.depths()
    async with queue:
        await queue.put([message()])
    with pytest.raises(QueueUnavailable, match="not open"):
        await queue.take("identify", 1, LONG)
    async with queue:
        assert len(await queue.take("identify", 1, LONG)) == 1


@pytest.mark.parametrize(
    "url",
    [
        "",
        "queue.sqlite",
        "sqlite://",
        "sqlite:///",
        "sqlite://host/path",
        "sqlite:///folder/",
        "mysql://me:hunter2@host/db",
        "redis://",
        "redis://me:hunter2@host:port/0",
        "redis://[me:hunter2",
    ],
)
def test_a_url_that_names_no_queue_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(QueueError) as caught:
        open_queue(url)
    assert caught.value.remedy
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("slashes", ["sqlite://", "sqlite:///"])
async def test_a_path_is_absolute_with_three_slashes_or_four(tmp_path: Path, slashes: str) -> None:
    async with open_queue(f"{slashes}{tmp_path}/deep/er/a%20queue.sqlite"):
        assert (tmp_path / "deep" / "er" / "a queue.sqlite").stat().st_mode & 0o777 == 0o600


async def test_a_store_of_a_newer_release_is_left_alone(queue_url: str, redis_server: RedisServer) -> None:
    async with open_queue(queue_url) as queue:
        await queue.put([message()])
    if queue_url.startswith("sqlite"):
        with closing(sqlite3.connect(queue_url.removeprefix("sqlite://"))) as connection:
            connection.execute("pragma user_version = 99")
    else:
        redis_server.set("{cio}:version", "99")
    with pytest.raises(QueueVersionError, match="99"):
        async with open_queue(queue_url):
            pass


async def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("what to do tomorrow\n" * 100)
    with pytest.raises(QueueUnavailable, match="not a database"):
        async with open_queue(f"sqlite://{tmp_path}/notes.txt"):
            pass
    with pytest.raises(QueueUnavailable):
        async with open_queue("sqlite:///proc/queue.sqlite"):
            pass


async def test_both_stores_tell_that_they_sync(queue: Queue) -> None:
    assert "on the disk when it is acknowledged" in await queue.durability()
