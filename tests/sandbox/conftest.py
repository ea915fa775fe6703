from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import httpx
import pytest

from cio_pipelines.sandbox import SandboxOptions, SandboxServer
from cio_pipelines.sandbox.asgi import Sandbox


@pytest.fixture(scope="session")
def shared_server() -> Iterator[SandboxServer]:
    with SandboxServer(SandboxOptions()) as server:
        yield server


@pytest.fixture
def server(shared_server: SandboxServer) -> SandboxServer:
    """An empty sandbox without faults or delays; the process is shared, its contents are not."""
    shared_server.set_faults([])
    shared_server.set_courses(mix=None, seconds=0, broadcast_delay=0, export_seconds=0)
    shared_server.reset()
    return shared_server


@pytest.fixture
def reporting(server: SandboxServer) -> Iterator[SandboxServer]:
    """An empty sandbox, to do with its webhook whatever is wanted."""
    yield server
    server.set_webhook(
        url=None, streams=1, timeout=4.0, clock=1.0, duplicates=0.0, bad_signatures=0.0, resign=True
    )


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


class Variant:
    """A sandbox with other settings, in this process: starting one in its own costs most of a second.

    Its loop runs during requests only.
    """

    def __init__(self, options: SandboxOptions, runner: asyncio.Runner, client: httpx.AsyncClient) -> None:
        self._options = options
        self._runner = runner
        self._client = client

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        return self._runner.run(self._client.request(method, path, **arguments))

    def track(self, *operations: dict[str, Any]) -> httpx.Response:
        return self.track_raw(json.dumps({"batch": list(operations)}).encode())

    def track_raw(self, body: bytes, **headers: str) -> httpx.Response:
        credentials = (self._options.site_id, self._options.track_api_key)
        return self.request("POST", "/api/v2/batch", content=body, headers=headers, auth=credentials)

    def app(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._options.app_api_key}"}
        return self.request(method, path, headers=headers, **arguments)

    def stats(self) -> dict[str, Any]:
        return self.request("GET", "/_sandbox/stats").json()

    def people(self) -> dict[str, dict[str, Any]]:
        return {record["key"]: record for record in self._lines("people")}

    def operations(self) -> list[dict[str, Any]]:
        return self._lines("operations")

    def reported(self) -> list[dict[str, Any]]:
        """The events themselves, in order."""
        return [record["event"] for record in self._lines("webhooks/events")]

    def send(self, **settings: Any) -> dict[str, Any]:
        answer = self.request("POST", "/_sandbox/send", json=settings)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def activities(self) -> list[dict[str, Any]]:
        return self._lines("activities")

    def wait(self, seconds: float) -> None:
        self._runner.run(asyncio.sleep(seconds))

    def _lines(self, path: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.request("GET", f"/_sandbox/{path}").text.splitlines()]


@contextmanager
def variant(options: SandboxOptions) -> Iterator[Variant]:
    """A running sandbox with these settings."""
    sandbox = Sandbox(options)
    transport = httpx.ASGITransport(app=cast("Any", sandbox), client=("127.0.0.1", 1))
    client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")
    with asyncio.Runner() as runner:
        yield Variant(options, runner, client)
        runner.run(client.aclose())
    sandbox.close()
