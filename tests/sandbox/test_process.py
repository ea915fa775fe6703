"""Starting, stopping, TLS, the state file and the control endpoints."""

from __future__ import annotations

import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from cio_pipelines.sandbox import SandboxError, SandboxOptions, SandboxServer
from cio_pipelines.sandbox.__main__ import options_from_flags

from .conftest import identify, person, send, track_client


def run(*flags: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "cio_pipelines.sandbox", *flags]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_one_line_when_ready_and_ends_cleanly_on_a_signal(number: signal.Signals) -> None:
    process = run("--port", "0", "--fault", "status,status=503")
    assert process.stdout is not None
    url = process.stdout.readline().strip().removeprefix("Customer.io sandbox ready at ")
    assert httpx.get(f"{url}/api/v1/accounts/region").status_code == 503
    process.send_signal(number)
    assert process.communicate(timeout=10) == ("", "")
    assert process.returncode == 0


def test_port_in_use_is_named_with_the_remedy() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SandboxError, match=rf"port {port} .*stop what uses that port, or give another"):
            SandboxServer(SandboxOptions(port=port)).__enter__()


def test_wrong_flag_value_ends_with_code_2_and_a_reason() -> None:
    process = run("--fault", "slow,seconds")
    out, errors = process.communicate(timeout=10)
    assert (process.returncode, out) == (2, "")
    assert errors.strip() == "fault 'slow,seconds': write seconds=VALUE"


def test_flags_set_every_kind_of_option(tmp_path: Path) -> None:
    flags = ["--port", "81", "--discard", "--no-tls", "--workspace-kind", "id", "--oversize-status", "413"]
    flags += ["--ca-file", str(tmp_path), "--app-requests-per-second", "2.5", "--fault", "reset,count=1"]
    flags += ["--webhook-url", "http://127.0.0.1:1/", "--no-webhook-resign"]
    options = options_from_flags(flags)
    assert options == SandboxOptions(
        port=81,
        discard=True,
        workspace_kind="id",
        oversize_status=413,
        ca_file=tmp_path,
        app_requests_per_second=2.5,
        faults=({"kind": "reset", "count": 1},),
        webhook_url="http://127.0.0.1:1/",
        webhook_resign=False,
    )


def answers_within(url: str, seconds: float) -> bool:
    """Whether it still answers when the time is up; returns early when it does not."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            httpx.get(f"{url}/_sandbox/stats")
        except httpx.TransportError:
            return False
        time.sleep(0.02)
    return True


def test_sandbox_ends_when_the_process_that_started_it_is_killed() -> None:
    program = (
        "import time; from cio_pipelines.sandbox import SandboxServer\n"
        "with SandboxServer() as s: print(s.url, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().strip()
        assert httpx.get(f"{url}/_sandbox/stats").status_code == 200
        parent.kill()
    assert not answers_within(url, 10)


def test_it_ends_in_time_while_an_answer_is_held_back() -> None:
    with SandboxServer(SandboxOptions(faults=({"kind": "slow", "seconds": 60},))) as server:
        with track_client(server) as client, pytest.raises(httpx.ReadTimeout):
            client.get("/api/v1/accounts/region", timeout=0.1)
        started = time.monotonic()
    assert time.monotonic() - started < 5
    assert server.process.returncode == 0


@pytest.mark.parametrize(
    "settings",
    [
        {"port": 70_000},
        {"site_id": "a:b"},
        {"track_api_key": ""},
        {"region": "mars"},
        {"workspace_kind": "phone"},
        {"discard": True, "database": Path("x")},
        {"apply_delay": -1},
        {"app_requests_per_second": 0},
        {"log_limit": 0},
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(SandboxError):
        SandboxOptions(**settings)


def test_keys_are_not_shown() -> None:
    shown = repr(SandboxOptions(track_api_key="secret-one", app_api_key="secret-two"))
    assert "secret" not in shown


def test_tls_certificate_is_trusted_through_its_authority(tmp_path: Path) -> None:
    authority = tmp_path / "folder" / "authority.pem"
    with SandboxServer(SandboxOptions(tls=True, ca_file=authority)) as server:
        assert server.url.startswith("https://")
        assert server.ca_file == authority
        assert b"PRIVATE KEY" not in authority.read_bytes()
        assert server.stats()["people"] == 0
        with pytest.raises(httpx.ConnectError):
            httpx.get(server.url)


def test_state_survives_a_kill_and_a_restart(tmp_path: Path) -> None:
    options = SandboxOptions(database=tmp_path / "deep" / "sandbox.db")
    with SandboxServer(options) as server, track_client(server) as track:
        acme, gone = ({"object_type_id": "1", "object_id": name} for name in ("acme", "gone"))
        links = [{"identifiers": acme}, {"identifiers": gone}]
        send(
            track,
            identify("1", 1_700_000_000, email="A@example.com", n=1.50, o={"a": [1]}),
            identify("2"),
            identify("gone", a=1),
            person("suppress", "3"),
            person("add_relationships", "1", cio_relationships=links),
            person("event", "1", name="bought", id="01E4C4CT6YDC7Y5M7FE1GWWPQJ"),
            identify("1", anonymous_id="anon"),
            identify(""),
        )
        # In a request of its own, so that there is something in the file to take away.
        send(
            track,
            person("delete", "gone"),
            person("suppress", "2"),
            person("unsuppress", "3"),
            {"type": "object", "action": "delete", "identifiers": gone},
        )
        before = (server.people(), server.operations(), server.activities(), server.suppressed())
        server.process.kill()
        server.process.wait()
    with SandboxServer(options) as server, track_client(server) as track:
        assert (server.people(), server.operations(), server.activities(), server.suppressed()) == before
        assert server.stats()["objects"] == 1
        send(
            track,
            identify({"email": "a@EXAMPLE.com"}, 1_600_000_000, n=2),
            identify("2", a=1),
            person("event", "1", name="bought", id="01E4C4CT6YDC7Y5M7FE1GWWPQJ"),
            identify("4"),
        )
        assert server.people()["1"]["attributes"]["n"] == 1.5
        assert server.people()["4"]["cio_id"] not in {p.get("cio_id") for p in before[0].values()}
        assert [o["reason"] for o in server.operations()[-4:]] == ["", "suppressed", "duplicate_event", ""]
        server.reset()
    with SandboxServer(options) as server:
        assert (server.people(), server.operations(), server.activities(), server.suppressed()) == (
            {},
            [],
            [],
            [],
        )


def send_until_it_fails(track: httpx.Client, prefix: str, acknowledged: list[str]) -> None:
    while True:
        batch = [f"{prefix}-{len(acknowledged) + number}" for number in range(50)]
        assert send(track, *(identify(key, t="x" * 200) for key in batch)).status_code == 200
        acknowledged += batch


def test_kill_in_the_middle_of_writing_leaves_a_whole_file(tmp_path: Path) -> None:
    options = SandboxOptions(database=tmp_path / "sandbox.db")
    acknowledged: list[str] = []
    for number in range(2):
        with SandboxServer(options) as server, track_client(server) as track:
            killer = threading.Timer(0.3, server.process.kill)
            killer.start()
            with pytest.raises(httpx.TransportError):
                send_until_it_fails(track, f"round {number}", acknowledged)
            killer.join()
    with SandboxServer(options) as server:
        people = set(server.people())
    assert acknowledged
    assert people >= set(acknowledged)
    with sqlite3.connect(options.database or "") as connection:
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
    connection.close()


def test_waiting_operations_are_applied_when_it_is_stopped(tmp_path: Path) -> None:
    database = tmp_path / "sandbox.db"
    with SandboxServer(SandboxOptions(database=database, apply_delay=60)) as server:
        with track_client(server) as track:
            send(track, identify("p", a=1))
        assert server.people() == {}
    with SandboxServer(SandboxOptions(database=database)) as server:
        assert server.people()["p"]["attributes"] == {"a": 1}


def test_file_that_is_no_database_or_in_use_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, " * 100)
    with pytest.raises(SandboxError, match=r"notes\.txt"):
        SandboxServer(SandboxOptions(database=text)).__enter__()
    database = tmp_path / "sandbox.db"
    with (
        SandboxServer(SandboxOptions(database=database)),
        pytest.raises(SandboxError, match="stop the sandbox that uses it"),
    ):
        SandboxServer(SandboxOptions(database=database)).__enter__()


def test_log_keeps_the_newest_operations_only(tmp_path: Path) -> None:
    options = SandboxOptions(database=tmp_path / "sandbox.db", log_limit=10)
    with SandboxServer(options) as server, track_client(server) as track:
        send(track, *(identify(str(number), a=1) for number in range(30)))
        assert [o["sequence"] for o in server.operations()] == list(range(21, 31))
        assert len(server.activities()) == 10
        assert server.stats()["operations"]["accepted"] == 30
    with SandboxServer(options) as server:
        assert len(server.operations()) == 10
        assert len(server.activities()) == 10


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Host": "127.evil.example"},
    ],
)
def test_pages_of_other_sites_cannot_read_or_change_the_sandbox(
    server: SandboxServer, headers: dict[str, str]
) -> None:
    for method, path in (("GET", "people"), ("POST", "reset")):
        assert httpx.request(method, f"{server.url}/_sandbox/{path}", headers=headers).status_code == 403


def test_own_page_and_localhost_may(server: SandboxServer) -> None:
    assert httpx.get(f"{server.url}/_sandbox/stats", headers={"Origin": server.url}).status_code == 200
    assert httpx.get(f"{server.url}/_sandbox/stats", headers={"Host": "localhost:1"}).status_code == 200


def test_stats_count_requests_bytes_and_operations(track: httpx.Client, server: SandboxServer) -> None:
    body = b'{"batch":[%b]}' % b",".join(
        [b'{"type":"person","action":"identify","identifiers":{"id":"p"}}'] * 3 + [b"{}"]
    )
    track.post("/api/v2/batch", content=body)
    track.get("/nope")
    stats = server.stats()
    assert (stats["requests"], stats["body_bytes"]) == (2, len(body))
    assert stats["operations"] == {"accepted": 3, "rejected": 1, "ignored": 0}
    assert stats["operations_by_action"]["person.identify"] == {"accepted": 3}
    assert stats["answers_by_status"] == {"207": 1, "404": 1}
    assert stats["requests_by_path"] == {"/api/v2/batch": 1, "other": 1}
    assert stats["requests_per_second"] > 0


def test_twenty_thousand_people_are_listed_quickly(track: httpx.Client, server: SandboxServer) -> None:
    for start in range(0, 20_000, 2_000):
        send(
            track,
            *(identify(str(n), email=f"{n}@example.com", a="x" * 20) for n in range(start, start + 2_000)),
        )
    started = time.monotonic()
    people = server.people()
    assert time.monotonic() - started < 10  # one second on a quiet machine
    assert len(people) == 20_000
