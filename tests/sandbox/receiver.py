"""A receiver of webhooks that answers by a script and remembers what came."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cio_pipelines.sandbox import SandboxServer

KEY = "sandbox-signing-key"
FAST = 1_000_000.0
"""A clock on which seven days are 0.6 seconds and an hour is 4 milliseconds."""
Script = Callable[["Received"], int | str]
"""From a request to a status, or to `hang`, `reset` or `close` (answer 200, then end the connection)."""


@dataclass
class Received:
    """One request; `number` counts all of them, `attempt` those with the same event id, both from 1."""

    number: int
    attempt: int
    timestamp: str
    signature: str
    headers: dict[str, str]
    body: bytes
    event_id: str
    at: float = field(default_factory=time.monotonic)

    def is_signed(self, key: str = KEY) -> bool:
        signed = b"v0:" + self.timestamp.encode() + b":" + self.body
        return hmac.new(key.encode(), signed, hashlib.sha256).hexdigest() == self.signature


class Receiver:
    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[Received] = []
        self.url = ""
        self._lock = threading.Lock()
        self._attempts: Counter[str] = Counter()

    def take(self, headers: dict[str, str], body: bytes) -> int | str:
        with self._lock:
            event_id = str(json.loads(body).get("event_id"))
            self._attempts[event_id] += 1
            request = Received(
                len(self.requests) + 1,
                self._attempts[event_id],
                headers["x-cio-timestamp"],
                headers["x-cio-signature"],
                headers,
                body,
                event_id,
            )
            self.requests.append(request)
        return self.script(request)

    @property
    def ids(self) -> list[str]:
        """Event ids in order of arrival."""
        return [request.event_id for request in self.requests]


@contextmanager
def receiver(
    script: Script = lambda _: 200, port: int = 0, tls: ssl.SSLContext | None = None
) -> Iterator[Receiver]:
    received = Receiver(script)
    released = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # in one piece: two would wait for each other in the network stack

        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = received.take(headers, self.rfile.read(int(headers["content-length"])))
            if answer == "hang":
                released.wait(30)
            if answer == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if isinstance(answer, int) or answer == "close":
                self.send_response(200 if answer == "close" else int(answer))
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")
            if isinstance(answer, str):
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        # joining handlers would wait for keep-alive connections that the sandbox holds open
        block_on_close = False
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """The sandbox may go away in the middle of a request: that is what some tests are about."""

    with Server(("127.0.0.1", port), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        received.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}/webhooks/customerio"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield received
        finally:
            released.set()
            server.shutdown()
            thread.join()


def events(*names: str, person: str = "p") -> list[dict[str, Any]]:
    return [
        {
            "event_id": name,
            "object_type": "email",
            "metric": "sent",
            "timestamp": 1_700_000_000,
            "data": {"identifiers": {"id": person}},
        }
        for name in names
    ]


def states(server: SandboxServer) -> dict[str, str]:
    return {record["event_id"]: record["state"] for record in server.reported_events()}


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def fail_first(times: int, answer: int | str, names: tuple[str, ...] = ("a",)) -> Script:
    """Answer so to the first attempts at these events, and 200 to everything else."""
    return lambda request: answer if request.event_id in names and request.attempt <= times else 200
