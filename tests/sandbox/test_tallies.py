"""Counting what arrived: for whom, in which order, and how often."""

from __future__ import annotations

import json

import httpx
import pytest
from ulid import ULID

from cio_pipelines.sandbox import SandboxError, SandboxServer

from .conftest import app_client, identify, person, send


def test_operations_of_a_person_are_told_in_the_order_they_arrived(
    track: httpx.Client, server: SandboxServer
) -> None:
    first, second = str(ULID()), str(ULID())
    send(track, identify("a/b", n=1), person("event", "a/b", name="one", id=first), identify("q"))
    send(track, person("event", "a/b", name="two", id=second), person("event", "a/b", name="one", id=first))
    send(track, person("event", "a/b", name="n" * 101))
    expected = [
        ("identify", "", "", "accepted"),
        ("event", "one", first, "accepted"),
        ("event", "two", second, "accepted"),
        ("event", "one", first, "ignored"),
        ("event", "n" * 101, "", "rejected"),
    ]
    for arrivals in (server.arrivals("a/b"), server.arrivals()):
        mine = arrivals["a/b"]
        assert [(o["action"], o["name"], o["event_id"], o["outcome"]) for o in mine] == expected
        assert [o["sequence"] for o in mine] == [1, 2, 4, 5, 6]
    assert server.arrivals("nobody") == {}
    assert server.event_arrivals() == {first: 2, second: 1}
    assert server.event_arrivals(least=2) == {first: 2}


def test_many_operations_are_counted_without_reading_them_all(
    track: httpx.Client, server: SandboxServer
) -> None:
    ids = [str(ULID()) for _ in range(20_000)]
    for start in range(0, len(ids), 2_000):
        batch = [person("event", f"p{n % 500}", name="e", id=ids[n]) for n in range(start, start + 2_000)]
        track.post("/api/v2/batch", content=json.dumps({"batch": batch})).raise_for_status()
    assert server.event_arrivals(least=2) == {}
    assert server.event_arrivals() == dict.fromkeys(ids, 1)
    arrivals = server.arrivals()
    assert [o["event_id"] for o in arrivals["p7"]] == ids[7::500]


def test_deliveries_are_counted_by_what_is_asked_for(
    app: httpx.Client, track: httpx.Client, server: SandboxServer
) -> None:
    send(track, identify("p", email="p@example.com"))
    for order, to in ((1, "p@example.com"), (1, "q@example.com"), (2, "q@example.com")):
        body = {"transactional_message_id": 4, "to": to, "identifiers": {"id": to[0]}, "subject": "S"}
        app.post("/v1/send/email", json={**body, "message_data": {"order": order}}).raise_for_status()
    with app_client(server) as other:
        other.post("/v1/campaigns/7/triggers", json={"ids": ["p"], "data": {"subject": "B"}})
    assert server.delivery_counts() == {"p@example.com": 2, "q@example.com": 2}
    assert server.delivery_counts("person") == {"p": 2, "q": 2}
    assert server.delivery_counts("data.order") == {"1": 2, "2": 1, "": 1}
    assert server.delivery_counts("subject") == {"S": 3, "B": 1}
    assert server.delivery_counts("channel") == {"email": 4}
    assert server.delivery_counts("state") == {"delivered": 4}
    with pytest.raises(SandboxError, match=r"by is recipient, person"):
        server.delivery_counts("colour")
    assert [(t["broadcast_id"], t["audience"], t["state"], t["data"]) for t in server.triggers()] == [
        (7, "ids", "processed", {"subject": "B"})
    ]


def test_courses_that_cannot_be_are_refused_and_change_nothing(
    app: httpx.Client, server: SandboxServer
) -> None:
    for wrong in ({"mix": {"bounced": 2}}, {"seconds": -1}, {"colour": 1}, {"mix": {"colour": 1}}):
        with pytest.raises(SandboxError, match="cannot be understood"):
            server.set_courses(**wrong)
    app.post("/v1/send/email", json={"transactional_message_id": 4, "to": "p@example.com"})
    assert server.deliveries()[0]["metrics"] == ["sent", "delivered"]
