"""The way to the sandbox: a port that can refuse, a name that can be unknown, a certificate.

The client reaches the sandbox by `https://localhost:PORT` through it. What breaks, breaks for new connections
too; those that are open are reset, or the client would go on using them.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import trustme

_AUTHORITY = trustme.CA()
_NOBODY = trustme.CA()


def _server_side(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


def client_side() -> ssl.SSLContext:
    """Trusts the certificate of a relay in order."""
    context = ssl.create_default_context()
    _AUTHORITY.configure_trust(context)
    return context


class Relay:
    """Use as a context manager; a thread of its own carries the bytes."""

    def __init__(self, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self._target = port
        self._monkeypatch = monkeypatch
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def __enter__(self) -> Relay:
        self._thread.start()
        self._do(self._listen(_AUTHORITY))
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._stop())
        self._do(self._hang_up())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def break_(self, fault: str) -> None:
        """Let a fault of the matrix begin."""
        if fault == "connect refused":
            self._do(self._stop())
        elif fault == "DNS failure":
            self._monkeypatch.setattr(socket, "getaddrinfo", self._unknown)
        else:
            self._do(self._stop())
            self._do(self._listen(_NOBODY))
        self._do(self._hang_up())

    def _unknown(self, *_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    def _do(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self, authority: trustme.CA) -> None:
        self._server = await asyncio.start_server(
            self._carry, "127.0.0.1", self.port, ssl=_server_side(authority), reuse_address=True
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _hang_up(self) -> None:
        for writer in list(self._open):
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        self._open.add(writer)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, back))
                group.create_task(_pump(there, writer))
        finally:
            self._open.discard(writer)
            writer.transport.abort()
            back.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass  # either side was cut, which is what this is for
    finally:
        writer.transport.abort()


@contextmanager
def relay(port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    """A relay to the sandbox on `port`."""
    with monkeypatch.context() as patches, Relay(port, patches) as found:
        yield found
