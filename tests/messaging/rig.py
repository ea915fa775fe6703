"""A worker in this process, over a queue and a sandbox."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from cio_pipelines.customerio import AppClient, RetryPolicy, Timeouts, TrackClient
from cio_pipelines.messaging.fates import WorkerSettings
from cio_pipelines.messaging.instruments import Instruments
from cio_pipelines.messaging.queue import open_queue
from cio_pipelines.messaging.queue.protocol import Queue
from cio_pipelines.messaging.queued import QueuedMessagingService
from cio_pipelines.messaging.worker import Worker
from cio_pipelines.sandbox import SandboxServer

ONCE = RetryPolicy(max_attempts=1)
QUICK = WorkerSettings(base_delay=0.05, linger=0.01, drain=10.0)


def track_client(sandbox: SandboxServer, url: str | None = None) -> TrackClient:
    return TrackClient(
        site_id=sandbox.options.site_id,
        api_key=sandbox.options.track_api_key,
        base_url=url or sandbox.url,
        requests_per_second=10_000,
        max_in_flight=20,
        retry=ONCE,
        timeout=Timeouts(connect=2, read=5, write=5, pool=5),
    )


def app_client(sandbox: SandboxServer) -> AppClient:
    return AppClient(
        api_key=sandbox.options.app_api_key,
        base_url=sandbox.url,
        requests_per_second=10_000,
        transactional_per_second=10_000,
        retry=ONCE,
    )


@asynccontextmanager
async def service(url: str, **options: Any) -> AsyncGenerator[QueuedMessagingService]:
    async with QueuedMessagingService(open_queue(url), **options) as queued:
        yield queued


@asynccontextmanager
async def working(
    url: str,
    sandbox: SandboxServer,
    settings: WorkerSettings = QUICK,
    *,
    track_url: str | None = None,
    instruments: Instruments | None = None,
) -> AsyncGenerator[Worker]:
    """A worker at work; stopped at the end, what it raised is raised."""
    async with AsyncExitStack() as stack:
        track = await stack.enter_async_context(track_client(sandbox, track_url))
        app = await stack.enter_async_context(app_client(sandbox))
        queue = await stack.enter_async_context(open_queue(url))
        worker = Worker(queue, track, app, settings, instruments)
        running = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            worker.stop()
            await running


async def until_settled(queue: Queue | QueuedMessagingService, timeout: float = 30.0) -> None:
    """Wait until nothing waits any more: all is delivered, or dead letters."""
    deadline = time.monotonic() + timeout
    while True:
        depths = await queue.depths()
        if not any(depth.waiting + depth.delayed + depth.in_flight for depth in depths.values()):
            return
        assert time.monotonic() < deadline, depths
        await asyncio.sleep(0.02)
