"""Whatever bytes come in: an answer or a closed line, and the next request is served."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from functools import reduce

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cio_pipelines.customerio.signature import sign
from tests.webhooks.conftest import KEY

from .conftest import PERSON, Served, serving

WEBHOOK = "/webhooks/customerio"
PATHS = [
    *(WEBHOOK, "/v1/identify", "/v1/track", "/v1/transactional", "/v1/broadcasts", "/v1/suppress"),
    *("/v1/people/a%2Fb", "/v1/people/%00", "/v1/people/..%2f..%2fetc", "/v1/messages/x", "//v1/identify"),
    *("/v1/identify/../track", "/%", "/metrics", "a long path", "*", "http://elsewhere.example/v1/track"),
]
GOOD = json.dumps(PERSON).encode()
BODIES = {
    "nothing": b"",
    "a good one": GOOD,
    "null": b"null",
    "an array": b"[]",
    "the beginning of an object": b"{",
    "no number": b'{"a":NaN}',
    "a number too large": b'{"a":1e999}',
    "no UTF-8": b"\xff\xfe\x00",
    "half a pair": b'"\\ud800"',
    "deep arrays": b"[" * 50_000,
    "deep objects": b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
    "a name twice": b'{"person_id":"x","person_id":["y"]}',
    "compressed": b"\x1f\x8b\x08" + b"\x00" * 50,
    "a long id": b'{"person_id":"' + b"i" * 100_000 + b'"}',
    "chunks": b"5\r\nhello\r\n0\r\n\r\n",
    "an event": b'{"event_id":"1","metric":"sent","object_type":"email","timestamp":1,"data":{}}',
}
SPELT_OUT = [(b"a long header", b"X-Long: " + b"l" * 70_000), (b"a long path", b"/" + b"a" * 9_000)]
"""What is written out in a request only: an example that fails shall be readable."""

ANY_LINE = st.binary(max_size=60).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b""))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("raw")) as gateway:
        yield gateway


@st.composite
def requests(draw: st.DrawFn) -> tuple[list[bytes], str | bytes, str]:
    """The lines of a head without authorization and length, a body, and how its length is told."""
    method = draw(st.sampled_from(["POST", "POST", "POST", "GET", "DELETE", "PUT", "BREW", "p\x00st"]))
    path = draw(st.sampled_from(PATHS) | st.text(max_size=20).map(lambda text: "/" + text))
    version = draw(st.sampled_from(["HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/9.9", ""]))
    lines = [f"{method} {path} {version}".encode("utf-8", "replace"), b"Host: x"]
    lines += draw(
        st.lists(
            st.sampled_from(
                [
                    b"Content-Type: application/json",
                    b"Content-Type: text/plain",
                    b"Content-Encoding: gzip",
                    b"Expect: 100-continue",
                    b"Upgrade: websocket",
                    b"Idempotency-Key: \x80\xff",
                    b"Idempotency-Key: " + b"k" * 300,
                    b"a long header",
                    b"Connection: close",
                ]
            )
            | ANY_LINE,
            max_size=4,
        )
    )
    body = draw(st.sampled_from(sorted(BODIES)) | st.binary(max_size=200))
    told = draw(
        st.sampled_from(["right", "right", "right", "less", "more", "minus", "twice", "chunked", "none"])
    )
    return lines, body, told


def framed(body: bytes, told: str) -> list[bytes]:
    size = len(body)
    return {
        "right": [b"Content-Length: %d" % size],
        "less": [b"Content-Length: %d" % (size // 2)],
        "more": [b"Content-Length: %d" % (size + 10)],
        "minus": [b"Content-Length: -1"],
        "twice": [b"Content-Length: %d" % size, b"Content-Length: 3"],
        "chunked": [b"Transfer-Encoding: chunked"],
        "none": [],
    }[told]


def port_of(served: Served) -> int:
    port = httpx.URL(served.service.url).port
    assert port is not None
    return port


def sent(port: int, raw: bytes) -> bytes:
    """What comes back until the server closes the line, or has nothing more to say to one that ended."""
    with socket.create_connection(("127.0.0.1", port), timeout=15) as line:
        answer = b""
        try:
            line.sendall(raw)
            line.shutdown(socket.SHUT_WR)
            while part := line.recv(65_536):
                answer += part
        except TimeoutError:
            raise
        except OSError:
            pass  # closed before we had said everything, which is an answer too
        return answer


def statuses(answer: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb"^HTTP/1\.[01] (\d{3}) ", answer, re.MULTILINE)]


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
    database=None,
)
@given(request=requests(), knows_the_token=st.booleans(), is_signed=st.booleans())
def test_no_bytes_make_it_fail_or_stop_serving(
    served: Served, request: tuple[list[bytes], str | bytes, str], *, knows_the_token: bool, is_signed: bool
) -> None:
    head, named, told = request
    lines = [reduce(lambda line, item: line.replace(*item), SPELT_OUT, line) for line in head]
    body = BODIES[named] if isinstance(named, str) else named
    if knows_the_token:
        lines.append(b"Authorization: Bearer " + served.token.encode())
    if is_signed:
        now = int(time.time())
        lines += [b"X-CIO-Timestamp: %d" % now, b"X-CIO-Signature: " + sign(KEY, now, body).encode()]
    raw = b"\r\n".join([*lines, *framed(body, told), b"", b""]) + body

    found = statuses(sent(port_of(served), raw))

    assert not {status for status in found if status >= 500}, raw[:300]
    assert served.post("/v1/identify", PERSON).status_code == 202


def test_a_client_that_sends_a_letter_at_a_time_holds_up_nobody(served: Served) -> None:
    slow = [socket.create_connection(("127.0.0.1", port_of(served)), timeout=15) for _ in range(20)]
    try:
        for line in slow:
            line.sendall(b"POST /v1/identify HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n")
        for letter in b"Conte":
            for line in slow:
                line.sendall(bytes([letter]))
            assert served.post("/v1/identify", PERSON).status_code == 202
    finally:
        for line in slow:
            line.close()
    assert served.client.get("/healthz").status_code == 200


def test_random_noise_is_no_request(served: Served) -> None:
    for noise in (b"\x16\x03\x01\x02\x00\x01", b"\x00" * 1_000, b"SSH-2.0-x\r\n", b"\r\n\r\n\r\n", b"GET"):
        assert {status for status in statuses(sent(port_of(served), noise)) if status >= 500} == set()
    assert served.post("/v1/identify", PERSON).status_code == 202
