from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from cio_pipelines.sandbox import SandboxOptions, SandboxServer


@pytest.fixture(scope="session")
def shared_server() -> Iterator[SandboxServer]:
    with SandboxServer(SandboxOptions()) as server:
        yield server


@pytest.fixture
def server(shared_server: SandboxServer) -> SandboxServer:
    """An empty sandbox without faults; the process is shared, its contents are not."""
    shared_server.set_faults([])
    shared_server.reset()
    return shared_server


@pytest.fixture
def track(server: SandboxServer) -> Iterator[httpx.Client]:
    with track_client(server) as client:
        yield client


@pytest.fixture
def app(server: SandboxServer) -> Iterator[httpx.Client]:
    with app_client(server) as client:
        yield client


def track_client(server: SandboxServer) -> httpx.Client:
    return _client(server, server.track_authorization)


def app_client(server: SandboxServer) -> httpx.Client:
    return _client(server, server.app_authorization)


def _client(server: SandboxServer, authorization: str) -> httpx.Client:
    return httpx.Client(base_url=server.url, headers={"Authorization": authorization}, trust_env=False)


def person(action: str, identifiers: dict[str, Any] | str, **members: Any) -> dict[str, Any]:
    """A person operation; a plain string is an id."""
    whom = {"id": identifiers} if isinstance(identifiers, str) else identifiers
    return {"type": "person", "action": action, "identifiers": whom, **members}


def identify(
    identifiers: dict[str, Any] | str, timestamp: int | None = None, **attributes: Any
) -> dict[str, Any]:
    when = {} if timestamp is None else {"timestamp": timestamp}
    return person("identify", identifiers, attributes=attributes, **when)


def send(track: httpx.Client, *operations: dict[str, Any]) -> httpx.Response:
    return track.post("/api/v2/batch", json={"batch": list(operations)})
