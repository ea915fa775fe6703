"""What a request may be: its method, size and encoding, and how long it may take."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cio_pipelines.webhooks.commit import CommitLimits
from cio_pipelines.webhooks.service import WEBHOOK_PATH, ServiceLimits

from .conftest import Running, event, eventually, landed, receiving, signed

LIMIT = 10_000


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A receiver of small bodies that have to arrive in half a second."""
    limits = ServiceLimits(max_bytes=LIMIT, commit=CommitLimits(answer_seconds=0.5))
    with receiving(tmp_path_factory.mktemp("landing"), limits=limits) as service:
        yield service


def padded(size: int) -> bytes:
    start = b'{"object_type":"email","text":"'
    return start + b"x" * (size - len(start) - 2) + b'"}'


def head(body: bytes, *extra: str) -> bytes:
    lines = [f"POST {WEBHOOK_PATH} HTTP/1.1", "Host: test", *extra]
    lines += [f"{name}: {value}" for name, value in signed(body).items()]
    return "\r\n".join([*lines, "", ""]).encode()


def connected(service: Running) -> socket.socket:
    host, _, port = service.url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def everything(connection: socket.socket) -> bytes:
    """What is answered until the service closes the connection."""
    parts: list[bytes] = []
    while part := connection.recv(65_536):
        parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
def test_other_methods_are_refused(service: Running, method: str) -> None:
    answer = service.client.request(method, WEBHOOK_PATH)

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_other_paths_are_not_found(service: Running) -> None:
    for path in ("/", "/webhooks", f"{WEBHOOK_PATH}/", f"{WEBHOOK_PATH}/x"):
        assert service.client.post(path, content=event(), headers=signed(event())).status_code == 404


@pytest.mark.parametrize("encoding", ["gzip", "br", "GZIP", "identity, gzip"])
def test_encoded_bodies_are_refused(service: Running, encoding: str) -> None:
    answer = service.post(event(), {**signed(event()), "Content-Encoding": encoding})

    assert (answer.status_code, answer.json()["error"]) == (415, "encoded")


def test_identity_is_no_encoding(service: Running) -> None:
    body = event(1)
    assert service.post(body, {**signed(body), "Content-Encoding": "identity"}).status_code == 200


def test_a_body_of_the_largest_size_is_taken_and_one_byte_more_is_not(small: Running) -> None:
    assert small.post(padded(LIMIT)).status_code == 200

    for size in (LIMIT + 1, 2 * LIMIT, 50 * LIMIT):
        answer = small.post(padded(size))
        assert (answer.status_code, answer.json()["error"]) == (413, "too_large")

    assert [body for _, body in landed(small.folder) if len(body) >= LIMIT] == [padded(LIMIT)]


def test_a_chunked_body_is_measured_as_it_comes(small: Running) -> None:
    def in_pieces(body: bytes) -> Iterator[bytes]:
        yield from (body[at : at + 999] for at in range(0, len(body), 999))

    def post(body: bytes) -> httpx.Response:
        return small.client.post(WEBHOOK_PATH, content=in_pieces(body), headers=signed(body))

    fitting = padded(LIMIT - 1)
    assert post(fitting).status_code == 200
    assert fitting in [body for _, body in landed(small.folder)]
    assert post(padded(LIMIT + 1)).status_code == 413


def test_an_endless_body_is_cut_off(small: Running) -> None:
    with connected(small) as connection:
        connection.sendall(head(b"", "Transfer-Encoding: chunked"))
        sent, piece = 0, b"3e8\r\n" + b"x" * 1_000 + b"\r\n"
        try:
            while sent < 100_000_000:
                connection.sendall(piece)
                sent += 1_000
        except OSError:  # the service has closed the connection
            pass
        assert sent < 100_000_000


def test_a_content_length_beyond_the_limit_is_refused_whatever_follows(small: Running) -> None:
    with connected(small) as connection:
        connection.sendall(head(b"{}", f"Content-Length: {LIMIT + 1}") + b"{}")
        assert everything(connection).startswith(b"HTTP/1.1 413 ")


def test_what_follows_a_body_of_the_announced_length_is_not_part_of_it(small: Running) -> None:
    body = event(2)
    with connected(small) as connection:
        connection.sendall(
            head(body, f"Content-Length: {len(body)}", "Connection: close") + body + b"and more"
        )
        assert everything(connection).startswith(b"HTTP/1.1 200 ")
    assert body in [landed_body for _, landed_body in landed(small.folder)]


def test_a_body_that_does_not_arrive_is_not_waited_for(small: Running) -> None:
    body = event(3)
    with connected(small) as connection:
        started = time.monotonic()
        connection.sendall(head(body, f"Content-Length: {len(body)}") + body[:20])
        assert everything(connection).startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - started < 3


def test_a_sender_that_goes_away_is_counted(small: Running) -> None:
    counter = 'cio_webhook_requests_total{outcome="disconnected"}'
    before = small.counted(counter)
    with connected(small) as connection:
        connection.sendall(head(b"x" * 50, "Content-Length: 50") + b"x")
    eventually(lambda: small.counted(counter) == before + 1)


def test_requests_in_a_row_on_one_connection_are_answered_in_order(small: Running) -> None:
    bodies = [event(number) for number in range(10, 15)]
    with connected(small) as connection:
        for body in bodies[:-1]:
            connection.sendall(head(body, f"Content-Length: {len(body)}") + body)
        last = bodies[-1]
        connection.sendall(head(last, f"Content-Length: {len(last)}", "Connection: close") + last)
        assert everything(connection).count(b"HTTP/1.1 200 ") == 5
    assert {body for _, body in landed(small.folder)} >= set(bodies)


@pytest.mark.prints_personal_data("the service's own format of a log line leaves an error's text out")
def test_our_own_failure_is_answered_503_and_tells_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> float:
        raise RuntimeError("ada@example.com")

    with caplog.at_level(logging.ERROR), receiving(tmp_path, clock=broken) as service:
        answer = service.post(event())
        assert service.counted('cio_webhook_requests_total{outcome="trouble"}') == 1

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "ada@" not in answer.text
    [record] = caplog.records
    assert (record.getMessage(), record.__dict__["fields"]) == ("a request failed", {"error": "RuntimeError"})


def test_no_answer_repeats_what_was_sent(small: Running) -> None:
    secret = "ada@example.com"
    body = f'{{"object_type":"{secret}"'.encode()
    answers = [
        small.post(body),
        small.post(body, {}),
        small.post(body, {"X-CIO-Timestamp": secret, "X-CIO-Signature": secret}),
        small.post(body, {**signed(body), "X-CIO-Signature": secret}),
        small.post(body, {**signed(body), "Content-Encoding": secret}),
        small.post(body * 1_000),
    ]
    assert [answer.status_code for answer in answers] == [400, 401, 401, 401, 415, 413]
    assert not any(secret in answer.text for answer in answers)
