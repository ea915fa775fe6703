"""Transactional messages: what is refused, whom they belong to, when they are sent, and what is reported."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from cio_pipelines.sandbox import SandboxOptions, SandboxServer

from .conftest import app_client, identify, person, send, variant
from .receiver import until

MAIL: dict[str, Any] = {"transactional_message_id": 4, "to": "a@example.com", "identifiers": {"id": "a"}}
WHOM = {"identifiers": {"id": "a"}, "transactional_message_id": 4}


def test_every_documented_rule_is_kept(app: httpx.Client, server: SandboxServer) -> None:
    fat = base64.b64encode(b"x" * 2_000_001).decode()
    now = int(time.time())
    cases: list[tuple[str, Any, int]] = [
        ("email", b"{", 400),
        ("email", [], 400),
        ("email", {**MAIL, "to": None}, 400),
        ("email", {**MAIL, "to": "nobody"}, 400),
        ("email", {**MAIL, "to": 5}, 400),
        ("email", {**MAIL, "cc": ",".join(f"b{n}@example.com" for n in range(15))}, 400),
        ("email", {**MAIL, "identifiers": {"id": "a", "email": "a@example.com"}}, 400),
        ("email", {**MAIL, "identifiers": {"phone": "+15550100"}}, 400),
        ("email", {**MAIL, "identifiers": {"id": 5}}, 400),
        ("email", {**MAIL, "transactional_message_id": True}, 400),
        ("email", {**MAIL, "transactional_message_id": 0}, 400),
        ("email", {**MAIL, "message_data": []}, 400),
        ("email", {**MAIL, "headers": {"X-Tag": 5}}, 400),
        ("email", {**MAIL, "send_at": now + 91 * 24 * 3600}, 400),
        ("email", {**MAIL, "attachments": {"a.pdf": "no base64!"}}, 400),
        ("email", {**MAIL, "attachments": {"a.exe": "aGk="}}, 403),
        ("email", {**MAIL, "attachments": {"a.pdf": fat}}, 413),
        ("email", {**MAIL, "body": "x" * 1_000_001}, 413),
        ("push", {"identifiers": {"id": "a"}}, 400),
        ("push", {**WHOM, "custom_device": {"token": "t"}}, 400),
        ("push", {"transactional_message_id": 4}, 400),
        ("sms", WHOM, 400),
        ("sms", {**WHOM, "to": "0555"}, 400),
        ("in_app", {"transactional_message_id": 4}, 400),
        ("inbox_message", {**WHOM, "message_data": "x" * 1_000_001}, 400),
    ]
    for channel, body, status in cases:
        sent: dict[str, Any] = {"content": body} if isinstance(body, bytes) else {"json": body}
        answer = app.post(f"/v1/send/{channel}", **sent)
        assert answer.status_code == status, (channel, body)
        assert answer.json()["meta"]["error"]
    assert app.post("/v1/send/fax", json=MAIL).status_code == 404
    assert server.deliveries() == []


def test_headers_are_taken_as_json_text_too(app: httpx.Client, server: SandboxServer) -> None:
    for headers in ('{"X-Tag":"a"}', '[{"name":"X-Tag","value":"a"}]', {"X-Tag": "a"}):
        app.post("/v1/send/email", json={**MAIL, "headers": headers}).raise_for_status()
    assert [d["content"]["headers"] for d in server.deliveries()] == [{"X-Tag": "a"}] * 3


def test_unknown_fields_are_refused_only_when_that_is_asked_for(app: httpx.Client) -> None:
    body = {**MAIL, "subjcet": "x"}
    assert app.post("/v1/send/email", json=body).status_code == 200
    strict = app.post("/v1/send/email", json=body, headers={"X-Validate": "strict"})
    assert (strict.status_code, strict.json()) == (400, {"meta": {"error": "unknown field subjcet"}})


def test_message_to_nobody_known_belongs_to_nobody(app: httpx.Client, server: SandboxServer) -> None:
    app.post("/v1/send/email", json=MAIL).raise_for_status()
    assert server.people() == {}
    assert [e["event"]["data"]["identifiers"] for e in server.reported_events()] == [
        {"id": None, "email": None}
    ] * 2
    assert server.delivery_counts("person") == {"a": 1}


def test_option_says_what_becomes_of_messages_to_people_who_are_not_known() -> None:
    with variant(SandboxOptions(unknown_person="create")) as sandbox:
        assert sandbox.app("POST", "/v1/send/email", json=MAIL).status_code == 200
        assert list(sandbox.people()) == ["a"]
    with variant(SandboxOptions(unknown_person="refuse")) as sandbox:
        assert sandbox.app("POST", "/v1/send/email", json=MAIL).status_code == 400
        assert sandbox.app("POST", "/v1/send/email", json={**MAIL, "identifiers": None}).status_code == 200


def test_option_says_which_transactional_messages_exist() -> None:
    with variant(SandboxOptions(transactional_messages="4, Receipt")) as sandbox:
        statuses = [
            sandbox.app("POST", "/v1/send/email", json={**MAIL, **change}).status_code
            for change in (
                {},
                {"transactional_message_id": "RECEIPT"},
                {"transactional_message_id": 5},
                {"transactional_message_id": "other"},
                {"transactional_message_id": "other", "auto_create": True},
            )
        ]
        taken = sandbox.app(
            "POST", "/v1/send/sms", json={**WHOM, "transactional_message_id": "receipt", "to": "+15550100"}
        )
    assert statuses == [200, 200, 400, 400, 200]
    assert taken.status_code == 400


def test_message_that_may_not_be_sent_is_accepted_and_undeliverable(
    track: httpx.Client, app: httpx.Client, server: SandboxServer
) -> None:
    send(track, identify("a", email="a@example.com", unsubscribed=True), identify("gone"))
    send(track, person("suppress", "gone"))
    for body in (
        {**MAIL, "send_to_unsubscribed": False},
        MAIL,
        {**MAIL, "identifiers": {"id": "gone"}},
        {**MAIL, "queue_draft": True},
    ):
        app.post("/v1/send/email", json=body).raise_for_status()
    app.post("/v1/send/push", json=WHOM).raise_for_status()
    assert [d["state"] for d in server.deliveries()] == [
        "undeliverable",
        "delivered",
        "undeliverable",
        "drafted",
        "undeliverable",
    ]
    assert [p for p, found in server.people().items() if not found["suppressed"]] == ["a"]


def test_push_goes_to_the_devices_that_are_named(
    track: httpx.Client, app: httpx.Client, server: SandboxServer
) -> None:
    for token, used in (("old", 5), ("new", 9)):
        device = {"token": token, "platform": "ios", "last_used": used}
        send(track, person("add_device", "a", device=device))
    custom = {"token": "custom", "platform": "android"}
    for change in ({}, {"to": "last_used"}, {"to": "old"}, {"custom_device": custom}):
        app.post("/v1/send/push", json={**WHOM, **change}).raise_for_status()
    sent = [e["event"] for e in server.reported_events() if e["event"]["metric"] == "sent"]
    assert [[each["device_id"] for each in e["data"]["recipients"]] for e in sent] == [
        ["old", "new"],
        ["new"],
        ["old"],
        ["old", "new", "custom"],
    ]


def test_content_is_not_kept_when_that_is_not_wanted(app: httpx.Client, server: SandboxServer) -> None:
    body = {**MAIL, "message_data": {"token": "secret"}, "disable_message_retention": True, "body": "x"}
    app.post("/v1/send/email", json=body).raise_for_status()
    (delivery,) = server.deliveries()
    assert (delivery["message_data"], delivery["content"]) == ({}, {"disable_message_retention": True})


def test_reset_after_acceptance_leaves_the_message_sent(app: httpx.Client, server: SandboxServer) -> None:
    server.set_faults([{"kind": "reset_after", "path": "/v1/send", "count": 1}])
    with pytest.raises(httpx.TransportError):
        app.post("/v1/send/email", json=MAIL)
    assert server.delivery_counts() == {"a@example.com": 1}
    assert app.post("/v1/send/email", json=MAIL).status_code == 200
    assert server.delivery_counts() == {"a@example.com": 2}


def test_faults_before_acceptance_leave_nothing_sent(app: httpx.Client, server: SandboxServer) -> None:
    limited = {"kind": "status", "status": 429, "retry_after": 2, "count": 1, "path": "/v1/send"}
    broken = {"kind": "status", "status": 500, "count": 1, "path": "/v1/send"}
    server.set_faults([limited, broken, {"kind": "reset", "count": 1}])
    answer = app.post("/v1/send/email", json=MAIL)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
    assert answer.json()["errors"][0]["status"] == "429"
    answer = app.post("/v1/send/email", json=MAIL)
    assert (answer.status_code, answer.json()["meta"]["error"]) == (500, "a fault of the sandbox")
    with pytest.raises(httpx.TransportError):
        app.post("/v1/send/email", json=MAIL)
    assert server.deliveries() == []


def test_faults_may_refuse_or_lose_the_messages_of_some_people(
    app: httpx.Client, server: SandboxServer
) -> None:
    rejected = {"kind": "reject", "ids": ["a", "b@example.com"], "path": "/v1/send", "message": "not to them"}
    server.set_faults([rejected, {"kind": "unapplied", "ids": ["lost"]}])
    answers = [
        app.post("/v1/send/email", json={**MAIL, "to": to, "identifiers": whom})
        for to, whom in (
            ("x@example.com", {"id": "a"}),
            ("b@example.com", None),
            ("x@example.com", {"id": "lost"}),
            ("x@example.com", {"id": "c"}),
        )
    ]
    assert [answer.status_code for answer in answers] == [400, 400, 200, 200]
    assert answers[0].json() == {"meta": {"error": "not to them"}}
    assert server.delivery_counts("person") == {"c": 1}
    assert [fault["hits"] for fault in server.stats()["faults"]] == [2, 1]


def test_sends_have_a_bucket_of_their_own() -> None:
    with variant(SandboxOptions(app_requests_per_second=1, transactional_per_second=3)) as sandbox:
        statuses = [sandbox.app("POST", "/v1/send/email", json=MAIL).status_code for _ in range(6)]
        assert sandbox.app("GET", "/v1/activities").status_code == 200
    assert statuses[:3] == [200] * 3
    assert 429 in statuses[3:]


def test_scheduled_message_is_sent_by_itself_when_it_is_due(app: httpx.Client, server: SandboxServer) -> None:
    app.post("/v1/send/email", json={**MAIL, "send_at": int(time.time()) + 1}).raise_for_status()
    assert server.deliveries()[0]["state"] in ("scheduled", "delivered")
    until(lambda: server.webhooks()["queued"] == 2)
    assert server.deliveries()[0]["state"] == "delivered"


def test_course_takes_its_time_and_its_shares(server: SandboxServer) -> None:
    server.set_courses(mix={"bounced": 1.0}, seconds=2)
    with app_client(server) as app:
        app.post("/v1/send/email", json=MAIL).raise_for_status()
    until(lambda: server.deliveries()[0]["metrics"] == ["sent", "bounced"])


def test_deliveries_and_what_is_held_outlive_a_kill(tmp_path: Path) -> None:
    options = SandboxOptions(database=tmp_path / "sandbox.db")
    with SandboxServer(options) as server, app_client(server) as app:
        for send_at in (0, int(time.time()) + 2):
            body = {**MAIL, "send_at": send_at, "message_data": {"n": 1.5}, "transactional_message_id": "otp"}
            app.post("/v1/send/email", json=body).raise_for_status()
        server.process.kill()
        server.process.wait()
    with SandboxServer(options) as server:
        assert server.delivery_counts("data.n") == {"1.5": 2}
        until(lambda: server.delivery_counts("state") == {"delivered": 2})
        assert {d["origin"]["transactional_message_id"] for d in server.deliveries()} == {1000}


def test_messages_are_counted_and_forgotten_when_everything_is() -> None:
    with variant(SandboxOptions(discard=True)) as sandbox:
        assert set(sandbox.app("POST", "/v1/send/email", json=MAIL).json()) == {"delivery_id", "queued_at"}
        assert sandbox.app("POST", "/v1/send/email", json={}).status_code == 400
        trigger = {"ids": ["a"], "data": {"n": 1}}
        assert sandbox.app("POST", "/v1/campaigns/7/triggers", json=trigger).json() == {"id": 1}
        assert "processed_at" in sandbox.app("GET", "/v1/campaigns/7/triggers/1").json()
        stats = sandbox.stats()
    assert stats["requests_by_path"] == {"/v1/send": 2, "/v1/campaigns": 2}
    assert stats["deliveries"] == 0
