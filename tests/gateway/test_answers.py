"""What is not taken is answered in one shape, says what is wrong, quotes nothing, and keeps nothing."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cio_pipelines.gateway.part import GatewayLimits

from .conftest import PERSON, Served, eventually, serving

SECRET = "ada@example.com"
ABOUT = {"transactional_message_id": 1, "identifiers": {"id": "user-1"}}
JSON = {"Content-Type": "application/json"}


def problem(answer: httpx.Response) -> tuple[int, str, list[tuple[str, str]]]:
    """Status, word, and field and reason of every fault; the shape is checked."""
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert set(body) == {"error", "message", "faults"}
    assert body["message"]
    assert all(set(fault) == {"field", "reason", "message"} for fault in body["faults"])
    return (
        answer.status_code,
        body["error"],
        [(fault["field"], fault["reason"]) for fault in body["faults"]],
    )


@pytest.mark.parametrize(
    ("path", "body", "faults"),
    [
        ("identify", {}, [("person_id", "required"), ("attributes", "required")]),
        ("identify", {**PERSON, "person_id": ""}, [("person_id", "too_short")]),
        ("identify", {**PERSON, "person_id": 7}, [("person_id", "invalid")]),
        ("identify", {**PERSON, "person_id": SECRET * 20}, [("person_id", "too_long")]),
        # characters are few enough, bytes are not
        ("identify", {**PERSON, "person_id": "é" * 100}, [("person_id", "too_long")]),
        ("identify", {**PERSON, "attributes": {"a": SECRET * 100}}, [("attributes.a", "too_long")]),
        (
            "identify",
            {**PERSON, "attributes": {f"a{n}": 1 for n in range(301)}},
            [("attributes", "too_many")],
        ),
        ("identify", {**PERSON, "attributes": [SECRET]}, [("attributes", "invalid")]),
        ("identify", {**PERSON, "plan": SECRET}, [("plan", "unknown")]),
        ("identify", {**PERSON, "timestamp": 1_700_000_000_000}, [("timestamp", "invalid")]),
        ("identify", {**PERSON, "timestamp": "2026-01-01"}, [("timestamp", "invalid")]),
        ("identify", {**PERSON, "not_before": 4_000_000_000}, [("not_before", "invalid")]),
        ("identify", [SECRET], [("", "invalid")]),
        ("identify", {**PERSON, "attributes": {"a": [[[SECRET]] * 12_000]}}, [("attributes.a", "too_long")]),
        ("track", {"person_id": "u", "name": "x" * 101}, [("name", "too_long")]),
        ("track", {"person_id": "u", "name": "x", "event_id": SECRET}, [("event_id", "invalid")]),
        ("track", {"person_id": "u", "name": "x", "attributes": {"a": SECRET * 9_000}}, [("", "too_long")]),
        ("suppress", {"person_id": None}, [("person_id", "invalid")]),
        ("transactional", {"message": {"kind": SECRET}}, [("message", "invalid")]),
        ("transactional", {"message": {"to": SECRET}}, [("message", "invalid")]),
        ("transactional", {"message": {"kind": "email"}}, [("message.to", "required")]),
        ("transactional", {"message": {"kind": "email", "to": SECRET}}, [("message.subject", "required")]),
        (
            "transactional",
            {"message": {**ABOUT, "kind": "sms", "to": SECRET}},
            [("message.to", "invalid")],
        ),
        (
            "transactional",
            {"message": {**ABOUT, "kind": "push", "identifiers": {"id": "", "email": SECRET}}},
            [("message.identifiers.id", "too_short")],
        ),
        (
            "transactional",
            {"message": {**ABOUT, "kind": "email", "to": SECRET, "attachments": {"a": SECRET}}},
            [("message.attachments", "invalid")],
        ),
        ("broadcasts", {"broadcast_id": 0, "audience": {"kind": "default"}}, [("broadcast_id", "invalid")]),
        (
            "broadcasts",
            {"broadcast_id": 1, "audience": {"kind": "ids", "ids": []}},
            [("audience.ids", "too_short")],
        ),
        (
            "broadcasts",
            {"broadcast_id": 1, "audience": {"kind": "ids", "ids": ["é" * 100]}},
            [("audience.ids[0]", "too_long")],
        ),
        (
            "broadcasts",
            {"broadcast_id": 1, "audience": {"kind": "filter", "recipients": {SECRET: 1}}},
            [("audience.recipients", "invalid")],
        ),
        (
            "broadcasts",
            {"broadcast_id": 1, "audience": {"kind": "default"}, "data": {"a": SECRET * 9_000}},
            [("data", "too_long")],
        ),
    ],
)
def test_a_request_that_breaks_a_rule_is_told_where_and_why(
    gateway: Served, path: str, body: Any, faults: list[tuple[str, str]]
) -> None:
    answer = gateway.post(f"/v1/{path}", body)
    assert problem(answer) == (422, "invalid", faults)
    assert SECRET not in answer.text


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"person_id": "u", "attributes": {}} x',
        b'{"person_id": "\xff", "attributes": {}}',
        b"[" * 100_000,
        b'{"person_id": "u", "attributes": {"a": ' + b"1" * 5_000 + b"}}",
    ],
)
def test_a_body_that_is_no_json_is_malformed(gateway: Served, body: bytes) -> None:
    status, error, _ = problem(gateway.call("POST", "/v1/identify", content=body, headers=JSON))
    assert (status, error) == (400, "malformed")


def test_a_request_without_a_body_is_invalid(gateway: Served) -> None:
    answer = gateway.call("POST", "/v1/identify", headers=JSON)
    assert problem(answer) == (422, "invalid", [("", "required")])


@pytest.mark.parametrize(
    "attributes", ['{"a": NaN}', '{"a": 1e999}', '{"a": "\\ud800"}', '{"\\ud800": 1}', '{"": 1}']
)
def test_what_python_reads_but_json_or_unicode_has_not_is_invalid(gateway: Served, attributes: str) -> None:
    body = f'{{"person_id": "u", "attributes": {attributes}}}'
    answer = gateway.call("POST", "/v1/identify", content=body, headers=JSON)
    assert problem(answer)[:2] == (422, "invalid")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {**JSON, "Content-Encoding": "gzip"},
    ],
)
def test_what_is_not_sent_as_json_is_of_the_wrong_type(gateway: Served, headers: dict[str, str]) -> None:
    answer = gateway.call("POST", "/v1/identify", content=b"{}", headers=headers)
    assert problem(answer) == (415, "wrong_type", [])


@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        ("GET", "/v1/identify", 405, "wrong_method"),
        ("PUT", "/v1/people/u", 405, "wrong_method"),
        ("GET", "/v1/", 404, "not_found"),
        ("GET", "/v1/none", 404, "not_found"),
        ("POST", "/v1/identify/", 404, "not_found"),
        ("GET", "/v1/messages/a/b", 404, "not_found"),
        ("DELETE", "/v1/people/", 422, "invalid"),
        ("DELETE", f"/v1/people/{'x' * 151}", 422, "invalid"),
    ],
)
def test_other_addresses_and_methods_have_the_same_shape(
    gateway: Served, method: str, path: str, status: int, error: str
) -> None:
    answer = gateway.call(method, path, json={} if method == "POST" else None)
    assert problem(answer)[:2] == (status, error)
    assert ("allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "schlüssel"])
def test_an_idempotency_key_is_printable_and_of_at_most_255_characters(gateway: Served, key: str) -> None:
    headers = {"Idempotency-Key": key.encode("latin-1")}
    answer = gateway.call("POST", "/v1/identify", json=PERSON, headers=headers)
    (field, _) = problem(answer)[2][0]
    assert (answer.status_code, field.lower()) == (422, "idempotency-key")
    assert gateway.post("/v1/identify", PERSON, key="x" * 255).status_code == 202


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A gateway that takes little and waits shortly."""
    limits = GatewayLimits(max_bytes=10_000, body_seconds=0.5)
    with serving(tmp_path_factory.mktemp("small"), limits=limits) as served:
        yield served


def parts(size: int) -> Iterator[bytes]:
    for _ in range(0, size, 1_000):
        yield b" " * 1_000


@pytest.mark.parametrize("size", [11_000, 19_000, 200_000])
@pytest.mark.parametrize("is_streamed", [True, False])
def test_a_body_over_the_size_is_refused_however_it_comes(
    small: Served, size: int, *, is_streamed: bool
) -> None:
    content = parts(size) if is_streamed else b" " * size
    answer = small.call("POST", "/v1/identify", content=content, headers=JSON)
    assert problem(answer) == (413, "too_large", [])
    assert "10,000 bytes" in answer.json()["message"]


def test_a_body_of_the_size_is_read(small: Served) -> None:
    body = b'{"person_id":"u","attributes":{}}'.ljust(10_000)
    assert small.call("POST", "/v1/identify", content=body, headers=JSON).status_code == 202


def raw(served: Served, text: str) -> socket.socket:
    """A connection on which this was sent."""
    url = httpx.URL(served.service.url)
    connection = socket.create_connection((url.host, url.port or 0), timeout=10)
    connection.sendall(text.replace("TOKEN", served.token).replace("\n", "\r\n").encode())
    return connection


HEAD = "POST /v1/identify HTTP/1.1\nHost: x\nContent-Type: application/json\nContent-Length: 5000\n"


def test_a_body_that_does_not_arrive_is_given_up(small: Served) -> None:
    with raw(small, HEAD + "Authorization: Bearer TOKEN\n\n{") as connection:
        assert connection.recv(1_000).startswith(b"HTTP/1.1 408 ")


def test_no_more_arrives_at_once_than_there_is_room_for(tmp_path: Path) -> None:
    with serving(tmp_path, limits=GatewayLimits(max_bytes=10_000, body_seconds=30)) as served:
        head = HEAD.replace("5000", "10000") + "Authorization: Bearer TOKEN\n\n"
        connections = [raw(served, head + "x" * 9_900) for _ in range(17)]
        answered, _, _ = select.select(connections, [], [], 10)
        assert answered[0].recv(1_000).startswith(b"HTTP/1.1 503 ")
        for connection in connections:
            connection.close()
        # what has gone leaves its room
        eventually(lambda: served.post("/v1/identify", PERSON).status_code == 202)


@pytest.mark.parametrize("credentials", ["", "Authorization: Bearer wrong\n"])
def test_who_calls_is_known_before_anything_of_the_body_is_read(small: Served, credentials: str) -> None:
    with raw(small, HEAD + credentials + "\n") as connection:
        # else it would be 408
        assert connection.recv(1_000).startswith(b"HTTP/1.1 401 ")


def test_a_client_that_goes_away_is_counted_and_logged_nowhere(
    small: Served, caplog: pytest.LogCaptureFixture
) -> None:
    gone = 'cio_gateway_requests_total{route="/v1/identify",scope="identify",status="gone"}'
    before = small.service.counted(gone)
    raw(small, HEAD + "Authorization: Bearer TOKEN\n\n{").close()
    eventually(lambda: small.service.counted(gone) == before + 1)
    assert caplog.records == []


def test_nothing_that_was_refused_is_in_the_queue(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        served.post("/v1/identify", {**PERSON, "person_id": "é" * 100}, key="k")
        served.post("/v1/identify", {**PERSON, "x": 1}, key="k")
        assert served.take("identify") == []
        # and the key stands for nothing yet
        assert served.post("/v1/identify", PERSON, key="k").json()["duplicate"] is False
