"""What is particular to Redis: servers that restart, answers that are lost, memory that is full."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cio_pipelines.messaging.queue import open_queue
from cio_pipelines.messaging.queue.errors import QueueUnavailable
from cio_pipelines.messaging.queue.protocol import (
    Buried,
    Delivered,
    LetterFilter,
    NewMessage,
    Queue,
    Receipt,
    Retried,
    Taken,
)
from cio_pipelines.messaging.queue.redis import RedisQueue
from tests.messaging.queues import FAILED, LONG, bodies, deliver_all, message, messages, take_one
from tests.redis import RedisServer

pytestmark = pytest.mark.anyio


async def test_everything_is_there_after_a_restart_of_redis(own_server: RedisServer) -> None:
    async with open_queue(own_server.url) as queue:
        keyed = NewMessage("identify", "person:k", b"k", idempotency_key="k", keep_seconds=LONG)
        [known] = await queue.put([keyed])
        await queue.put([*messages(lines=3, each=2), message("person:9", queue="track")])
        own_server.restart()
        taken = await queue.take("identify", 3, LONG)
        assert bodies(taken) == ["k", "0.0", "1.0"]
        own_server.restart()
        assert await queue.extend(taken, LONG) == 0
        own_server.restart()
        assert (
            await queue.settle([Delivered(taken[0], "x"), Buried(taken[1], FAILED), Delivered(taken[2])]) == 0
        )
        own_server.restart()
        assert await queue.put([keyed]) == [Receipt(known.message_id, is_duplicate=True)]
        own_server.restart()
        assert await queue.replay(LetterFilter()) == 1
        own_server.restart()
        assert sorted(await deliver_all(queue)) == ["0.0", "0.1", "1.1", "2.0", "2.1"]
        own_server.restart()
        depths = await queue.depths()
        assert (depths["identify"].waiting, depths["track"].waiting) == (0, 1)


async def test_calls_wait_for_a_server_that_comes_back(own_server: RedisServer) -> None:
    async with open_queue(own_server.url) as queue:
        await queue.put([message()])
        own_server.stop()
        calls = [
            asyncio.create_task(call)
            for call in (queue.put([message("person:2")]), queue.take("identify", 1, LONG), queue.depths())
        ]
        await asyncio.sleep(0.5)
        assert not any(call.done() for call in calls)
        await asyncio.to_thread(own_server.start)
        await asyncio.gather(*calls)
        assert len(await deliver_all(queue)) == 1


async def test_a_server_that_stays_away_is_told(
    own_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cio_pipelines.messaging.queue.redis._PATIENCE", 0.3)
    async with open_queue(own_server.url) as queue:
        own_server.stop()
        with pytest.raises(QueueUnavailable, match="did not answer") as caught:
            await queue.put([message()])
        assert "for-tests" not in str(caught.value)
        with pytest.raises(QueueUnavailable):
            async with open_queue(own_server.url):
                pass


async def test_a_wrong_password_is_told_at_once(redis_server: RedisServer) -> None:
    started = time.monotonic()
    with pytest.raises(QueueUnavailable, match="password") as caught:
        async with open_queue(redis_server.url.replace("for-tests", "hunter2")):
            pass
    assert time.monotonic() - started < 2
    assert "hunter2" not in str(caught.value)


class Wire:
    """A way to the server on which the next answer may be lost: it is cut when the answer comes."""

    def __init__(self, port: int) -> None:
        self.port = 0
        self.lose_next = False
        self.lost = 0
        self._to = port
        self._carrying: set[asyncio.Task[None]] = set()

    def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry a connection; `rest` waits for its end."""
        self._carrying.add(asyncio.create_task(self._carry(reader, writer)))

    async def rest(self) -> None:
        """Wait until the client has closed its connections."""
        await asyncio.gather(*self._carrying)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._to)
        forth = asyncio.create_task(self._pump(reader, back))
        try:
            while answer := await there.read(1 << 20):
                if self.lose_next:
                    self.lose_next = False
                    self.lost += 1
                    return
                writer.write(answer)
        finally:
            forth.cancel()
            await asyncio.gather(forth, return_exceptions=True)
            for end in (back, writer):
                end.close()
                await asyncio.gather(end.wait_closed(), return_exceptions=True)

    @staticmethod
    async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 20):
            writer.write(data)
        writer.write_eof()


@asynccontextmanager
async def wired(server: RedisServer) -> AsyncIterator[tuple[Queue, Wire]]:
    """A queue behind a wire."""
    server.empty()
    wire = Wire(server.port)
    listener = await asyncio.start_server(wire.carry, "127.0.0.1", 0)
    wire.port = listener.sockets[0].getsockname()[1]
    try:
        async with RedisQueue(server.url.replace(str(server.port), str(wire.port)), max_messages=10) as queue:
            # scripts are known and the connection stands: what is lost next is the answer to the call
            await queue.settle([Delivered(await put_and_take(queue))])
            yield queue, wire
    finally:
        listener.close()
        await listener.wait_closed()
        await wire.rest()


async def put_and_take(queue: Queue) -> Taken:
    await queue.put([message("person:first")])
    return await take_one(queue)


async def test_what_was_done_is_not_done_again_when_the_answer_is_lost(redis_server: RedisServer) -> None:
    async with wired(redis_server) as (queue, wire):
        keyed = NewMessage("identify", "person:k", b"k", idempotency_key="k", keep_seconds=LONG)
        [known] = await queue.put([keyed])
        wire.lose_next = True
        receipts = await queue.put([message("person:1"), keyed, message("person:1", "second")])
        assert wire.lost == 1
        assert [receipt.is_duplicate for receipt in receipts] == [False, True, False]
        assert receipts[1].message_id == known.message_id
        assert (await queue.depths())["identify"].waiting == 3

        wire.lose_next = True
        taken = await queue.take("identify", 10, LONG)
        assert wire.lost == 2
        assert bodies(taken) == ["k", "{}"]
        assert [one.attempt for one in taken] == [1, 1]
        assert await queue.take("identify", 10, LONG) == []

        wire.lose_next = True
        assert await queue.settle([Delivered(taken[0]), Buried(taken[1], FAILED), Delivered(taken[0])]) == 1
        assert wire.lost == 3
        assert len(await queue.letters(LetterFilter())) == 1

        wire.lose_next = True
        assert len(await queue.letters(LetterFilter())) == 1
        assert wire.lost == 4
        await queue.replay(LetterFilter())
        assert await deliver_all(queue) == ["second", "{}"]
        assert sum(depth.waiting + depth.in_flight for depth in (await queue.depths()).values()) == 0


async def test_redis_keeps_nothing_of_what_is_over_but_what_was_asked_for(redis_server: RedisServer) -> None:
    redis_server.empty()
    async with RedisQueue(redis_server.url, max_messages=100) as queue:
        await queue.put([*messages(lines=5, each=3), message("person:1", queue="track")])
        await deliver_all(queue)
        await deliver_all(queue, "track")
        await deliver_all(queue)
        await queue.put([NewMessage("track", "p", b"1", "key", keep_seconds=LONG)])
        [known] = await queue.take("track", 1, LONG)
        await queue.settle([Delivered(known, "result")])
        await queue.put([message(), NewMessage("track", "p", b"2", "other")])
        for name in ("identify", "track"):
            await queue.settle([Buried(one, FAILED) for one in await queue.take(name, 5, LONG)])
        await queue.purge(LetterFilter())
    left = [key for key in redis_server.key_names() if ":done:" not in key]
    keys = [key for key in left if key.startswith("{cio}:key:")]
    assert len(keys) == 1
    assert set(left) - set(keys) == {"{cio}:live", "{cio}:version", "{cio}:m:" + known.message_id}
    # so that a cluster keeps a queue in one slot
    assert all(key.startswith("{cio}:") for key in redis_server.key_names())


async def test_a_server_that_may_lose_messages_says_so(tmp_path: Path) -> None:
    with RedisServer(tmp_path, appendonly=False) as server:
        async with open_queue(server.url) as queue:
            assert "a restart of the server loses messages" in await queue.durability()
            server.configure("appendonly", "yes")
            server.configure("appendfsync", "everysec")
            assert "up to a second" in await queue.durability()
        server.configure("maxmemory-policy", "allkeys-lru")
        with pytest.raises(QueueUnavailable, match="drops messages"):
            async with open_queue(server.url):
                pass


async def test_a_server_without_memory_refuses_puts_and_lets_messages_go(own_server: RedisServer) -> None:
    async with open_queue(own_server.url) as queue:
        await queue.put(
            [*messages(lines=3, each=2), NewMessage("track", "p", b"1", "key", keep_seconds=LONG)]
        )
        own_server.configure("maxmemory", "1")
        with pytest.raises(QueueUnavailable, match="no memory"):
            await queue.put([message("person:7")])
        taken = await queue.take("identify", 3, LONG)
        now = time.time()
        assert (
            await queue.settle(
                [Retried(taken[0], now, FAILED), Buried(taken[1], FAILED), Delivered(taken[2])]
            )
            == 0
        )
        await queue.settle([Delivered(await take_one(queue, "track"), "result")])
        assert await queue.replay(LetterFilter()) == 1
        assert sorted(await deliver_all(queue)) == ["0.0", "0.1", "1.0", "1.1", "2.1"]
        own_server.configure("maxmemory", "0")
        await queue.put([message("person:7")])
        assert (await queue.depths())["identify"].waiting == 1
