"""Reporting: signed, in order, again until it is acknowledged, and what is told about it."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections import defaultdict
from itertools import pairwise

import pytest
import trustme

from cio_pipelines.sandbox import SandboxError, SandboxServer
from cio_pipelines.sandbox.webhooks import HOUR, patience

from .conftest import identify, send, track_client
from .receiver import FAST, events, fail_first, receiver, states, until


def test_what_happens_is_reported_as_signed_json(reporting: SandboxServer) -> None:
    with receiver() as received, track_client(reporting) as track:
        reporting.set_webhook(url=received.url)
        send(track, identify("ada", email="ada@example.com", unsubscribed=True))
        report = reporting.wait_until_reported()
    (request,) = received.requests
    assert request.is_signed()
    assert abs(int(request.timestamp) - time.time()) < 60
    assert request.headers["content-type"] == "application/json"
    cio_id = reporting.people()["ada"]["cio_id"]
    event = json.loads(request.body)
    assert request.body.decode() == (
        '{"data":{"customer_id":"ada","email_address":"ada@example.com","identifiers":'
        f'{{"cio_id":"{cio_id}","email":"ada@example.com","id":"ada"}}}},"event_id":"{event["event_id"]}",'
        f'"metric":"unsubscribed","object_type":"customer","timestamp":{event["timestamp"]}}}'
    )
    assert (report["acknowledged"], report["attempts"], report["by_status"]) == (1, 1, {"200": 1})
    assert 0 < report["answer_ms"]["2xx"]["p50"] <= report["answer_ms"]["2xx"]["max"]
    assert states(reporting) == {event["event_id"]: "acknowledged"}


def test_failing_event_holds_back_the_rest_of_its_stream(reporting: SandboxServer) -> None:
    with receiver(fail_first(3, 503, ("b",))) as received:
        reporting.set_webhook(url=received.url, clock=FAST)
        reporting.emit(events("a", "b", "c", "d"))
        reporting.wait_until_reported()
    assert received.ids == ["a", "b", "b", "b", "b", "c", "d"]


def test_held_back_stream_is_told_with_the_status(reporting: SandboxServer) -> None:
    with receiver(fail_first(99, 503)) as received:
        reporting.set_webhook(url=received.url)
        reporting.emit(events("a", "b"))
        until(lambda: reporting.webhooks()["failing"] == {"503": 1})
        report = reporting.webhooks()
        assert (report["idle"], report["acknowledged"]) == (False, 0)
        with pytest.raises(SandboxError, match=r"2 events are not reported.*503"):
            reporting.wait_until_reported(0.1)
    assert reporting.stats()["webhook"] == {"queued": 2, "acknowledged": 0, "failing": {"503": 1}}
    assert states(reporting) == {"a": "waiting", "b": "waiting"}


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


def test_an_hour_is_waited_out_on_the_clock_of_the_sandbox(reporting: SandboxServer) -> None:
    with receiver(fail_first(1, 500)) as received:
        reporting.set_webhook(url=received.url, clock=HOUR / 0.4)
        reporting.emit(events("a"))
        reporting.wait_until_reported()
    first, second = received.requests
    assert 0.4 <= second.at - first.at < 5


def test_event_is_given_up_after_seven_days_and_the_next_one_goes_out(reporting: SandboxServer) -> None:
    with receiver(fail_first(10**9, 500)) as received:
        reporting.set_webhook(url=received.url, clock=FAST)
        reporting.emit(events("a", "b"))
        report = reporting.wait_until_reported()
    assert states(reporting) == {"a": "given_up", "b": "acknowledged"}
    assert (report["given_up"], report["acknowledged"], received.ids[-1]) == (1, 1, "b")
    tried = [request.at for request in received.requests if request.event_id == "a"]
    assert len(tried) > 5
    assert tried[-1] - tried[0] <= 7 * 24 * HOUR / FAST + 0.2


@pytest.mark.parametrize(("answer", "word"), [("hang", "timeout"), ("reset", "connection"), (302, "302")])
def test_anything_but_2xx_in_time_is_tried_again(
    reporting: SandboxServer, answer: int | str, word: str
) -> None:
    with receiver(fail_first(2, answer)) as received:
        reporting.set_webhook(url=received.url, clock=FAST, timeout=0.2)
        reporting.emit(events("a", "b"))
        report = reporting.wait_until_reported()
    assert received.ids == ["a", "a", "a", "b"]
    assert report["by_status"] == {word: 2, "200": 2}


def test_receiver_that_ends_connections_after_an_answer_costs_no_attempt(reporting: SandboxServer) -> None:
    with receiver(lambda _: "close") as received:
        reporting.set_webhook(url=received.url)
        for name in "abcde":
            reporting.emit(events(name))
            reporting.wait_until_reported()
    assert received.ids == list("abcde")
    assert reporting.webhooks()["by_status"] == {"200": 5}


def test_receiver_that_is_not_there_is_asked_once_an_hour_and_at_once_when_told(
    reporting: SandboxServer,
) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    reporting.set_webhook(url=f"http://127.0.0.1:{port}/webhooks/customerio")
    reporting.emit(events("a", "b"))
    until(lambda: reporting.webhooks()["failing"] == {"connection": 1})
    assert reporting.webhooks()["attempts"] == 1
    with receiver(port=port) as received:
        reporting.set_webhook()
        reporting.wait_until_reported()
    assert received.ids == ["a", "b"]


def test_untrusted_certificate_is_refused(reporting: SandboxServer) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with receiver(tls=context) as received:
        reporting.set_webhook(url=received.url)
        reporting.emit(events("a"))
        until(lambda: reporting.webhooks()["failing"] == {"tls": 1})
        assert received.requests == []


@pytest.mark.parametrize("resign", [True, False])
def test_repeated_attempt_is_signed_afresh_or_as_before(reporting: SandboxServer, resign: bool) -> None:
    with receiver(fail_first(1, 500)) as received:
        reporting.set_webhook(url=received.url, resign=resign, clock=HOUR / 1.1)
        reporting.emit(events("a"))
        reporting.wait_until_reported()
    first, second = received.requests
    assert first.is_signed()
    assert second.is_signed()
    assert (second.timestamp > first.timestamp) is resign
    assert (first.signature == second.signature) is not resign


def test_duplicates_come_again_after_they_were_acknowledged(reporting: SandboxServer) -> None:
    with receiver() as received:
        reporting.set_webhook(url=received.url, duplicates=1.0)
        reporting.emit(events("a", "b", "c"))
        report = reporting.wait_until_reported()
    assert sorted(received.ids) == ["a", "a", "b", "b", "c", "c"]
    assert all(request.is_signed() for request in received.requests)
    assert (report["duplicates_sent"], report["acknowledged"]) == (3, 3)
    assert [record["answers"] for record in reporting.reported_events()] == [2, 2, 2]


def test_bad_signatures_are_requests_of_their_own(reporting: SandboxServer) -> None:
    with receiver(lambda request: 200 if request.is_signed() else 401) as received:
        reporting.set_webhook(url=received.url, bad_signatures=1.0)
        reporting.emit(events("ev-1", "ev-2", "ev-3"))
        report = reporting.wait_until_reported()
    signed = {request.event_id for request in received.requests if request.is_signed()}
    forged = {request.event_id for request in received.requests if not request.is_signed()}
    assert signed == {"ev-1", "ev-2", "ev-3"}
    assert len(forged) == 3
    assert not forged & signed
    assert report["bad_signatures"] == {"sent": 3, "by_status": {"401": 3}}
    assert report["by_status"] == {"200": 3}
    assert {name for name, state in states(reporting).items() if state == "forged"} == forged
    assert len({request.body.replace(request.event_id.encode(), b"") for request in received.requests}) == 1


def test_streams_keep_the_order_of_each_person(reporting: SandboxServer) -> None:
    people = [f"p{number}" for number in range(20)]
    with receiver(lambda request: 503 if request.attempt == 1 > request.number % 5 else 200) as received:
        reporting.set_webhook(url=received.url, streams=8, clock=FAST)
        reporting.emit([e for turn in range(10) for p in people for e in events(f"{p}-{turn}", person=p)])
        reporting.wait_until_reported()
    turns: dict[str, list[int]] = defaultdict(list)
    for request in received.requests:
        if request.attempt == 1:
            person, _, turn = request.event_id.partition("-")
            turns[person].append(int(turn))
    assert turns == {person: list(range(10)) for person in people}


def test_one_failing_stream_does_not_hold_back_the_others(reporting: SandboxServer) -> None:
    with receiver(fail_first(99, 503, ("p0",))) as received:
        reporting.set_webhook(url=received.url, streams=16)
        reporting.emit([e for number in range(60) for e in events(f"p{number}", person=f"p{number}")])
        until(lambda: reporting.webhooks()["acknowledged"] > 40)
        assert reporting.webhooks()["failing"] == {"503": 1}
    assert "p0" in received.ids


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
def test_answers_of_all_kinds_are_understood(reporting: SandboxServer, answer: bytes, status: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        reporting.set_webhook(url=f"http://127.0.0.1:{listener.getsockname()[1]}/")
        reporting.emit(events("a"))
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(65536)
            connection.sendall(answer)
            if not answer.startswith(b"HTTP/1.1 20") or b"until" in answer:
                connection.shutdown(socket.SHUT_WR)
            until(lambda: reporting.webhooks()["by_status"] != {})
    assert reporting.webhooks()["by_status"] == {status: 1}
