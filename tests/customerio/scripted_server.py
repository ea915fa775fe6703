"""A real HTTP/1.1 server on loopback that answers as a test tells it to, well or badly."""

from __future__ import annotations

import asyncio
import base64
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import orjson


@dataclass(frozen=True)
class Received:
    """One request as it came in; header names are lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def batch(self) -> list[dict[str, Any]]:
        return orjson.loads(self.body)["batch"]

    @property
    def credentials(self) -> str:
        return base64.b64decode(self.headers["authorization"].removeprefix("Basic ")).decode()


@dataclass(frozen=True)
class Answer:
    """What to send back: `cut` bytes withheld at the end, `delay` in seconds, `reset` for no answer."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    cut: int = 0
    reset: bool = False


RESET = Answer(reset=True)
Script = Answer | Callable[[Received], Answer]


def errors(*entries: Mapping[str, object], status: int = 207) -> Answer:
    return Answer(status, orjson.dumps({"errors": list(entries)}))


class ScriptedServer:
    """Answers with `script` in order, then with `default`; both may be functions of the request.

    The next `hang_ups` connections are reset before anything is read of them.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.script: list[Script] = []
        self.default: Script = Answer()
        self.received: list[Received] = []
        self.connections = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self.port = 0
        self.hang_ups = 0
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(5)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.hang_ups:
            self.hang_ups -= 1
            writer.transport.abort()
            return
        try:
            while await self._exchange(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        request = Received(method, path, headers, body, time.monotonic())
        self.received.append(request)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            script = self.script.pop(0) if self.script else self.default
            answer = script if isinstance(script, Answer) else script(request)
            await asyncio.sleep(answer.delay)
        finally:
            self.in_flight -= 1
        if answer.reset:
            writer.transport.abort()
            return False
        fields = {
            "Content-Type": "application/json",
            "Content-Length": str(len(answer.body)),
            **answer.headers,
        }
        lines = [
            f"HTTP/1.1 {answer.status} Scripted",
            *(f"{name}: {value}" for name, value in fields.items()),
        ]
        text = answer.body[: len(answer.body) - answer.cut]
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + text)
        await writer.drain()
        return not answer.cut
