"""Who may deliver an event: the published vectors, and that nothing else gets in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from cio_pipelines.customerio.signature import sign
from cio_pipelines.webhooks.answers import BAD_SIGNATURE, Answer
from cio_pipelines.webhooks.authentication import Authenticator
from cio_pipelines.webhooks.service import ServiceLimits

from .conftest import KEY, Running, event, landed, receiving, signed

DAY = 86_400
AT = 1_700_000_000
EMAIL_SENT = (
    b'{"data":{"action_id":42,"campaign_id":23,"customer_id":"user-123","delivery_id":'
    b'"RAECAAFwnUSneIa0ZXkmq8EdkAM==","identifiers":{"id":"user-123"},"recipient":"test@example.com",'
    b'"subject":"Hello"},"event_id":"01E2EMRMM6TZ12TF9WGZN0WJQT","metric":"sent","object_type":"email",'
    b'"timestamp":1700000000}'
)
VECTORS = [
    (b'{"a":1}', "af5a165229119f934630dccb2b097a4a9b2400f466b64dfd691352b5fb26fe1f"),
    ('{"name":"Zoë"}'.encode(), "18f1f799d4fbd434dfb8b230c573a85d054580ea0b25168798980ca6defc3be2"),
    (EMAIL_SENT, "8d92d7ffb42c5235c6e7844682638ebf855c3fc7d8b945bf9db3a5fe161789a7"),
]
OF_THE_BODY_ALONE = "7c528b5a865dc5dcceb2dced3d0286bdf6764c26d4a2efec46e73936eaf87d55"


class Clock:
    """A clock that a test sets."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock(AT)


@pytest.fixture(scope="module")
def in_2023(tmp_path_factory: pytest.TempPathFactory, clock: Clock) -> Iterator[Running]:
    with receiving(tmp_path_factory.mktemp("landing"), keys=["old", KEY, "new"], clock=clock) as service:
        yield service


@pytest.mark.parametrize(("body", "signature"), VECTORS, ids=["short", "utf-8", "email sent"])
def test_published_vectors_are_accepted(in_2023: Running, body: bytes, signature: str) -> None:
    assert sign(KEY, AT, body) == signature

    answer = in_2023.post(body, {"X-CIO-Timestamp": str(AT), "X-CIO-Signature": signature})

    assert (answer.status_code, answer.json()) == (200, {"status": "accepted"})
    assert body in [landed_body for _, landed_body in landed(in_2023.folder)]


def test_signature_of_the_body_alone_is_refused(in_2023: Running) -> None:
    answer = in_2023.post(b'{"a":1}', {"X-CIO-Timestamp": str(AT), "X-CIO-Signature": OF_THE_BODY_ALONE})

    assert (answer.status_code, answer.json()["error"]) == (401, "bad_signature")


def test_version_before_the_digits_is_tolerated(in_2023: Running) -> None:
    headers = signed(b'{"b":2}', at=AT)
    assert in_2023.post(
        b'{"b":2}', {**headers, "X-CIO-Signature": f"v0={headers['X-CIO-Signature']}"}
    ).is_success


HEX = "0123456789abcdef"


@st.composite
def mutations(draw: st.DrawFn) -> tuple[bytes, bytes, bytes, str]:
    """Timestamp, signature, body and key of which exactly one is not what was signed."""
    body = draw(st.sampled_from([body for body, _ in VECTORS]) | st.binary(min_size=1, max_size=60))
    timestamp, signature, key = str(AT).encode(), sign(KEY, AT, body).encode(), KEY
    place = draw(st.integers(0, 63))
    match draw(st.sampled_from(["byte", "cut", "more", "timestamp", "signature", "any signature", "key"])):
        case "byte":
            at = place % len(body)
            changed = draw(st.integers(0, 255).filter(lambda byte: byte != body[at]))
            body = body[:at] + bytes([changed]) + body[at + 1 :]
        case "cut":
            body = body[:-1]
        case "more":
            body += draw(st.binary(min_size=1, max_size=3))
        case "timestamp":
            other = draw(
                st.integers(AT - DAY, AT + 200).map(str) | st.sampled_from([f"0{AT}", f"+{AT}", f"{AT}.0"])
            )
            assume(other != str(AT))
            timestamp = other.encode()
        case "signature":
            digit = draw(st.sampled_from(HEX).filter(lambda digit: digit != chr(signature[place])))
            signature = signature[:place] + digit.encode() + signature[place + 1 :]
        case "any signature":
            other = draw(st.binary(max_size=70) | st.just(signature.upper()) | st.just(signature[:-1]))
            assume(other not in (signature, b"v0=" + signature))
            signature = other
        case _:
            # HMAC fills keys up with NULs: one that ends with some more is the same key
            key = draw(st.text(st.characters(exclude_characters="\x00"), min_size=1))
            assume(key != KEY)
    return timestamp, signature, body, key


@example(
    (b"1700000000", b"af5a165229119f934630dccb2b097a4a9b2400f466b64dfd691352b5fb26fe1f", b'{"a":1}', "\ud800")
)
@given(mutations())
@settings(max_examples=400, deadline=None)
def test_every_mutation_is_refused(mutation: tuple[bytes, bytes, bytes, str]) -> None:
    timestamp, signature, body, key = mutation
    authenticator = Authenticator([key, "another key"], 8 * DAY, Clock(AT))

    claim = authenticator.claim(timestamp, signature)

    assert isinstance(claim, Answer) or authenticator.key_index(claim, body) is BAD_SIGNATURE


@given(st.integers(0, 120), st.integers(0, 7))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_flipped_bit_gets_in_over_http(in_2023: Running, place: int, bit: int) -> None:
    whole = bytearray(EMAIL_SENT)
    whole[place] ^= 1 << bit
    before = len(landed(in_2023.folder))

    answer = in_2023.post(bytes(whole), signed(EMAIL_SENT, at=AT))

    assert (answer.status_code, answer.json()["error"]) == (401, "bad_signature")
    assert len(landed(in_2023.folder)) == before


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "unsigned"),
        ({"X-CIO-Timestamp": str(AT)}, "unsigned"),
        ({"X-CIO-Signature": "0" * 64}, "unsigned"),
        ({"X-CIO-Timestamp": str(AT), "X-CIO-Signature": ""}, "unsigned"),
        ({"X-CIO-Timestamp": "now", "X-CIO-Signature": "0" * 64}, "bad_timestamp"),
        ({"X-CIO-Timestamp": f"0{AT}", "X-CIO-Signature": "0" * 64}, "bad_timestamp"),
        ({"X-CIO-Timestamp": f"-{AT}", "X-CIO-Signature": "0" * 64}, "bad_timestamp"),
        ({"X-CIO-Timestamp": "9" * 5_000, "X-CIO-Signature": "0" * 64}, "bad_timestamp"),
        ({"X-CIO-Timestamp": str(AT), "X-CIO-Signature": "é" * 64}, "bad_signature"),
        ({"X-CIO-Timestamp": str(AT), "X-CIO-Signature": "0" * 64}, "bad_signature"),
    ],
)
def test_requests_without_a_signature_are_counted_by_reason(
    in_2023: Running, headers: dict[str, str], reason: str
) -> None:
    counter = f'cio_webhook_requests_total{{outcome="{reason}"}}'
    before, kept = in_2023.counted(counter), landed(in_2023.folder)

    answer = in_2023.client.post(
        "/webhooks/customerio",
        content=b'{"a":1}',
        headers={name.encode(): value.encode("latin-1") for name, value in headers.items()},
    )

    assert (answer.status_code, answer.json()["error"]) == (401, reason)
    assert in_2023.counted(counter) == before + 1
    assert landed(in_2023.folder) == kept


@pytest.mark.parametrize(
    ("age", "reason"),
    [
        (0, None),
        (7 * DAY, None),
        (8 * DAY, None),
        (8 * DAY + 1, "stale"),
        (400 * DAY, "stale"),
        (-300, None),
        (-301, "future"),
    ],
)
def test_age_of_the_timestamp_decides(in_2023: Running, clock: Clock, age: int, reason: str | None) -> None:
    body = event(10 + age)
    headers = signed(body, at=AT)
    clock.now = AT + age
    try:
        answer = in_2023.post(body, headers)
    finally:
        clock.now = AT

    assert answer.status_code == (401 if reason else 200)
    assert answer.json().get("error") == reason


def test_tolerance_is_settable(tmp_path: Path) -> None:
    limits = ServiceLimits(tolerance_seconds=60)
    with receiving(tmp_path, limits=limits, clock=Clock(AT)) as service:
        assert service.post(event(), signed(event(), at=AT - 60)).status_code == 200
        assert service.post(event(), signed(event(), at=AT - 61)).status_code == 401


def test_every_active_key_is_taken_and_counted(in_2023: Running) -> None:
    def matches() -> list[float]:
        return [in_2023.counted(f'cio_webhook_signature_key_matches_total{{key="{n}"}}') for n in range(3)]

    before = matches()
    for number, key in ((1, "old"), (2, KEY), (3, "new"), (4, "new")):
        assert in_2023.post(event(number), signed(event(number), key=key, at=AT)).status_code == 200
    assert in_2023.post(event(5), signed(event(5), key="retired", at=AT)).status_code == 401

    assert [after - first for after, first in zip(matches(), before, strict=True)] == [1, 1, 2]


def test_without_a_key_nothing_is_started(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no signing key"), receiving(tmp_path, keys=[]):
        pass
