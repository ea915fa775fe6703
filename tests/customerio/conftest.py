from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cio_pipelines.customerio import AppClient, CallEvent, EncodedOperations, RetryPolicy, TrackClient

from .scripted_server import ScriptedServer

SITE_ID = "site-7391"
API_KEY = "key-s3cr3t-5402"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


@pytest.fixture
def events() -> list[CallEvent]:
    return []


QUICK = RetryPolicy(base_delay=0.001, max_delay=0.01, deadline=5.0)


@pytest.fixture
def connect(server: ScriptedServer, events: list[CallEvent]) -> Callable[..., TrackClient]:
    """A client of the scripted server with short delays; keyword arguments override."""

    def make(**settings: Any) -> TrackClient:
        defaults: dict[str, Any] = {
            "site_id": SITE_ID,
            "api_key": API_KEY,
            "base_url": server.url,
            "requests_per_second": 10_000,
            "retry": QUICK,
            "observer": events.append,
        }
        return TrackClient(**{**defaults, **settings})

    return make


@pytest.fixture
def connect_app(server: ScriptedServer, events: list[CallEvent]) -> Callable[..., AppClient]:
    """A client of the App API on the scripted server, without limits; keyword arguments override."""

    def make(**settings: Any) -> AppClient:
        defaults: dict[str, Any] = {
            "api_key": API_KEY,
            "base_url": server.url,
            "requests_per_second": 10_000,
            "transactional_per_second": 10_000,
            "seconds_per_broadcast": 0.0001,
            "retry": QUICK,
            "observer": events.append,
        }
        return AppClient(**{**defaults, **settings})

    return make


def people(count: int, first: int = 0) -> EncodedOperations:
    """`count` identify operations for ids p0, p1, ..."""
    return EncodedOperations.from_bytes(
        b'{"type":"person","action":"identify","identifiers":{"id":"p%d"},"attributes":{"n":%d}}' % (i, i)
        for i in range(first, first + count)
    )
