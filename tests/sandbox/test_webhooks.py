"""Reporting: signed, in order, again until it is acknowledged, and what is told about it."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from cio_pipelines.sandbox import SandboxError, SandboxOptions, SandboxServer
from cio_pipelines.sandbox.stats import AnswerTimes
from cio_pipelines.sandbox.webhooks import HOUR, patience

from .conftest import identify, send, track_client, variant
from .receiver import Script, receiver

FAST = 1_000_000.0
"""A clock on which seven days are 0.6 seconds and an hour is 4 milliseconds."""


@pytest.fixture
def server(server: SandboxServer) -> Iterator[SandboxServer]:
    """An empty sandbox; whatever a test does to its webhook is undone."""
    yield server
    server.set_webhook(
        url=None, streams=1, timeout=4.0, clock=1.0, duplicates=0.0, bad_signatures=0.0, resign=True
    )


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


def test_what_happens_is_reported_as_signed_json(server: SandboxServer) -> None:
    with receiver() as received, track_client(server) as track:
        server.set_webhook(url=received.url)
        send(track, identify("ada", email="ada@example.com", unsubscribed=True))
        report = server.wait_until_reported()
    (request,) = received.requests
    assert request.is_signed()
    assert abs(int(request.timestamp) - time.time()) < 60
    assert request.headers["content-type"] == "application/json"
    cio_id = server.people()["ada"]["cio_id"]
    event = json.loads(request.body)
    assert request.body.decode() == (
        '{"data":{"customer_id":"ada","email_address":"ada@example.com","identifiers":'
        f'{{"cio_id":"{cio_id}","email":"ada@example.com","id":"ada"}}}},"event_id":"{event["event_id"]}",'
        f'"metric":"unsubscribed","object_type":"customer","timestamp":{event["timestamp"]}}}'
    )
    assert (report["acknowledged"], report["attempts"], report["by_status"]) == (1, 1, {"200": 1})
    assert 0 < report["answer_ms"]["2xx"]["p50"] <= report["answer_ms"]["2xx"]["max"]
    assert states(server) == {event["event_id"]: "acknowledged"}


def test_raw_events_are_sent_byte_for_byte_whatever_they_are(server: SandboxServer) -> None:
    bodies = [b'{ "event_id" :"\\u0041","n":1.50,"data":[] }', b'{"name":"Zo\xc3\xab"}', b'{"event_id":7}']
    with receiver() as received:
        server.set_webhook(url=received.url)
        server.emit(bodies)
        server.emit(events("a"))
        server.wait_until_reported()
    assert [request.body for request in received.requests[:3]] == bodies
    assert received.ids == ["A", "None", "7", "a"]


def test_failing_event_holds_back_the_rest_of_its_stream(server: SandboxServer) -> None:
    with receiver(fail_first(3, 503, ("b",))) as received:
        server.set_webhook(url=received.url, clock=FAST)
        server.emit(events("a", "b", "c", "d"))
        server.wait_until_reported()
    assert received.ids == ["a", "b", "b", "b", "b", "c", "d"]


def test_held_back_stream_is_told_with_the_status(server: SandboxServer) -> None:
    with receiver(fail_first(99, 503)) as received:
        server.set_webhook(url=received.url)
        server.emit(events("a", "b"))
        until(lambda: server.webhooks()["failing"] == {"503": 1})
        report = server.webhooks()
        assert (report["idle"], report["acknowledged"]) == (False, 0)
        with pytest.raises(SandboxError, match=r"2 events are not reported.*503"):
            server.wait_until_reported(0.1)
    assert server.stats()["webhook"] == {"queued": 2, "acknowledged": 0, "failing": {"503": 1}}
    assert states(server) == {"a": "waiting", "b": "waiting"}


@pytest.mark.parametrize(
    "status",
    ["400", "401", "402", "403", "404", "405", "410", "429", "500", "502", "521", "connection", "tls"],
)
def test_after_these_failures_the_first_wait_is_an_hour(status: str) -> None:
    assert patience(status, 1) == HOUR


@pytest.mark.parametrize("status", ["408", "503", "504", "301", "timeout", "not_http"])
def test_after_other_failures_waits_begin_short_and_grow_to_half_a_day(status: str) -> None:
    waits = [patience(status, attempt) for attempt in range(1, 40)]
    assert waits[0] < 60
    assert all(second == 2 * first for first, second in pairwise(waits[:5]))
    assert waits[-1] == 12 * HOUR


def test_an_hour_is_waited_out_on_the_clock_of_the_sandbox(server: SandboxServer) -> None:
    with receiver(fail_first(1, 500)) as received:
        server.set_webhook(url=received.url, clock=HOUR / 0.4)
        server.emit(events("a"))
        server.wait_until_reported()
    first, second = received.requests
    assert 0.4 <= second.at - first.at < 5


def test_event_is_given_up_after_seven_days_and_the_next_one_goes_out(server: SandboxServer) -> None:
    with receiver(fail_first(10**9, 500)) as received:
        server.set_webhook(url=received.url, clock=FAST)
        server.emit(events("a", "b"))
        report = server.wait_until_reported()
    assert states(server) == {"a": "given_up", "b": "acknowledged"}
    assert (report["given_up"], report["acknowledged"], received.ids[-1]) == (1, 1, "b")
    tried = [request.at for request in received.requests if request.event_id == "a"]
    assert len(tried) > 5
    assert tried[-1] - tried[0] <= 7 * 24 * HOUR / FAST + 0.2


@pytest.mark.parametrize(("answer", "word"), [("hang", "timeout"), ("reset", "connection"), (302, "302")])
def test_anything_but_2xx_in_time_is_tried_again(server: SandboxServer, answer: int | str, word: str) -> None:
    with receiver(fail_first(2, answer)) as received:
        server.set_webhook(url=received.url, clock=FAST, timeout=0.2)
        server.emit(events("a", "b"))
        report = server.wait_until_reported()
    assert received.ids == ["a", "a", "a", "b"]
    assert report["by_status"] == {word: 2, "200": 2}


def test_receiver_that_ends_connections_after_an_answer_costs_no_attempt(server: SandboxServer) -> None:
    with receiver(lambda _: "close") as received:
        server.set_webhook(url=received.url)
        for name in "abcde":
            server.emit(events(name))
            server.wait_until_reported()
    assert received.ids == list("abcde")
    assert server.webhooks()["by_status"] == {"200": 5}


def test_receiver_that_is_not_there_is_asked_once_an_hour_and_at_once_when_told(
    server: SandboxServer,
) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    server.set_webhook(url=f"http://127.0.0.1:{port}/webhooks/customerio")
    server.emit(events("a", "b"))
    until(lambda: server.webhooks()["failing"] == {"connection": 1})
    assert server.webhooks()["attempts"] == 1
    with receiver(port=port) as received:
        server.set_webhook()
        server.wait_until_reported()
    assert received.ids == ["a", "b"]


def test_untrusted_certificate_is_refused(server: SandboxServer) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with receiver(tls=context) as received:
        server.set_webhook(url=received.url)
        server.emit(events("a"))
        until(lambda: server.webhooks()["failing"] == {"tls": 1})
        assert received.requests == []


@pytest.mark.parametrize("resign", [True, False])
def test_repeated_attempt_is_signed_afresh_or_as_before(server: SandboxServer, resign: bool) -> None:
    with receiver(fail_first(1, 500)) as received:
        server.set_webhook(url=received.url, resign=resign, clock=HOUR / 1.1)
        server.emit(events("a"))
        server.wait_until_reported()
    first, second = received.requests
    assert first.is_signed()
    assert second.is_signed()
    assert (second.timestamp > first.timestamp) is resign
    assert (first.signature == second.signature) is not resign


def test_duplicates_come_again_after_they_were_acknowledged(server: SandboxServer) -> None:
    with receiver() as received:
        server.set_webhook(url=received.url, duplicates=1.0)
        server.emit(events("a", "b", "c"))
        report = server.wait_until_reported()
    assert sorted(received.ids) == ["a", "a", "b", "b", "c", "c"]
    assert all(request.is_signed() for request in received.requests)
    assert (report["duplicates_sent"], report["acknowledged"]) == (3, 3)
    assert [record["answers"] for record in server.reported_events()] == [2, 2, 2]


def test_bad_signatures_are_requests_of_their_own(server: SandboxServer) -> None:
    with receiver(lambda request: 200 if request.is_signed() else 401) as received:
        server.set_webhook(url=received.url, bad_signatures=1.0)
        server.emit(events("ev-1", "ev-2", "ev-3"))
        report = server.wait_until_reported()
    signed = {request.event_id for request in received.requests if request.is_signed()}
    forged = {request.event_id for request in received.requests if not request.is_signed()}
    assert signed == {"ev-1", "ev-2", "ev-3"}
    assert len(forged) == 3
    assert not forged & signed
    assert report["bad_signatures"] == {"sent": 3, "by_status": {"401": 3}}
    assert report["by_status"] == {"200": 3}
    assert {name for name, state in states(server).items() if state == "forged"} == forged
    assert len({request.body.replace(request.event_id.encode(), b"") for request in received.requests}) == 1


def test_streams_keep_the_order_of_each_person(server: SandboxServer) -> None:
    people = [f"p{number}" for number in range(20)]
    with receiver(lambda request: 503 if request.attempt == 1 > request.number % 5 else 200) as received:
        server.set_webhook(url=received.url, streams=8, clock=FAST)
        server.emit([e for turn in range(10) for p in people for e in events(f"{p}-{turn}", person=p)])
        server.wait_until_reported()
    turns: dict[str, list[int]] = defaultdict(list)
    for request in received.requests:
        if request.attempt == 1:
            person, _, turn = request.event_id.partition("-")
            turns[person].append(int(turn))
    assert turns == {person: list(range(10)) for person in people}


def test_one_failing_stream_does_not_hold_back_the_others(server: SandboxServer) -> None:
    with receiver(fail_first(99, 503, ("p0",))) as received:
        server.set_webhook(url=received.url, streams=16)
        server.emit([e for number in range(60) for e in events(f"p{number}", person=f"p{number}")])
        until(lambda: server.webhooks()["acknowledged"] > 40)
        assert server.webhooks()["failing"] == {"503": 1}
    assert "p0" in received.ids


def test_without_a_url_events_are_kept_until_there_is_one(server: SandboxServer) -> None:
    server.emit(events("a", "b"))
    report = server.webhooks()
    assert (report["queued"], report["attempts"], report["idle"]) == (2, 0, False)
    with receiver() as received:
        server.set_webhook(url=received.url)
        server.wait_until_reported()
        server.set_webhook(url=None)
        server.emit(events("c"))
    assert received.ids == ["a", "b"]
    assert states(server) == {"a": "acknowledged", "b": "acknowledged", "c": "waiting"}


def test_reset_forgets_what_waits_and_keeps_the_settings(server: SandboxServer) -> None:
    with receiver(fail_first(99, 503)) as received:
        server.set_webhook(url=received.url)
        server.emit(events("a", "b"))
        until(lambda: bool(received.requests))
        server.reset()
        assert server.reported_events() == []
        server.emit(events("c"))
        report = server.wait_until_reported()
    assert received.ids == ["a", "c"]
    assert (report["acknowledged"], report["attempts"]) == (1, 1)


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
    server: SandboxServer, settings: dict[str, Any]
) -> None:
    before = server.webhooks()["settings"]
    with pytest.raises(SandboxError, match="refused PUT webhooks"):
        server.set_webhook(**settings)
    assert server.webhooks()["settings"] == before
    if "colour" not in settings:
        with pytest.raises(SandboxError, match="webhook cannot work"):
            SandboxOptions(**{f"webhook_{name}": value for name, value in settings.items()})


def test_signing_key_is_not_shown(server: SandboxServer) -> None:
    assert "signing_key" not in server.webhooks()["settings"]
    assert "secret" not in repr(SandboxOptions(webhook_signing_key="secret"))


def test_other_key_signs(server: SandboxServer) -> None:
    with receiver() as received:
        server.set_webhook(url=received.url, signing_key="another")
        server.emit(events("a"))
        server.wait_until_reported()
        server.set_webhook(signing_key="sandbox-signing-key")
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


def test_idle_sandbox_uses_no_processor_time(server: SandboxServer) -> None:
    with receiver() as received:
        server.set_webhook(url=received.url, streams=64)
        server.emit(events("a"))
        server.wait_until_reported()
        stat = Path(f"/proc/{server.process.pid}/stat")
        if not stat.exists():
            pytest.skip("no /proc")

        def ticks() -> int:
            return sum(int(part) for part in stat.read_text().rpartition(")")[2].split()[11:13])

        before = ticks()
        time.sleep(1)
        assert ticks() - before <= 5  # hundredths of a second


def test_generated_events_are_sent_fast(server: SandboxServer) -> None:
    with receiver() as received:
        server.set_webhook(url=received.url, streams=16)
        server.generate_events(2_000, seed=3, people=100)
        report = server.wait_until_reported()
    assert len(set(received.ids)) == 2_000
    assert report["events_per_second"] > 100


def test_events_beyond_the_limit_are_forgotten_unless_they_are_being_sent() -> None:
    with variant(SandboxOptions(log_limit=10)) as sandbox:
        sandbox.request("POST", "/_sandbox/events", json=events(*(str(n) for n in range(25))))
        assert [event["event_id"] for event in sandbox.reported()] == [str(n) for n in range(15, 25)]
    with variant(SandboxOptions(log_limit=10, webhook_url="http://127.0.0.1:9/")) as sandbox:
        sandbox.request("POST", "/_sandbox/events", json=events(*(str(n) for n in range(25))))
        assert len(sandbox.reported()) == 25


def test_body_that_is_too_large_or_no_events_is_refused(server: SandboxServer) -> None:
    for body in (b"", b"nonsense", b'{"generate":-1}', b'{"generate":1,"colour":2}', b"[1,"):
        answer = httpx.post(f"{server.url}/_sandbox/events", content=body)
        assert (answer.status_code, body) == (400, body)
    assert server.reported_events() == []


def test_answer_times_are_within_a_per_cent() -> None:
    times = AnswerTimes()
    assert times.summary() == {"count": 0, "p50": 0.0, "p95": 0.0, "p99": 0.0, "max": 0.0}
    for milliseconds in range(1, 1001):
        times.add(milliseconds / 1000)
    summary = times.summary()
    assert (summary["count"], summary["max"]) == (1000, 1000)
    for name, expected in (("p50", 500), ("p95", 950), ("p99", 990)):
        assert summary[name] == pytest.approx(expected, rel=0.011)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", "204"),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", "200"),
        (b"HTTP/1.0 200 OK\r\n\r\n", "200"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "503"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "200"),
        (b"SMTP ready\r\n", "not_http"),
        (b"", "connection"),
    ],
)
def test_answers_of_all_kinds_are_understood(server: SandboxServer, answer: bytes, status: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        server.set_webhook(url=f"http://127.0.0.1:{listener.getsockname()[1]}/")
        server.emit(events("a"))
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(65536)
            connection.sendall(answer)
            if not answer.startswith(b"HTTP/1.1 20") or b"until" in answer:
                connection.shutdown(socket.SHUT_WR)
            until(lambda: server.webhooks()["by_status"] != {})
    assert server.webhooks()["by_status"] == {status: 1}
