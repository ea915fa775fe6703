"""Which message is handed out when."""

from __future__ import annotations

import asyncio
import time

import pytest

from cio_pipelines.messaging.queue import open_queue
from cio_pipelines.messaging.queue.protocol import Buried, Delivered, NewMessage, Queue, Retried
from tests.messaging.queues import FAILED, LONG, bodies, deliver_all, message, messages, take_one

pytestmark = pytest.mark.anyio


async def test_one_message_of_each_line_is_handed_out_at_a_time(queue: Queue) -> None:
    await queue.put(messages(lines=3, each=2))
    taken = await queue.take("identify", 10, LONG)
    assert bodies(taken) == ["0.0", "1.0", "2.0"]
    assert await queue.take("identify", 10, LONG) == []
    await queue.settle([Delivered(taken[1])])
    assert bodies(await queue.take("identify", 10, LONG)) == ["1.1"]


async def test_a_line_keeps_its_order_across_queues(queue: Queue) -> None:
    await queue.put([message(body="who"), message(body="what", queue="track"), message(body="who else")])
    assert await queue.take("track", 10, LONG) == []
    assert await deliver_all(queue) == ["who"]
    assert await deliver_all(queue, "track") == ["what"]
    assert await deliver_all(queue) == ["who else"]


async def test_the_longest_waiting_goes_first_and_the_limit_holds(queue: Queue) -> None:
    for one in messages(lines=5):
        await queue.put([one])
    assert bodies(await queue.take("identify", 3, LONG)) == ["0.0", "1.0", "2.0"]
    assert bodies(await queue.take("identify", 3, LONG)) == ["3.0", "4.0"]


async def test_what_is_put_at_once_keeps_its_order(queue: Queue) -> None:
    await queue.put([message(body=str(n)) for n in range(100)])
    assert await deliver_all(queue) == [str(n) for n in range(100)]


async def test_a_message_to_be_retried_stays_in_front_of_its_line(queue: Queue) -> None:
    await queue.put(messages(lines=1, each=2))
    await queue.settle([Retried(await take_one(queue), time.time() + 0.15, FAILED)])
    assert await queue.take("identify", 10, LONG) == []
    await asyncio.sleep(0.2)
    again = await take_one(queue)
    assert (again.body, again.attempt) == (b"0.0", 2)
    await queue.settle([Delivered(again)])
    assert bodies(await queue.take("identify", 10, LONG)) == ["0.1"]


async def test_an_attempt_that_does_not_count_is_not_counted(queue: Queue) -> None:
    [receipt] = await queue.put([message()])
    for _ in range(3):
        taken = await take_one(queue)
        assert taken.attempt == 1
        await queue.settle([Retried(taken, time.time(), counts=False)])
    status = await queue.status(receipt.message_id)
    assert status is not None
    assert (status.attempts, status.failures) == (0, ())


async def test_a_dead_letter_lets_its_line_go_on(queue: Queue) -> None:
    await queue.put(messages(lines=1, each=2))
    await queue.settle([Buried(await take_one(queue), FAILED)])
    assert bodies(await queue.take("identify", 10, LONG)) == ["0.1"]


async def test_a_scheduled_message_joins_its_line_when_it_is_due(queue: Queue) -> None:
    at = time.time() + 0.3
    await queue.put([NewMessage("identify", "person:1", b"later", not_before=at), message(body="now")])
    first = await take_one(queue)
    await queue.put([message(body="behind")])
    assert (await queue.depths())["identify"].delayed == 1
    await asyncio.sleep(max(0.0, at - time.time()) + 0.02)
    await queue.put([message(body="last")])
    assert (await queue.depths())["identify"].delayed == 0
    assert await queue.take("identify", 10, LONG) == []
    await queue.settle([Delivered(first)])
    assert await deliver_all(queue) == ["behind", "later", "last"]


async def test_scheduled_messages_of_a_line_go_by_their_times(queue: Queue) -> None:
    now = time.time()
    await queue.put(
        [
            NewMessage("identify", "person:1", b"third", not_before=now + 0.2),
            NewMessage("identify", "person:1", b"second", not_before=now + 0.1),
            NewMessage("identify", "person:1", b"first", not_before=now - 5),
        ]
    )
    await asyncio.sleep(0.25)
    assert await deliver_all(queue) == ["first", "second", "third"]


async def test_a_message_is_never_in_two_hands(queue_url: str) -> None:
    async with open_queue(queue_url) as one, open_queue(queue_url) as other:
        await one.put(messages(lines=50, each=10))
        hands: dict[str, list[str]] = {}

        async def work(queue: Queue) -> None:
            while taken := await queue.take("identify", 7, LONG):
                for message in taken:
                    hands.setdefault(message.order_key, []).append(message.body.decode())
                await asyncio.sleep(0)
                assert await queue.settle([Delivered(message) for message in taken]) == 0

        while sum(map(len, hands.values())) < 500:
            await asyncio.gather(work(one), work(other), work(one))
        assert hands == {f"person:{n}": [f"{n}.{k}" for k in range(10)] for n in range(50)}


async def test_waiting_ends_when_something_is_put(queue_url: str) -> None:
    async with open_queue(queue_url) as one, open_queue(queue_url) as other:
        waiting = asyncio.create_task(one.wait("track", 20))
        await asyncio.sleep(0.1)
        await other.put([message(body="for somebody else")])
        await asyncio.sleep(0.15)
        assert not waiting.done()
        started = time.monotonic()
        await other.put([message("person:2", queue="track")])
        await waiting
        assert time.monotonic() - started < 0.5


async def test_waiting_ends_when_the_time_is_over(queue: Queue) -> None:
    started = time.monotonic()
    await queue.wait("identify", 0.2)
    assert 0.19 <= time.monotonic() - started < 1


async def test_waiting_ends_when_a_delayed_message_may_go(queue: Queue) -> None:
    await queue.put(
        [NewMessage("identify", "person:1", b"x", not_before=time.time() + 0.2), message("person:2")]
    )
    await queue.settle([Retried(await take_one(queue), time.time() + LONG)])
    started = time.monotonic()
    await queue.wait("identify", 20)
    assert 0.1 <= time.monotonic() - started < 1
    assert bodies(await queue.take("identify", 10, LONG)) == ["x"]
