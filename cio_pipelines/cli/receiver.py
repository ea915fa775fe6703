"""`cio serve` as a process beside another command, for the demo, the UI and benchmarks."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import httpx

_START_SECONDS = 30.0
_STOP_SECONDS = 15.0


class ReceiverError(Exception):
    """The receiver did not come up. The message is what it said."""


class ReceiverProcess:
    """A receiver on this machine; a context manager. Port 0 takes a free one, which stays the same.

    `environment` is the whole environment of the process.
    """

    def __init__(self, environment: Mapping[str, str], port: int = 0) -> None:
        self.port = port or _free_port()
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where Customer.io reports to."""
        return f"http://127.0.0.1:{self.port}/webhooks/customerio"

    def start(self) -> None:
        """Start it, and wait until it answers. Raises ReceiverError."""
        command = [Path(sys.executable).with_name("cio"), "serve", "--port", str(self.port)]
        with tempfile.TemporaryFile() as said:
            self._process = subprocess.Popen(  # noqa: S603  # our own executable
                command, env=self._environment, stdout=subprocess.DEVNULL, stderr=said, start_new_session=True
            )
            deadline = time.monotonic() + _START_SECONDS
            while not self._answers():
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    said.seek(0)
                    told = said.read().decode("utf-8", "replace").strip()
                    raise ReceiverError(
                        f"The receiver did not come up: {told.removeprefix('cio: ') or 'it said nothing'}"
                        f"\nRun `cio serve --port {self.port}` to see it by itself."
                    )
                time.sleep(0.05)

    def stop(self) -> None:
        """Let it store and answer what it has, and end."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, as an out-of-memory killer does."""
        self._end(signal.SIGKILL)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/healthz", trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def _end(self, number: signal.Signals) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(number)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
