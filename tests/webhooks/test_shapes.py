"""Every event that Customer.io's specification knows, and some that it does not, kept byte for byte."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cio_pipelines.webhooks.layout import folder_name

from .conftest import Running, event, landed, receiving
from .event_shapes import Shapes, needs_document


@needs_document
def test_every_shape_of_the_specification_is_kept_byte_for_byte(tmp_path: Path) -> None:
    shapes = Shapes()
    assert len(shapes.names) == 69
    bodies: list[tuple[str, bytes]] = []
    for name in shapes.names:
        for number, made in enumerate(shapes.events(name, seed=1)):
            assert shapes.is_valid(name, made), (name, made)
            text = json.dumps(made, ensure_ascii=number % 2 == 0, indent=number % 3 or None)
            bodies.append((folder_name(made.get("object_type")), text.encode()))

    with receiving(tmp_path) as service:
        with ThreadPoolExecutor(16) as senders:
            answers = list(senders.map(service.post, [body for _, body in bodies]))
        assert {answer.status_code for answer in answers} == {200}

    assert Counter(landed(tmp_path)) == Counter(bodies)
    assert {object_type for object_type, _ in bodies} >= {"customer", "email", "in_app", "whatsapp"}


DEEP = b'{"object_type":"email","data":' + b"[" * 20_000 + b"]" * 20_000 + b"}"
LARGE = b'{"object_type":"email","text":"' + b"x" * (5_000_000 - 33) + b'"}'


@pytest.mark.parametrize(
    ("folder", "body"),
    [
        ("email", b' \r\n\t{"object_type" : "email"}\n\n '),
        ("email", b'{"object_type":"email","n":1e999,"m":-0.0,"o":100000000000000000000000000000000001}'),
        ("email", b'{"object_type":"email","n":' + b"9" * 5_000 + b"}"),
        ("email", b'{"object_type":"email","half":"\\ud800","pair":"\\ud83e\\udd89","nul":"\\u0000"}'),
        ("email", b'{"object_type":"push","object_type":"email"}'),
        ("email", b'{"\\u006fbject_type":"em\\u0061il"}'),
        ("email", '{"object_type":"email","name":"Zoë \u2028\u2029\ufeff 🦉"}'.encode()),
        ("email", LARGE),
        ("unknown", DEEP),
        ("unknown", b"[" * 20_000 + b"]" * 20_000),
        ("teleport", event(object_type="teleport", metric="beamed")),
        ("unknown", event(object_type="../../etc")),
        ("unknown", event(object_type="Email")),
        ("unknown", event(object_type="")),
        ("unknown", event(object_type="x" * 65)),
        ("unknown", b'{"object_type":"\\ud800"}'),
        ("unknown", b'{"object_type":["email"]}'),
        ("unknown", b'{"object_type":null}'),
        ("unknown", b"{}"),
        ("unknown", b'[{"object_type":"email"}]'),
        ("unknown", b'"email"'),
        ("unknown", b"12345678901234567890e-400"),
        ("unknown", b"null"),
    ],
    ids=lambda value: value[:50].decode(errors="replace") if isinstance(value, bytes) else None,
)
def test_odd_json_is_kept_byte_for_byte(service: Running, folder: str, body: bytes) -> None:
    before = Counter(landed(service.folder))

    answer = service.post(body)

    assert answer.status_code == 200
    assert Counter(landed(service.folder)) - before == {(folder, body): 1}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b'{"object_type":"email"} {}',
        b'{"object_type":"email",}',
        b"{'object_type':'email'}",
        b"object_type=email&metric=sent",
        b'{"object_type":"email","n":NaN}',
        b"[-Infinity]",
        b"[1,2",
        b'{"object_type":"email","n":01}',
        b'{"object_type":"email","text":"a\nb"}',
        b'{"object_type":"email","text":"\xff"}',
        b'{"object_type":"email","text":"\xed\xa0\x80"}',
        '{"object_type":"email"}'.encode("utf-16"),
        b'\xef\xbb\xbf{"object_type":"email"}',
        b"\x1f\x8b\x08\x00",
    ],
)
def test_what_is_not_json_is_refused_though_signed(service: Running, body: bytes) -> None:
    counter = 'cio_webhook_requests_total{outcome="not_json"}'
    before, kept = service.counted(counter), landed(service.folder)

    answer = service.post(body)

    assert (answer.status_code, answer.json()["error"]) == (400, "not_json")
    assert service.counted(counter) == before + 1
    assert landed(service.folder) == kept


def test_what_is_not_signed_is_refused_before_it_is_read_as_json(service: Running) -> None:
    assert service.post(b"{", {}).status_code == 401
