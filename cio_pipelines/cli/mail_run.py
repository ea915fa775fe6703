"""Messages put by one process and delivered by another, as a benchmark measures it."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection

from cio_pipelines.customerio import RetryPolicy, TrackClient
from cio_pipelines.messaging.fates import WorkerSettings
from cio_pipelines.messaging.queue import open_queue
from cio_pipelines.messaging.queued import QueuedMessagingService
from cio_pipelines.messaging.worker import Worker
from cio_pipelines.sandbox import SandboxOptions, SandboxServer

_AT_ONCE = 1_000
_CALLERS = 32
_SINGLE_PUTS = 4_000
_LOOK_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class MailRun:
    """`seconds` is from the first put to the last answer; `put_ms_…` of single puts by 32 callers at once."""

    messages: int
    seconds: float
    requests: int
    puts_per_second: float
    put_ms_median: float
    put_ms_99: float

    @property
    def per_second(self) -> float:
        """Messages put and delivered."""
        return self.messages / self.seconds


def mail_run(url: str, messages: int, *, body_messages: int) -> MailRun:
    """Put identifies of as many people into the queue at `url` while a worker delivers them."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    with SandboxServer(SandboxOptions(discard=True)) as sandbox:
        worker = context.Process(target=_work, args=(url, sandbox.url, messages, body_messages, theirs))
        worker.start()
        try:
            ours.recv()  # it is ready
            started = time.perf_counter()
            put_seconds = asyncio.run(_put(url, messages))
            ours.recv()  # all is delivered
            seconds = time.perf_counter() - started
            requests = sandbox.stats()["requests"]
        finally:
            worker.join(30)
            worker.kill()
    times = sorted(asyncio.run(_put_singly(url)))
    return MailRun(
        messages,
        seconds,
        requests,
        messages / put_seconds,
        1_000 * times[len(times) // 2],
        1_000 * times[int(0.99 * len(times))],
    )


def _person(number: int) -> tuple[str, dict[str, object]]:
    return f"person-{number:07d}", {
        "email": f"person.{number}@example.com",
        "first_name": "Ada",
        "plan": "pro",
        "orders_count": number % 40,
        "marketing_opt_in": number % 3 == 0,
    }


async def _put(url: str, messages: int) -> float:
    async with QueuedMessagingService(open_queue(url)) as service:
        started = time.perf_counter()
        for start in range(0, messages, _AT_ONCE):
            stop = min(messages, start + _AT_ONCE)
            await service.enqueue_identifies([_person(number) for number in range(start, stop)])
        return time.perf_counter() - started


async def _put_singly(url: str) -> Sequence[float]:
    """Seconds that each of many single puts took."""
    times: list[float] = []
    async with QueuedMessagingService(open_queue(url)) as service:

        async def caller(first: int) -> None:
            for number in range(first, _SINGLE_PUTS, _CALLERS):
                started = time.perf_counter()
                await service.enqueue_identify(*_person(number))
                times.append(time.perf_counter() - started)

        async with asyncio.TaskGroup() as group:
            for first in range(_CALLERS):
                group.create_task(caller(first))
    return times


def _work(url: str, track_url: str, messages: int, body_messages: int, pipe: Connection) -> None:
    asyncio.run(_deliver(url, track_url, messages, body_messages, pipe))


async def _deliver(url: str, track_url: str, messages: int, body_messages: int, pipe: Connection) -> None:
    client = TrackClient(
        site_id="sandbox-site",
        api_key="sandbox-key",
        base_url=track_url,
        requests_per_second=100_000,
        retry=RetryPolicy(max_attempts=1),
    )
    settings = WorkerSettings(concurrency={"identify": 10, "track": 10}, body_messages=body_messages)
    async with client, open_queue(url) as queue:
        worker = Worker(queue, client, None, settings)
        running = asyncio.create_task(worker.run())
        pipe.send("ready")
        while worker.counts["delivered"] < messages and not running.done():
            await asyncio.sleep(_LOOK_SECONDS)
        pipe.send("delivered")
        worker.stop()
        await running
