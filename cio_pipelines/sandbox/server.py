"""Serving the sandbox in this process until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from cio_pipelines.sandbox.asgi import Sandbox
from cio_pipelines.sandbox.options import SandboxError, SandboxOptions
from cio_pipelines.sandbox.tls import TlsFiles, tls_files
from cio_pipelines.serving import Server

READY = "Customer.io sandbox ready at "
AUTHORITY = "; certificate authority in "
_KEEP_ALIVE_SECONDS = 120
_SHUTDOWN_SECONDS = 2
_BACKLOG = 256


class _Protocol(HttpToolsProtocol):
    """Lets the application reach the connection, which the faults that break it need."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["sandbox.transport"] = self.transport  # type: ignore[typeddict-unknown-key]


class _Server(Server):
    def __init__(
        self, config: uvicorn.Config, sandbox: Sandbox, ready: Callable[[], None], leash: int | None
    ) -> None:
        super().__init__(config, ready)
        self._sandbox = sandbox
        self._leash = leash

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if self._leash is not None:
            asyncio.get_running_loop().add_reader(self._leash, self._pulled, self._leash)
        self._sandbox.reporter.start()
        self._sandbox.duties.perform()
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._sandbox.duties.forget()
        await self._sandbox.reporter.stop()
        await super().shutdown(sockets)

    def _pulled(self, leash: int) -> None:
        """Whoever holds the other end is gone, killed perhaps; nobody is left to stop this server."""
        if not os.read(leash, 1024):
            asyncio.get_running_loop().remove_reader(leash)
            self.should_exit = True


def run_sandbox(options: SandboxOptions, *, leash: int | None = None) -> None:
    """Serve until SIGINT or SIGTERM. Prints one line with the URL, and with TLS the certificate's path.

    `leash` is the descriptor of a pipe; the end of it ends the sandbox too.
    Raises SandboxError when the port is taken, the host is not this machine's, or a file cannot be used.
    Must be called in the main thread.
    """
    with listening(options) as listener, tls_files(options) as tls:
        sandbox = Sandbox(options)
        port = listener.getsockname()[1]
        config = uvicorn.Config(
            sandbox,
            http=_Protocol,
            loop="auto",
            ws="none",
            lifespan="off",
            access_log=False,
            log_level="error",
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
            ssl_certfile=tls.certificate if tls else None,
            ssl_keyfile=tls.certificate if tls else None,
        )
        # People are kept, not garbage: looking for cycles among them took a quarter of the time.
        gc.set_threshold(50_000, 20, 100)
        server = _Server(config, sandbox, lambda: _announce(options, port, tls), leash)
        try:
            with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
                runner.run(server.serve(sockets=[listener]))
        finally:
            sandbox.close()


def _announce(options: SandboxOptions, port: int, tls: TlsFiles | None) -> None:
    host = f"[{options.host}]" if ":" in options.host else options.host
    url = f"{'https' if tls else 'http'}://{host}:{port}"
    sys.stdout.write(f"{READY}{url}{f'{AUTHORITY}{tls.authority}' if tls else ''}\n")
    sys.stdout.flush()


@contextmanager
def listening(options: SandboxOptions) -> Generator[socket.socket]:
    """The listening socket. Raises SandboxError naming the port and the remedy."""
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((options.host, options.port))
            listener.listen(_BACKLOG)
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise SandboxError(
                f"cannot listen on {options.host} port {options.port} ({reason}): "
                "stop what uses that port, or give another one (0 takes any free port)"
            ) from None
        yield listener
