"""What is to be reported: kept, forgotten, sent after a kill, under which settings."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from cio_pipelines.sandbox import SandboxError, SandboxOptions, SandboxServer
from cio_pipelines.sandbox.stats import AnswerTimes

from .conftest import identify, variant
from .receiver import FAST, events, fail_first, receiver, states, until


def test_raw_events_are_sent_byte_for_byte_whatever_they_are(reporting: SandboxServer) -> None:
    bodies = [b'{ "event_id" :"\\u0041","n":1.50,"data":[] }', b'{"name":"Zo\xc3\xab"}', b'{"event_id":7}']
    with receiver() as received:
        reporting.set_webhook(url=received.url)
        reporting.emit(bodies)
        reporting.emit(events("a"))
        reporting.wait_until_reported()
    assert [request.body for request in received.requests[:3]] == bodies
    assert received.ids == ["A", "None", "7", "a"]


def test_without_a_url_events_are_kept_until_there_is_one(reporting: SandboxServer) -> None:
    reporting.emit(events("a", "b"))
    report = reporting.webhooks()
    assert (report["queued"], report["attempts"], report["idle"]) == (2, 0, False)
    with pytest.raises(SandboxError, match="no URL"):
        reporting.wait_until_reported()
    with receiver() as received:
        reporting.set_webhook(url=received.url)
        reporting.wait_until_reported()
        reporting.set_webhook(url=None)
        reporting.emit(events("c"))
    assert received.ids == ["a", "b"]
    assert states(reporting) == {"a": "acknowledged", "b": "acknowledged", "c": "waiting"}


def test_reset_forgets_what_waits_and_keeps_the_settings(reporting: SandboxServer) -> None:
    with receiver(fail_first(99, "hang")) as received:
        reporting.set_webhook(url=received.url)
        reporting.emit(events("a", "b"))
        until(lambda: bool(received.requests))
        reporting.reset()
        assert reporting.reported_events() == []
        reporting.emit(events("c"))
        report = reporting.wait_until_reported()
    assert received.ids == ["a", "c"]
    assert (report["acknowledged"], report["attempts"], report["in_flight"]) == (1, 1, 0)


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "ftp://127.0.0.1/"},
        {"url": "http://"},
        {"url": "http://user:secret@127.0.0.1/"},
        {"url": "http://127.0.0.1/\r\nX-Evil: 1"},
        {"url": "http://127.0.0.1:99999/"},
        {"clock": 0},
        {"streams": 0},
        {"duplicates": 1.5},
        {"signing_key": ""},
        {"colour": "red"},
    ],
)
def test_settings_that_cannot_work_are_refused_and_change_nothing(
    reporting: SandboxServer, settings: dict[str, Any]
) -> None:
    before = reporting.webhooks()["settings"]
    with pytest.raises(SandboxError, match="refused PUT webhooks"):
        reporting.set_webhook(**settings)
    assert reporting.webhooks()["settings"] == before
    if "colour" not in settings:
        with pytest.raises(SandboxError, match="webhook cannot work"):
            SandboxOptions(**{f"webhook_{name}": value for name, value in settings.items()})


def test_signing_key_is_not_shown(reporting: SandboxServer) -> None:
    assert "signing_key" not in reporting.webhooks()["settings"]
    assert "secret" not in repr(SandboxOptions(webhook_signing_key="secret"))


def test_other_key_signs(reporting: SandboxServer) -> None:
    with receiver() as received:
        reporting.set_webhook(url=received.url, signing_key="another")
        reporting.emit(events("a"))
        reporting.wait_until_reported()
        reporting.set_webhook(signing_key="sandbox-signing-key")
    assert received.requests[0].is_signed("another")


def test_outbox_survives_a_kill_and_sends_what_was_not_acknowledged(tmp_path: Path) -> None:
    open_to = {"a"}
    with receiver(lambda request: 200 if request.event_id in open_to else 503) as received:
        options = SandboxOptions(database=tmp_path / "sandbox.db", webhook_url=received.url)
        with SandboxServer(options) as server:
            server.emit(events("a", "b", "c"))
            until(lambda: server.webhooks()["failing"] == {"503": 1})
            until(lambda: server.webhooks()["written_down"])
            server.process.kill()
            server.process.wait()
        open_to |= {"b", "c", "d"}
        with SandboxServer(options) as server:
            server.emit(events("d"))
            server.wait_until_reported()
            assert set(states(server).values()) == {"acknowledged"}
    assert received.ids == ["a", "b", "b", "c", "d"]


def test_every_event_arrives_over_kills_in_the_middle_of_sending(tmp_path: Path) -> None:
    names = [f"e{number}" for number in range(600)]
    with receiver() as received:
        options = SandboxOptions(
            database=tmp_path / "sandbox.db", webhook_url=received.url, webhook_streams=4, webhook_clock=FAST
        )
        for start in range(0, 600, 200):
            with SandboxServer(options) as server:
                some = [e for name in names[start : start + 200] for e in events(name, person=name)]
                server.emit(some)
                until(lambda start=start: len(received.requests) > start + 50)
                server.process.kill()
                server.process.wait()
        with SandboxServer(options) as server:
            server.wait_until_reported()
            assert states(server) == dict.fromkeys(names, "acknowledged")
    assert set(received.ids) == set(names)


def test_it_stops_in_time_while_an_answer_is_awaited_and_sends_again_after(tmp_path: Path) -> None:
    with receiver(fail_first(1, "hang")) as received:
        options = SandboxOptions(database=tmp_path / "sandbox.db", webhook_url=received.url)
        with SandboxServer(options) as server:
            server.emit(events("a"))
            until(lambda: bool(received.requests))
            started = time.monotonic()
        assert time.monotonic() - started < 3
        assert server.process.returncode == 0
        with SandboxServer(options) as server:
            server.wait_until_reported()
    assert received.ids == ["a", "a"]


def test_idle_sandbox_uses_no_processor_time(reporting: SandboxServer) -> None:
    with receiver() as received:
        reporting.set_webhook(url=received.url, streams=64)
        reporting.emit(events("a"))
        reporting.wait_until_reported()
        stat = Path(f"/proc/{reporting.process.pid}/stat")
        if not stat.exists():
            pytest.skip("no /proc")

        def ticks() -> int:
            return sum(int(part) for part in stat.read_text().rpartition(")")[2].split()[11:13])

        before = ticks()
        time.sleep(1)
        assert ticks() - before <= 5  # hundredths of a second


def test_generated_events_are_sent_fast(reporting: SandboxServer) -> None:
    with receiver() as received:
        reporting.set_webhook(url=received.url, streams=16)
        reporting.generate_events(2_000, seed=3, people=100)
        report = reporting.wait_until_reported()
    assert len(set(received.ids)) == 2_000
    assert report["events_per_second"] > 100


def test_events_beyond_the_limit_are_forgotten_unless_they_are_being_sent() -> None:
    with variant(SandboxOptions(log_limit=10)) as sandbox:
        sandbox.request("POST", "/_sandbox/events", json=events(*(str(n) for n in range(25))))
        assert [event["event_id"] for event in sandbox.reported()] == [str(n) for n in range(15, 25)]
    with variant(SandboxOptions(log_limit=10, webhook_url="http://127.0.0.1:9/")) as sandbox:
        sandbox.request("POST", "/_sandbox/events", json=events(*(str(n) for n in range(25))))
        assert len(sandbox.reported()) == 25


def test_body_that_is_too_large_or_no_events_is_refused(reporting: SandboxServer) -> None:
    for body in (b"", b"nonsense", b'{"generate":-1}', b'{"generate":1,"colour":2}', b"[1,", b'["\xff"]'):
        answer = httpx.post(f"{reporting.url}/_sandbox/events", content=body)
        assert (answer.status_code, body) == (400, body)
    assert reporting.reported_events() == []


def test_answer_times_are_within_a_per_cent() -> None:
    times = AnswerTimes()
    assert times.summary() == {"count": 0, "p50": 0.0, "p95": 0.0, "p99": 0.0, "max": 0.0}
    for milliseconds in range(1, 1001):
        times.add(milliseconds / 1000)
    summary = times.summary()
    assert (summary["count"], summary["max"]) == (1000, 1000)
    for name, expected in (("p50", 500), ("p95", 950), ("p99", 990)):
        assert summary[name] == pytest.approx(expected, rel=0.011)


def test_file_of_the_version_before_is_taken_over(tmp_path: Path) -> None:
    options = SandboxOptions(database=tmp_path / "sandbox.db")
    with variant(options) as sandbox:
        sandbox.track(identify("a", n=1))
    connection = sqlite3.connect(tmp_path / "sandbox.db")
    for table in ("deliveries", "gone", "reported"):
        connection.execute(f"drop table {table}")
    connection.execute("pragma user_version = 1")
    connection.close()
    with variant(options) as sandbox:
        assert sandbox.people()["a"]["attributes"] == {"n": 1}
        sandbox.track(identify("a", unsubscribed=True))
    with variant(options) as sandbox:
        assert [event["metric"] for event in sandbox.reported()] == ["unsubscribed"]
