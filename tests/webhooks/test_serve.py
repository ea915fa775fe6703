"""`cio serve` as a process: how it starts, what it says, and what a signal does to what was acknowledged."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import httpx
import pytest

from cio_pipelines.webhooks.service import WEBHOOK_PATH

from .conftest import CIO, KEY, Command, event, eventually, landed, signed

Start = Callable[..., Command]


class Load:
    """Senders that deliver event after event until the service is gone, and remember the answers."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._numbers = count()
        self.acknowledged: list[bytes] = []
        self.other: list[int] = []

    def send(self) -> None:
        with httpx.Client(trust_env=False, timeout=20) as client:
            while True:
                number = next(self._numbers)
                body = event(number, ("email", "push", "sms")[number % 3], text="x" * 300)
                try:
                    status = client.post(self._url, content=body, headers=signed(body)).status_code
                except httpx.TransportError:
                    return
                if status == 200:
                    self.acknowledged.append(body)
                else:
                    self.other.append(status)


@contextmanager
def under_load(url: str) -> Iterator[Load]:
    """Eight senders, once a hundred events are acknowledged; they have ended when the block has."""
    load = Load(url)
    threads = [threading.Thread(target=load.send) for _ in range(8)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(load.acknowledged) >= 100)
    yield load
    for thread in threads:
        thread.join(20)


def test_kill_in_the_middle_loses_nothing_that_was_acknowledged(command: Start) -> None:
    acknowledged: list[bytes] = []
    for _ in range(2):
        serve = command()
        with under_load(serve.first_line()["url"]) as load:
            serve.process.kill()
        acknowledged += load.acknowledged
        assert load.other == []
        assert serve.wait()[0] == -signal.SIGKILL
    assert {body for _, body in landed(serve.folder)} >= set(acknowledged)


def test_what_waits_is_stored_and_answered_on_a_signal(command: Start) -> None:
    serve = command()
    with under_load(serve.first_line()["url"]) as load:
        started = time.monotonic()
        code, out, err = serve.end()
    assert (code, out) == (0, "")
    assert time.monotonic() - started < 10
    assert load.other == []
    kept = [body for _, body in landed(serve.folder)]
    assert len(kept) == len(set(kept))
    assert set(kept) >= set(load.acknowledged)
    # those that were being answered when the connection was closed, one a sender at most
    assert len(set(kept) - set(load.acknowledged)) <= 8
    assert [json.loads(line)["message"] for line in err.splitlines()] == ["stopped"]


def test_it_says_where_it_listens_and_ends_on_ctrl_c_whatever_is_connected(command: Start) -> None:
    serve = command()
    line = serve.first_line()
    assert {name: line[name] for name in ("severity", "message", "landing_zone", "signing_keys")} == {
        "severity": "INFO",
        "message": "receiving",
        "landing_zone": f"file://{serve.folder}",
        "signing_keys": 1,
    }
    port = httpx.URL(line["url"]).port
    assert httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200
    with (
        socket.create_connection(("127.0.0.1", port)) as idle,
        socket.create_connection(("127.0.0.1", port)) as half,
    ):
        half.sendall(f"POST {WEBHOOK_PATH} HTTP/1.1\r\nHost: x\r\n".encode())
        idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.recv(100).startswith(b"HTTP/1.1 200 OK")
        started = time.monotonic()
        assert serve.end(signal.SIGINT)[0] == 0
        assert time.monotonic() - started < 5


def test_logs_hold_no_personal_data_and_no_secret(command: Start, tmp_path: Path) -> None:
    (tmp_path / "unlucky.py").write_text(
        "def register(bus):\n    @bus.on()\n    def handler(event):\n        raise ValueError(event.body)\n"
    )
    serve = command(
        "--port",
        "0",
        PYTHONPATH=str(tmp_path),
        CIO_WEBHOOK_HANDLERS=" unlucky:register, ",
        CUSTOMERIO_WEBHOOK_SIGNING_KEY=f"{KEY},second-key",
    )
    line = serve.first_line()
    assert line["signing_keys"] == 2
    with httpx.Client(trust_env=False) as client:

        def status(body: bytes, headers: dict[str, str]) -> int:
            return client.post(line["url"], content=body, headers=headers).status_code

        assert status(event(1), signed(event(1), key="second-key")) == 200
        assert (
            status(event(2, "customer", "unsubscribed"), signed(event(2, "customer", "unsubscribed"))) == 200
        )
        assert status(b"ada@example.com", signed(b"ada@example.com")) == 400
        assert status(event(3), {"X-CIO-Signature": "ada@example.com"}) == 401
        serve.folder.rename(tmp_path / "away")
        serve.folder.write_text("a file where the folder was")
        assert status(event(4), signed(event(4))) == 503
    code, _, err = serve.end()
    assert code == 0
    logged = [json.loads(line) for line in err.splitlines()]
    messages = [line["message"] for line in logged]
    assert sorted(set(messages)) == [
        "a handler failed",
        "consent changed",
        "events cannot be stored, and are answered 503",
        "stopped",
    ]
    assert all({"time", "severity", "logger"} <= set(line) for line in logged)
    assert not any(secret in err for secret in ("ada@", KEY, "second-key", "Traceback"))


def test_a_person_who_watches_reads_text(tmp_path: Path) -> None:
    ours, its = pty.openpty()
    environment = {
        **os.environ,
        "LANDING_URL": f"file://{tmp_path}",
        "PORT": "0",
        "CUSTOMERIO_WEBHOOK_SIGNING_KEY": KEY,
    }
    with subprocess.Popen([CIO, "serve"], env=environment, stderr=its) as process:
        os.close(its)
        try:
            line = os.read(ours, 10_000).decode()
        finally:
            process.terminate()
    os.close(ours)
    assert process.returncode == 0
    assert " info    receiving  url=http://127.0.0.1:" in line


@pytest.mark.parametrize(
    ("environment", "code", "told"),
    [
        (
            {"CIO_ENV": "prod", "CUSTOMERIO_WEBHOOK_SIGNING_KEY": ""},
            2,
            "CUSTOMERIO_WEBHOOK_SIGNING_KEY is not set.",
        ),
        (
            {"CUSTOMERIO_WEBHOOK_SIGNING_KEY": "caf\udce9"},
            2,
            "CUSTOMERIO_WEBHOOK_SIGNING_KEY is not UTF-8.",
        ),
        ({"LANDING_URL": "file:///proc/none"}, 1, "The landing zone file:///proc/none cannot be written to"),
        ({"CIO_WEBHOOK_HANDLERS": "no_such:thing"}, 2, "CIO_WEBHOOK_HANDLERS is not valid: 'no_such:thing'"),
    ],
)
def test_what_keeps_it_from_starting_is_one_line(
    command: Start, environment: dict[str, str], code: int, told: str
) -> None:
    ended, out, err = command("--host", "127.0.0.1", **environment).wait()

    assert (ended, out) == (code, "")
    assert err.startswith(f"cio: {told}")
    assert err.count("\n") == 1


def test_a_port_that_is_taken_is_named_with_the_remedy(command: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended, _, err = command("--port", str(port)).wait()
    assert ended == 2
    assert err.startswith(
        f"cio: Cannot listen on 127.0.0.1 port {port} (Address already in use). Stop what uses"
    )
