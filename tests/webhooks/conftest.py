"""The receiver as a real server: in a thread of the test's process, or as the command `cio serve`."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from cio_pipelines.customerio.signature import sign
from cio_pipelines.landing import LandingZone
from cio_pipelines.serving import listen
from cio_pipelines.webhooks.layout import place_of
from cio_pipelines.webhooks.service import WEBHOOK_PATH, create_app

KEY = "cio_test_signing_key_0123456789abcdef"
CIO = str(Path(sys.executable).parent / "cio")


def event(number: int = 0, object_type: str = "email", metric: str = "sent", **members: Any) -> bytes:
    """An event with an id of its own for each number."""
    return json.dumps(
        {
            "event_id": f"01E2EMRMM6TZ12TF9W{number:08d}",
            "object_type": object_type,
            "metric": metric,
            "timestamp": 1_700_000_000,
            "data": {"identifiers": {"id": "ada@example.com"}},
            **members,
        }
    ).encode()


def signed(body: bytes, *, key: str = KEY, at: float | None = None) -> dict[str, str]:
    """The headers with which Customer.io would send a body."""
    timestamp = int(time.time() if at is None else at)
    return {"X-CIO-Timestamp": str(timestamp), "X-CIO-Signature": sign(key, timestamp, body)}


def landed(folder: Path) -> list[tuple[str, bytes]]:
    """Object type (of the folder) and body of every event in a landing zone."""
    found: list[tuple[str, bytes]] = []
    for file in folder.rglob("[!.]*.ndjson.gz"):  # a killed writer leaves a file whose name begins with a dot
        path = str(file.relative_to(folder))
        place = place_of(path)
        assert place is not None
        lines = gzip.decompress(file.read_bytes()).splitlines()
        for number, line in enumerate(lines, 1):
            record = json.loads(line)
            assert (record["object"], record["line"], record["lines"]) == (path, number, len(lines))
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", record["received_at"])
            assert record["received_at"].startswith(place.received.isoformat())
            found.append((place.object_type, record["body"].encode("utf-8", "surrogatepass")))
    return found


def eventually(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Wait until something holds. Fails when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.01)


@dataclass
class Running:
    """A service that can be called, and the folder that it keeps events in."""

    url: str
    folder: Path
    client: httpx.Client = field(repr=False)

    def post(self, body: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
        """Deliver an event, rightly signed unless other headers are given."""
        return self.client.post(
            WEBHOOK_PATH, content=body, headers=signed(body) if headers is None else headers
        )

    def counted(self, name: str) -> float:
        """A counter or gauge with its labels as the service shows it; 0 for one that it does not."""
        for line in self.client.get("/metrics").raise_for_status().text.splitlines():
            shown, _, value = line.rpartition(" ")
            if shown == name:
                return float(value)
        return 0.0


@contextmanager
def running(app: FastAPI, folder: Path) -> Iterator[Running]:
    """Serve an application in a thread."""
    listener = listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    process = uvicorn.Server(
        uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=8)
    )
    thread = threading.Thread(target=process.run, kwargs={"sockets": [listener]})
    thread.start()
    with httpx.Client(base_url=url, trust_env=False, timeout=20) as client:
        try:
            eventually(lambda: process.started)
            yield Running(url, folder, client)
        finally:
            process.should_exit = True
            thread.join()


@contextmanager
def receiving(folder: Path, **arguments: Any) -> Iterator[Running]:
    """Serve with a landing zone in a folder, and what `create_app` takes."""
    app = create_app(**{"zone": LandingZone(f"file://{folder}"), "keys": [KEY], **arguments})
    with running(app, folder) as service:
        yield service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A receiver as it comes, shared by the tests of a module."""
    with receiving(tmp_path_factory.mktemp("landing")) as shared:
        yield shared


class Command:
    """`cio serve` in a process of its own, on a free port."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [CIO, "serve", *(arguments or ("--port", "0"))],
            env={
                **os.environ,
                "LANDING_URL": f"file://{folder}",
                "CUSTOMERIO_WEBHOOK_SIGNING_KEY": KEY,
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def first_line(self) -> dict[str, Any]:
        """What it logs when it is ready."""
        assert self.process.stderr is not None
        return json.loads(self.process.stderr.readline())

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
        """Send a signal; returns exit code, standard output and the rest of standard error."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out.decode(), err.decode()


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Callable[..., Command]]:
    """Starts `cio serve`; whatever still runs at the end of the test is killed."""
    started: list[Command] = []

    def start(*arguments: str, **environment: str) -> Command:
        started.append(Command(tmp_path / "landing", *arguments, **environment))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()
