"""Track v1: the calls the official clients make, and how their errors look."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx
import pytest

from cio_pipelines.sandbox import SandboxServer

ULID = "01E4C4CT6YDC7Y5M7FE1GWWPQJ"


def test_identify_by_path_guesses_the_kind_of_identifier(track: httpx.Client, server: SandboxServer) -> None:
    for identifier in ("42", "ann@example.com", "+15551234567", "a/b c"):
        assert track.put(f"/api/v1/customers/{quote(identifier, safe='')}", json={"plan": "x"}).json() == {}
    people = server.people()
    assert {(p["id"], p["email"], p["phone"]) for p in people.values()} == {
        ("42", None, None),
        (None, "ann@example.com", None),
        ("+15551234567", None, None),
        ("a/b c", None, None),
    }
    cio_id = people["42"]["cio_id"]
    assert track.put(f"/api/v1/customers/cio_{cio_id}", json={"id": "43"}).status_code == 200
    assert server.people()["43"]["attributes"] == {"plan": "x"}


def test_path_unknown_but_email_known_updates_that_person(track: httpx.Client, server: SandboxServer) -> None:
    track.put("/api/v1/customers/ann%40example.com", json={"a": 1})
    track.put("/api/v1/customers/7", json={"email": "ann@example.com", "b": 2})
    assert {k: p["attributes"] for k, p in server.people().items()} == {
        "7": {"email": "ann@example.com", "a": 1, "b": 2}
    }


def test_relationships_carry_an_action(track: httpx.Client, server: SandboxServer) -> None:
    links = [{"identifiers": {"object_type_id": "1", "object_id": "acme"}}]
    for action, held in (("add_relationships", {"1/acme": {}}), ("delete_relationships", {})):
        body = {"a": 1, "cio_relationships": {"action": action, "relationships": links}}
        assert track.put("/api/v1/customers/p", json=body).status_code == 200
        assert server.people()["p"]["relationships"] == held
    assert server.people()["p"]["attributes"] == {"a": 1}


def test_events_devices_suppression_merge_and_delete(track: httpx.Client, server: SandboxServer) -> None:
    calls: list[tuple[str, str, Any]] = [
        ("PUT", "customers/1", {"a": 1}),
        ("PUT", "customers/2", {"b": 2}),
        ("POST", "customers/1/events", {"name": "bought", "data": {"sku": 1}, "id": ULID, "timestamp": 5}),
        ("POST", "customers/1/events", {"name": "bought", "id": ULID}),
        ("POST", "customers/1/events", {"name": "/home", "type": "page"}),
        ("POST", "events", {"name": "looked", "anonymous_id": "x"}),
        ("POST", "events", {"name": "invited", "data": {"recipient": "a@example.com"}}),
        ("PUT", "customers/1/devices", {"device": {"id": "t/1", "platform": "ios", "last_used": 5}}),
        ("POST", "merge_customers", {"primary": {"id": "1"}, "secondary": {"id": "2"}}),
    ]
    for method, path, body in calls:
        answer = track.request(method, f"/api/v1/{path}", json=body)
        assert (answer.status_code, answer.json()) == (200, {})
    assert [(a["type"], a["name"], a["customer_id"]) for a in server.activities() if a["name"]] == [
        ("event", "bought", "1"),
        ("page", "/home", "1"),
        ("event", "looked", ""),
        ("event", "invited", ""),
    ]
    (record,) = server.people().values()
    assert record["attributes"] == {"a": 1, "b": 2}
    assert record["devices"] == [{"token": "t/1", "platform": "ios", "last_used": 5}]
    assert track.delete("/api/v1/customers/1/devices/t%2F1").status_code == 200
    assert server.people()["1"]["devices"] == []
    assert track.post("/api/v1/customers/1/suppress").status_code == 200
    assert track.put("/api/v1/customers/1", json={"a": 2}).status_code == 200
    assert server.people()["1"]["suppressed"] is True
    assert track.post("/api/v1/customers/1/unsuppress", json={}).status_code == 200
    assert track.put("/api/v1/customers/1", json={"a": 2}).status_code == 200
    assert server.people()["1"]["attributes"] == {"a": 2}
    assert track.request("DELETE", "/api/v1/customers/1", json={}).status_code == 200
    assert server.people() == {}


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("customers/1/events", {"name": "n" * 101}, "event name cannot be longer than 100 bytes"),
        ("customers/1/events", {}, "name: event name is required"),
        ("customers/1/events", {"name": "n", "type": "fax"}, "type: type must be event, page or screen"),
        (
            "customers/1/events",
            {"name": "n", "timestamp": "now"},
            "timestamp: timestamp must be whole unix seconds",
        ),
        (
            "customers/1/events",
            {"name": "n", "data": {"t": "x" * 100_000}},
            "data: event data cannot be longer than 100000 bytes",
        ),
        ("events", [], "the body must be a JSON object"),
    ],
)
def test_refused_event_says_why_in_meta_errors(
    track: httpx.Client, server: SandboxServer, path: str, body: Any, message: str
) -> None:
    answer = track.post(f"/api/v1/{path}", json=body)
    assert (answer.status_code, answer.json()) == (400, {"meta": {"errors": [message]}})
    assert [o["outcome"] for o in server.operations()] == ["rejected"]


def test_refused_device_and_merge_have_their_own_error_forms(track: httpx.Client) -> None:
    device = track.put("/api/v1/customers/1/devices", json={"device": {"id": "t", "platform": "tv"}})
    assert device.json() == {"meta": {"errors": ["device.platform: platform must be ios or android"]}}
    both = {"primary": {"id": "1", "email": "a@example.com"}, "secondary": {"id": "2"}}
    merge = track.post("/api/v1/merge_customers", json=both)
    assert merge.status_code == 400
    assert merge.json() == {"meta": {"error": "primary: exactly one of id, email, cio_id is allowed"}}


def test_identifier_beyond_the_limit_is_refused(track: httpx.Client, server: SandboxServer) -> None:
    assert track.put(f"/api/v1/customers/{'x' * 151}", json={}).status_code == 400
    assert track.post(f"/api/v1/customers/{'x' * 151}/events", json={"name": "n"}).status_code == 400
    assert server.people() == {}
