"""Queues in both stores: every test that takes `queue` or `queue_url` runs in each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from cio_pipelines.messaging.queue import open_queue
from cio_pipelines.messaging.queue.protocol import Queue
from tests.redis import RedisServer


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One server for all tests of a worker that do not stop it."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server for a test that stops it."""
    with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture(params=["sqlite", "redis"])
def queue_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The `QUEUE_URL` of an empty queue."""
    if request.param == "sqlite":
        return f"sqlite://{tmp_path}/queue.sqlite"
    server: RedisServer = request.getfixturevalue("redis_server")
    server.empty()
    return server.url


@pytest.fixture
async def queue(queue_url: str) -> AsyncIterator[Queue]:
    """An empty queue."""
    async with open_queue(queue_url, max_messages=1_000) as opened:
        yield opened
