"""Track v2 over HTTP: credentials, validation and the documented answers."""

from __future__ import annotations

import gzip
import json
from typing import Any

import httpx
import pytest

from cio_pipelines.sandbox import SandboxOptions, SandboxServer

from .conftest import identify, person, send, variant


def test_accepted_batch_is_answered_with_an_empty_object(track: httpx.Client, server: SandboxServer) -> None:
    answer = send(track, identify("p1", plan="pro", score=1.5, on=True), identify("p2", plan=None))
    assert (answer.status_code, answer.json()) == (200, {})
    people = server.people()
    assert people["p1"]["attributes"] == {"plan": "pro", "score": 1.5, "on": True}
    assert people["p2"]["attributes"] == {}
    assert [(o["sequence"], o["id"], o["outcome"]) for o in server.operations()] == [
        (1, "p1", "accepted"),
        (2, "p2", "accepted"),
    ]


def test_invalid_items_are_named_by_their_index_and_the_others_are_applied(
    track: httpx.Client, server: SandboxServer
) -> None:
    answer = send(
        track,
        identify(""),
        identify("p1", plan="x" * 1_001),
        identify("p2", plan="x" * 1_000),
        identify("p3"),
    )
    assert answer.status_code == 207
    assert answer.json() == {
        "errors": [
            {
                "batch_index": 0,
                "reason": "required",
                "field": "identifiers.id",
                "message": "value must not be empty",
            },
            {
                "batch_index": 1,
                "reason": "invalid",
                "field": "attributes.plan",
                "message": "attribute value cannot be longer than 1000 bytes",
            },
        ]
    }
    assert set(server.people()) == {"p2", "p3"}
    assert [o["outcome"] for o in server.operations()] == ["rejected", "rejected", "accepted", "accepted"]


DEVICE = {"token": "t", "platform": "ios"}
COMPANY = {"object_type_id": "1", "object_id": "acme"}
TO_COMPANY = [{"identifiers": COMPANY, "relationship_attributes": {"role": "admin"}}]
TO_PERSON = [{"identifiers": {"id": "p1"}}]
DELIVERY = {"type": "delivery", "action": "event", "identifiers": {"id": "d"}, "name": "opened"}


def thing(action: str, **members: Any) -> dict[str, Any]:
    return {"type": "object", "action": action, "identifiers": COMPANY, **members}


VALID = [
    identify("p1", plan="pro"),
    identify({"email": "a@example.com"}),
    identify({"phone": "+15551234567"}),
    identify({"cio_id": "03000001"}),
    person("identify", "p1", cio_relationships=TO_COMPANY),
    person("delete", "p1"),
    person("event", "p1", name="bought", id="01E4C4CT6YDC7Y5M7FE1GWWPQJ", timestamp=1),
    person("event", {"anonymous_id": "a"}, name="bought"),
    person("page", "p1", name="/", attributes={"text": "x" * 5_000}),
    person("screen", "p1", name="home"),
    person("add_relationships", "p1", cio_relationships=TO_COMPANY),
    person("delete_relationships", "p1", cio_relationships=TO_COMPANY),
    person("add_device", "p1", device=DEVICE),
    person("delete_device", "p1", device={"token": "t"}),
    {"type": "person", "action": "merge", "primary": {"id": "p1"}, "secondary": {"email": "b@example.com"}},
    person("suppress", "p1"),
    person("unsuppress", "p1"),
    thing("identify", attributes={"name": "Acme"}, cio_relationships=TO_PERSON),
    thing("identify_anonymous", cio_relationships=[{"identifiers": {"anonymous_id": "a"}}]),
    thing("add_relationships", cio_relationships=TO_PERSON),
    thing("delete_relationships", cio_relationships=TO_PERSON),
    thing("delete"),
    {**DELIVERY, "attributes": {"device_token": "t"}},
]


def test_every_documented_pair_of_type_and_action_is_accepted(
    track: httpx.Client, server: SandboxServer
) -> None:
    assert send(track, *VALID).json() == {}
    for operation in VALID:
        assert track.post("/api/v2/entity", json=operation).status_code == 200
    assert server.stats()["operations"]["rejected"] == 0


@pytest.mark.parametrize(
    ("operation", "reason", "field"),
    [
        ([], "invalid", ""),
        ({"action": "identify", "identifiers": {"id": "p"}}, "required", "type"),
        ({"type": "person", "identifiers": {"id": "p"}}, "required", "action"),
        ({"type": 1, "action": "identify"}, "invalid", "type"),
        ({"type": "robot", "action": "identify"}, "invalid", "type"),
        (person("fly", "p"), "invalid", "action"),
        ({"type": "person", "action": "identify"}, "required", "identifiers"),
        (identify({"id": 7}), "invalid", "identifiers.id"),
        (identify({"id": None}), "invalid", "identifiers.id"),
        (identify({"id": "p", "email": "a@example.com"}), "invalid", "identifiers"),
        (identify({"userId": "p"}), "invalid", "identifiers.userId"),
        (identify({"anonymous_id": "a"}), "invalid", "identifiers.anonymous_id"),
        (identify({"phone": "0123"}), "invalid", "identifiers.phone"),
        (identify("é" * 76), "invalid", "identifiers.id"),
        (identify("p", **{"n" * 151: 1}), "invalid", "attributes"),
        (identify("p", **{f"a{i}": i for i in range(301)}), "invalid", "attributes"),
        (identify("p", nested={"list": ["é" * 500]}), "invalid", "attributes.nested"),
        (person("identify", "p", attributes=[]), "invalid", "attributes"),
        (person("identify", "p", timestamp="soon"), "invalid", "timestamp"),
        (person("identify", "p", cio_relationships=[1]), "invalid", "cio_relationships[0]"),
        (person("event", "p"), "invalid", "name"),
        (person("event", "p", name="é" * 51), "invalid", "name"),
        (person("event", "p", name="n", attributes={"t": "x" * 33_000}), "invalid", ""),
        (person("add_relationships", "p"), "required", "cio_relationships"),
        (person("add_device", "p"), "required", "device"),
        (person("add_device", "p", device={"token": "t"}), "required", "device.platform"),
        (person("add_device", "p", device={"token": "t", "platform": "tv"}), "invalid", "device.platform"),
        (person("delete_device", "p", device={}), "required", "device.token"),
        ({"type": "person", "action": "merge", "primary": {"id": "p"}}, "required", "secondary"),
        ({**thing("identify"), "identifiers": {"object_type_id": "1"}}, "required", "identifiers.object_id"),
        (
            {**thing("identify"), "identifiers": {**COMPANY, "object_type_id": 1}},
            "invalid",
            "identifiers.object_type_id",
        ),
        (DELIVERY, "required", "attributes.device_token"),
        ({**DELIVERY, "name": "burnt"}, "invalid", "name"),
    ],
)
def test_broken_rule_is_refused_with_reason_and_field(
    track: httpx.Client, operation: Any, reason: str, field: str
) -> None:
    (in_batch,) = send(track, operation).json()["errors"]
    assert (in_batch["batch_index"], in_batch["reason"], in_batch["field"]) == (0, reason, field)
    alone = track.post("/api/v2/entity", json=operation)
    assert alone.status_code == 400
    del in_batch["batch_index"]
    assert alone.json() == {"errors": [in_batch]}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"batch":{}}',
        b'{"batch":[{"type":"person"]}',
        b'{"batch":[{"type":"\xff"}]}',
        b'{"batch":[{"type":"\\ud800"}]}',
        b'{"batch":["' + b"x" * 512_000 + b'"]}',
    ],
)
def test_malformed_body_is_refused_as_a_whole(
    track: httpx.Client, server: SandboxServer, body: bytes
) -> None:
    answer = track.post("/api/v2/batch", content=body)
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert set(error) == {"reason", "field", "message"}
    assert server.operations() == []


def test_numbers_are_kept_digit_for_digit(track: httpx.Client, server: SandboxServer) -> None:
    numbers = b'{"a":12345678901234567890.123400,"b":98765432109876543210,"c":[0.10]}'
    body = b'{"type":"person","action":"identify","identifiers":{"id":"p"},"attributes":%b}' % numbers
    assert track.post("/api/v2/entity", content=body).status_code == 200
    assert b'"attributes":' + numbers in httpx.get(f"{server.url}/_sandbox/people").content


@pytest.mark.parametrize("authorization", [None, "Basic bm9wZTpub3Bl", "Bearer sandbox-app-key", "Basic é"])
def test_wrong_credentials_are_refused_by_the_track_api(
    server: SandboxServer, authorization: str | None
) -> None:
    headers = httpx.Headers({} if authorization is None else {"Authorization": authorization}, "utf-8")
    answer = httpx.get(f"{server.url}/api/v1/accounts/region", headers=headers)
    assert answer.status_code == 401
    assert answer.json() == {"meta": {"error": "Unauthorized request"}}
    assert answer.headers["www-authenticate"] == 'Basic realm="Customer.io edge event collection"'


def test_region_names_host_and_workspace(track: httpx.Client) -> None:
    answer = track.get("/api/v1/accounts/region")
    assert answer.json() == {"url": "https://track.customer.io", "region": "us", "environment_id": 1}


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/api/v2/batch"), ("POST", "/api/v3/x"), ("GET", "/nope")]
)
def test_unknown_path_or_method_is_an_html_page(track: httpx.Client, method: str, path: str) -> None:
    answer = track.request(method, path)
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")


def test_documents_are_silent_so_there_are_switches() -> None:
    options = SandboxOptions(accept_gzip=True, oversize_status=413, max_body_bytes=1_000, max_item_bytes=200)
    with variant(options) as sandbox:
        gzipped = {"Content-Encoding": "gzip"}
        for count, status in ((3, 200), (50, 413)):
            body = json.dumps({"batch": [identify(f"p{n}") for n in range(count)]}).encode()
            assert sandbox.track_raw(body).status_code == status
            assert sandbox.track_raw(gzip.compress(body), **gzipped).status_code == status
        assert sandbox.track_raw(b"not gzip", **gzipped).status_code == 400
        (error,) = sandbox.track(identify("p", text="x" * 200)).json()["errors"]
        assert error["message"] == "an item cannot be longer than 200 bytes"
        assert len(sandbox.people()) == 3


def test_compressed_body_is_refused(track: httpx.Client) -> None:
    answer = track.post("/api/v2/batch", content=b"", headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 400
    assert "content-encoding" in json.dumps(answer.json())
