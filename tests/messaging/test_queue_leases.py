"""Who holds a message, and what happens when nobody comes back."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from cio_pipelines.messaging.queue import open_queue
from cio_pipelines.messaging.queue.protocol import Buried, Delivered, Queue, Retried, Settlement, Taken
from tests.messaging.queues import FAILED, LONG, bodies, message, messages, take_one

pytestmark = pytest.mark.anyio

SHORT = 0.05


async def expired(queue: Queue) -> Taken:
    """A message whose lease ended."""
    taken = await take_one(queue, lease_seconds=SHORT)
    await asyncio.sleep(2 * SHORT)
    return taken


async def test_a_message_whose_lease_ended_is_handed_out_again(queue: Queue) -> None:
    await queue.put([message()])
    first = await expired(queue)
    waiting = await queue.status(first.message_id)
    assert waiting is not None
    assert waiting.state == "waiting"
    depth = (await queue.depths())["identify"]
    assert (depth.waiting, depth.in_flight) == (1, 0)
    await queue.wait("identify", 20)
    second = await take_one(queue)
    assert (second.message_id, second.body, second.attempt) == (first.message_id, first.body, 2)
    assert second.lease != first.lease
    status = await queue.status(first.message_id)
    assert status is not None
    [failure] = status.failures
    assert failure.reason == "lease_expired"
    assert failure.at == pytest.approx(first.lease_until, abs=0.001)


async def test_a_later_message_of_the_line_waits_for_the_one_whose_lease_ended(queue: Queue) -> None:
    await queue.put(messages(lines=1, each=2))
    await expired(queue)
    again = await take_one(queue)
    assert again.body == b"0.0"
    assert await queue.take("identify", 10, LONG) == []


@pytest.mark.parametrize("kind", ["delivered", "retried", "buried"])
async def test_a_settlement_of_an_older_lease_is_ignored(queue: Queue, kind: str) -> None:
    await queue.put(messages(lines=1, each=2))
    first = await expired(queue)
    second = await take_one(queue)
    settlements: dict[str, Settlement] = {
        "delivered": Delivered(first),
        "retried": Retried(first, time.time(), FAILED),
        "buried": Buried(first, FAILED),
    }
    assert await queue.settle([settlements[kind]]) == 1
    assert await queue.extend([first], LONG) == 1
    status = await queue.status(second.message_id)
    assert status is not None
    assert (status.state, len(status.failures)) == ("in_flight", 1)
    assert await queue.take("identify", 10, LONG) == []
    assert await queue.settle([Delivered(second)]) == 0
    assert bodies(await queue.take("identify", 10, LONG)) == ["0.1"]


@pytest.mark.parametrize("kind", ["delivered", "retried", "buried"])
async def test_a_second_settlement_is_ignored(queue: Queue, kind: str) -> None:
    await queue.put([message()])
    taken = await take_one(queue)
    settlements: dict[str, Settlement] = {
        "delivered": Delivered(taken),
        "retried": Retried(taken, time.time() + LONG, FAILED),
        "buried": Buried(taken, FAILED),
    }
    assert await queue.settle([settlements[kind]]) == 0
    assert await queue.settle([settlements[kind], Delivered(taken)]) == 2
    assert await queue.extend([taken], LONG) == 1
    assert sum(d.waiting + d.delayed + d.in_flight for d in (await queue.depths()).values()) == int(
        kind == "retried"
    )


async def test_a_settlement_after_the_lease_counts_while_nobody_else_took_it(queue: Queue) -> None:
    await queue.put(messages(lines=1, each=2))
    assert await queue.settle([Delivered(await expired(queue))]) == 0
    assert bodies(await queue.take("identify", 10, LONG)) == ["0.1"]


async def test_an_extended_lease_holds(queue: Queue) -> None:
    await queue.put([*messages(lines=2), message("person:7", queue="track")])
    taken = await queue.take("identify", 10, 0.3) + await queue.take("track", 10, 0.3)
    assert await queue.extend(taken, LONG) == 0
    await asyncio.sleep(0.4)
    assert await queue.take("identify", 10, LONG) == []
    assert await queue.settle([Delivered(one) for one in taken]) == 0


async def test_settlements_of_many_kinds_and_queues_in_one_call(queue: Queue) -> None:
    await queue.put([*messages(lines=3, each=2), *messages(lines=6, queue="track")[3:]])
    one, two, three = await queue.take("identify", 10, LONG)
    four, five, six = await queue.take("track", 10, LONG)
    assert (
        await queue.settle(
            [
                Delivered(one),
                Retried(two, time.time() + LONG, FAILED),
                Buried(three, FAILED),
                Buried(four, FAILED),
                Retried(five, time.time(), counts=False),
                Delivered(replace(six, lease="another")),
            ]
        )
        == 1
    )
    depths = await queue.depths()
    assert (depths["identify"].waiting, depths["identify"].delayed, depths["identify"].dead) == (3, 1, 1)
    assert (depths["track"].waiting, depths["track"].in_flight, depths["track"].dead) == (1, 1, 1)
    assert bodies(await queue.take("identify", 10, LONG)) == ["0.1", "2.1"]


async def test_a_lease_ends_for_every_process(queue_url: str) -> None:
    async with open_queue(queue_url) as one, open_queue(queue_url) as other:
        await one.put([message()])
        first = await expired(one)
        second = await take_one(other)
        assert await one.settle([Delivered(first)]) == 1
        assert await other.settle([Delivered(second)]) == 0
