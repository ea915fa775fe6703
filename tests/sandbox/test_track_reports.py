"""Forms, and what is told of messages from outside without credentials."""

from __future__ import annotations

import httpx
import pytest

from cio_pipelines.sandbox import SandboxServer

from .conftest import identify, send

MAIL = {"transactional_message_id": 4, "to": "p@example.com", "identifiers": {"id": "p"}}


@pytest.fixture
def delivery(track: httpx.Client, app: httpx.Client) -> str:
    send(track, identify("p", email="p@example.com"))
    return app.post("/v1/send/email", json=MAIL).json()["delivery_id"]


def post(server: SandboxServer, path: str, body: object) -> httpx.Response:
    return httpx.post(server.url + path, json=body)


def test_metrics_are_reported_without_credentials(server: SandboxServer, delivery: str) -> None:
    for body in (
        {"metric": "opened", "timestamp": 1_700_000_000},
        {"metric": "clicked", "href": "https://example.com/a"},
        {"metric": "bounced", "reason": "550"},
        {"metric": "deferred"},
    ):
        answer = post(server, "/api/v1/metrics", {"delivery_id": delivery, **body})
        assert (answer.status_code, answer.json()) == (200, {})
    assert post(server, "/api/v1/push/events", {"delivery_id": delivery, "event": "converted"}).is_success
    assert post(server, "/api/v1/metrics", {"delivery_id": "nothing", "metric": "opened"}).is_success
    assert post(server, "/api/v1/metrics", {"metric": "opened"}).status_code == 400
    events = [record["event"] for record in server.reported_events()]
    assert [e["metric"] for e in events][2:] == ["opened", "clicked", "bounced", "converted"]
    assert events[2]["timestamp"] == 1_700_000_000
    assert events[3]["data"]["href"] == "https://example.com/a"
    assert events[4]["data"]["failure_message"] == "550"


def test_link_in_a_message_unsubscribes_its_person(server: SandboxServer, delivery: str) -> None:
    assert post(server, f"/unsubscribe/{delivery}", {"unsubscribe": False}).is_success
    assert "unsubscribed" not in server.people()["p"]["attributes"]
    assert post(server, f"/unsubscribe/{delivery}", {"unsubscribe": True}).is_success
    assert server.people()["p"]["attributes"]["unsubscribed"] is True
    assert [e["event"]["metric"] for e in server.reported_events()][-2:] == ["unsubscribed", "unsubscribed"]


def test_delivery_event_of_version_two_happens_to_the_delivery(
    track: httpx.Client, server: SandboxServer, delivery: str
) -> None:
    event = {
        "type": "delivery",
        "action": "event",
        "identifiers": {"id": delivery},
        "name": "opened",
        "attributes": {"device_token": "t"},
    }
    assert send(track, event).status_code == 200
    assert server.deliveries()[0]["metrics"] == ["sent", "delivered", "opened"]


def test_form_identifies_whoever_filled_it_in(track: httpx.Client, server: SandboxServer) -> None:
    data = {"email": "f@example.com", "first_name": "Flo", "form_id": "x"}
    answer = track.post("/api/v1/forms/signup/submit", json={"data": data})
    assert (answer.status_code, answer.content) == (204, b"")
    assert server.people()["f@example.com"]["attributes"] == {"email": "f@example.com", "first_name": "Flo"}
    for wrong in (None, {}, {"first_name": "Flo"}, {"id": "1", "email": "a@example.com"}, {"id": 5}):
        answer = track.post("/api/v1/forms/signup/submit", json={"data": wrong})
        assert answer.status_code == 400
        assert answer.json()["meta"]["errors"]
