"""Serving an ASGI application on this process's own terms: a socket of ours, and a signal is a clean end."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

_BACKLOG = 1_024
_KEEP_ALIVE_SECONDS = 75
_SHUTDOWN_SECONDS = 8
"""More than any request takes: those that are going on are answered. Cloud Run grants ten."""


class Server(uvicorn.Server):
    """Ends without an error on SIGINT and SIGTERM, and says when it takes connections."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """uvicorn raises the signal again when it has stopped; here a signal is a clean end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises OSError or OverflowError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=_BACKLOG)


def serve(app: ASGIApp, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM, in the main thread; requests that are going on are answered first.

    Args:
        app: the application, with a lifespan.
        listener: closed at the end.
        ready: called when connections are taken.
    """
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )
    with listener, asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(Server(config, ready).serve(sockets=[listener]))
