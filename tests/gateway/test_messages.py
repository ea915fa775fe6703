"""What is posted is in the queue when it is answered, once for each idempotency key of each client."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from cio_pipelines.messaging.queue.protocol import Buried, Delivered, Failure, QueueName

from .conftest import PERSON, UNKNOWN_ID, Served, eventually, serving

EMAIL = {
    "message": {
        "kind": "email",
        "to": "ada@example.com",
        "from": "shop@example.com",
        "transactional_message_id": "receipt",
        "identifiers": {"id": "user-1"},
        "message_data": {"total": "42.50"},
    }
}
BROADCAST = {
    "broadcast_id": 12,
    "audience": {"kind": "ids", "ids": ["user-1", "user-2"], "id_ignore_missing": True},
    "data": {"headline": "Open"},
}
SOON = int(time.time()) + 3_600


@pytest.mark.parametrize(
    ("path", "body", "queue", "sent"),
    [
        ("/v1/identify", {**PERSON, "timestamp": 1_700_000_000}, "identify", ['"plan":"pro"', "1700000000"]),
        (
            "/v1/track",
            {"person_id": "user-2", "name": "order_placed", "attributes": {"total": 42.5}},
            "track",
            ['"action":"event"', '"name":"order_placed"', '"total":42.5'],
        ),
        ("/v1/suppress", {"person_id": "user-3"}, "identify", ['"action":"suppress"', "user-3"]),
        ("/v1/transactional", EMAIL, "transactional", ["ada@example.com", '"from":"shop@example.com"']),
        ("/v1/broadcasts", BROADCAST, "broadcast", ["user-2", "id_ignore_missing", "headline"]),
    ],
)
def test_a_message_is_in_the_queue_when_it_is_accepted(
    tmp_path: Path, path: str, body: dict[str, Any], queue: QueueName, sent: list[str]
) -> None:
    with serving(tmp_path) as gateway:
        answer = gateway.post(path, body)
        assert (answer.status_code, answer.json()) == (
            202,
            {"message_id": answer.json()["message_id"], "status": "queued", "duplicate": False},
        )
        [taken] = gateway.take(queue)
    assert taken.message_id == answer.json()["message_id"]
    assert [part for part in sent if part not in taken.body.decode()] == []


def test_a_person_is_deleted_by_an_id_that_may_hold_slashes(tmp_path: Path) -> None:
    with serving(tmp_path) as gateway:
        assert gateway.call("DELETE", "/v1/people/a%2Fb%20ü%0A").status_code == 202
        [taken] = gateway.take("identify")
    operation = json.loads(taken.body)
    assert (operation["action"], operation["identifiers"]) == ("delete", {"id": "a/b ü\n"})


def test_messages_about_a_person_keep_their_order_across_routes(tmp_path: Path) -> None:
    with serving(tmp_path) as gateway:
        first = gateway.post("/v1/identify", PERSON).json()["message_id"]
        gateway.post("/v1/track", {"person_id": "user-1", "name": "seen"})
        assert [taken.message_id for taken in gateway.take("identify")] == [first]
        # the event waits until what came before it is settled
        assert gateway.take("track") == []


def test_a_message_is_put_off(tmp_path: Path) -> None:
    with serving(tmp_path) as gateway:
        answer = gateway.post("/v1/identify", {**PERSON, "not_before": SOON})
        assert gateway.take("identify") == []
        state = gateway.call("GET", f"/v1/messages/{answer.json()['message_id']}").json()
    assert (state["status"], state["not_before"]) == ("queued", SOON)


def test_the_same_request_with_its_key_is_kept_once(gateway: Served) -> None:
    requests: dict[str, dict[str, Any]] = {
        "/v1/identify": PERSON,
        "/v1/track": {"person_id": "user-2", "name": "seen"},
        "/v1/suppress": {"person_id": "user-3"},
        "/v1/transactional": EMAIL,
        "/v1/broadcasts": BROADCAST,
    }
    first = {path: gateway.post(path, body, key=f"once{path}") for path, body in requests.items()}
    time.sleep(1.1)  # the moment that the service fills in has changed
    for path, body in requests.items():
        again = gateway.post(path, body, key=f"once{path}")
        assert (first[path].status_code, first[path].json()["duplicate"]) == (202, False)
        assert (again.status_code, again.json()) == (202, {**first[path].json(), "duplicate": True})


@pytest.mark.parametrize(
    ("path", "body", "other"),
    [
        ("/v1/identify", PERSON, {**PERSON, "attributes": {"plan": "free"}}),
        ("/v1/identify", PERSON, {**PERSON, "person_id": "user-9"}),
        ("/v1/identify", PERSON, {**PERSON, "not_before": SOON}),
        ("/v1/track", {"person_id": "user-2", "name": "seen"}, {"person_id": "user-2", "name": "left"}),
        ("/v1/transactional", EMAIL, {"message": {**EMAIL["message"], "to": "eve@example.com"}}),
        ("/v1/broadcasts", BROADCAST, {**BROADCAST, "broadcast_id": 13}),
    ],
)
def test_a_key_with_another_request_is_a_conflict(
    tmp_path: Path, path: str, body: dict[str, Any], other: dict[str, Any]
) -> None:
    with serving(tmp_path) as gateway:
        assert gateway.post(path, body, key="k").status_code == 202
        answer = gateway.post(path, other, key="k")
        assert answer.status_code == 409
        assert answer.json()["error"] == "idempotency_conflict"
        # nothing was kept, and the first request is still known
        assert gateway.post(path, body, key="k").json()["duplicate"] is True


def test_a_key_of_another_route_is_a_conflict(gateway: Served) -> None:
    assert gateway.post("/v1/suppress", {"person_id": "u"}, key="routes").status_code == 202
    assert gateway.call("DELETE", "/v1/people/u", headers={"Idempotency-Key": "routes"}).status_code == 409


def test_clients_have_keys_of_their_own_and_tokens_of_one_client_share_them(gateway: Served) -> None:
    old, new, other = gateway.add("crm"), gateway.add("crm"), gateway.add("till")
    eventually(lambda: gateway.post("/v1/suppress", {"person_id": "x"}, token=other).status_code == 202)
    first = gateway.post("/v1/identify", PERSON, key="mine", token=old).json()
    assert gateway.post("/v1/identify", PERSON, key="mine", token=new).json() == {**first, "duplicate": True}
    theirs = gateway.post("/v1/identify", {**PERSON, "person_id": "user-2"}, key="mine", token=other)
    assert (theirs.status_code, theirs.json()["duplicate"]) == (202, False)


def test_without_a_key_every_request_is_a_message(gateway: Served) -> None:
    ids = {gateway.post("/v1/identify", PERSON).json()["message_id"] for _ in range(3)}
    assert len(ids) == 3


def test_the_state_of_a_message_is_told_to_its_end(tmp_path: Path) -> None:
    with serving(tmp_path) as gateway:
        good = gateway.post("/v1/transactional", EMAIL).json()["message_id"]
        bad = gateway.post("/v1/identify", PERSON).json()["message_id"]

        def state(message_id: str) -> dict[str, Any]:
            return gateway.call("GET", f"/v1/messages/{message_id}").raise_for_status().json()

        assert (state(good)["status"], state(good)["queue"]) == ("queued", "transactional")
        [sent], [refused] = gateway.take("transactional"), gateway.take("identify")
        assert state(good)["status"] == "in_flight"

        async def settle() -> None:
            failure = Failure(time.time(), "invalid", "attributes.plan", "is not valid", 400)
            async with gateway.queue() as queue:
                await queue.settle([Delivered(sent, "delivery-1"), Buried(refused, failure)])

        asyncio.run(settle())
        # nobody gave a key: the state is kept for the setting's time all the same
        assert (state(good)["status"], state(good)["result"]) == ("delivered", "delivery-1")
        dead = state(bad)
    assert dead["status"] == "dead"
    [failure] = dead["failures"]
    assert {name: failure[name] for name in ("reason", "field", "http_status")} == {
        "reason": "invalid",
        "field": "attributes.plan",
        "http_status": 400,
    }


@pytest.mark.parametrize("message_id", [UNKNOWN_ID, "none", "%00", "x" * 1_000])
def test_nothing_is_told_of_a_message_that_is_not_known(gateway: Served, message_id: str) -> None:
    answer = gateway.call("GET", f"/v1/messages/{message_id}")
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")
