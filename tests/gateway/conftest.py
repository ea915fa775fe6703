"""The gateway as a real server in a thread, over a queue in a file, and tokens in another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from cio_pipelines.gateway.access import SCOPES, Access, Scope, Token, new_token, write_access
from cio_pipelines.gateway.callers import Callers, Identities
from cio_pipelines.gateway.part import Gateway, GatewayLimits
from cio_pipelines.landing import LandingZone
from cio_pipelines.messaging.queue import open_queue
from cio_pipelines.messaging.queue.protocol import Queue, QueueName, Taken
from cio_pipelines.messaging.queued import QueuedMessagingService
from cio_pipelines.webhooks.service import create_app
from tests.webhooks.conftest import KEY, Running, eventually, running

__all__ = ["Served", "eventually", "replace", "serving"]

PERSON = {"person_id": "user-1", "attributes": {"plan": "pro"}}
UNKNOWN_ID = "01K0QYT7C1B0M0WJ8Z3X5V9N2P"


@dataclass
class Served:
    """A gateway that can be called, its file of tokens, and its queue."""

    service: Running
    tokens: Path
    queue_url: str
    entries: list[Token] = field(default_factory=list)
    token: str = field(default="", repr=False)

    @property
    def client(self) -> httpx.Client:
        return self.service.client

    def add(self, name: str = "shop", scopes: Sequence[Scope] = SCOPES, rate: float = 10_000) -> str:
        """One token more in the file; the server sees it soon."""
        text, entry = new_token(name, scopes, rate)
        self.write([*self.entries, entry])
        return text

    def write(self, entries: Sequence[Token]) -> None:
        self.entries = list(entries)
        write_access(self.tokens, Access(tokens=tuple(entries)))

    def call(self, method: str, path: str, *, token: str | None = None, **arguments: Any) -> httpx.Response:
        """A request with the token that may do everything, or another."""
        headers = {"Authorization": f"Bearer {token or self.token}", **arguments.pop("headers", {})}
        return self.client.request(method, path, headers=headers, **arguments)

    def post(self, path: str, body: Any, *, key: str | None = None, **arguments: Any) -> httpx.Response:
        headers = {**arguments.pop("headers", {}), **({"Idempotency-Key": key} if key else {})}
        return self.call("POST", path, json=body, headers=headers, **arguments)

    def take(self, queue: QueueName, limit: int = 100) -> list[Taken]:
        """What a worker gets from the queue."""

        async def take() -> list[Taken]:
            async with self.queue() as open_one:
                return await open_one.take(queue, limit, 60)

        return asyncio.run(take())

    def queue(self) -> Queue:
        return open_queue(self.queue_url)


def replace(path: Path, content: bytes) -> None:
    """Write a file so that nobody sees half of it."""
    beside = path.with_name("beside")
    beside.write_bytes(content)
    beside.replace(path)


@contextmanager
def serving(
    folder: Path,
    *,
    limits: GatewayLimits | None = None,
    max_messages: int = 100_000,
    identities: Identities | None = None,
    queue_url: str | None = None,
    queue: Callable[[], Queue] | None = None,
    look_seconds: float = 0.05,
) -> Iterator[Served]:
    """Serve with everything in a folder."""
    tokens, url = folder / "tokens.json", queue_url or f"sqlite:///{folder / 'queue.sqlite'}"
    text, entry = new_token("all", SCOPES, 10_000)
    write_access(tokens, Access(tokens=(entry,)))
    part = Gateway(
        Callers(tokens, identities, look_seconds=look_seconds),
        lambda: QueuedMessagingService(queue() if queue else open_queue(url, max_messages=max_messages)),
        limits,
    )
    app = create_app(zone=LandingZone(f"file://{folder / 'landing'}"), keys=[KEY], parts=[part])
    with running(app, folder) as service:
        yield Served(service, tokens, url, [entry], text)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A gateway as it comes, shared by the tests of a module."""
    with serving(tmp_path_factory.mktemp("gateway")) as served:
        yield served
