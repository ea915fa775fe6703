"""Calls of the App API and their answers, held to Customer.io's own OpenAPI documents."""

from __future__ import annotations

import copy
from typing import Any, cast

import httpx
import pytest
from customerio import (  # pyright: ignore[reportMissingTypeStubs]
    SendEmailRequest,
    SendInAppRequest,
    SendInboxMessageRequest,
    SendPushRequest,
    SendSMSRequest,
)

from cio_pipelines.sandbox import SandboxServer

from .conftest import identify, person, send
from .specification import Specification, app_2022, check_event, needs_documents, track, webhooks

pytestmark = needs_documents

WHOM = {"id": "p"}
DATA = {"order": 42}


@pytest.fixture(scope="module")
def old() -> Specification:
    return app_2022()


@pytest.fixture(scope="module")
def newer() -> Specification:
    return track()


@pytest.fixture
def people(track: httpx.Client) -> None:
    send(track, *(identify(n, email=f"{n}@example.com", phone="+15550100") for n in ("p", "q")))
    send(track, person("add_device", "p", device={"token": "t", "platform": "ios"}))


def hold(old: Specification, method: str, path: str, answer: httpx.Response) -> Any:
    """An answer is as the document of 2022 has it; returns its body."""
    validator = old.answer(method, path, answer.status_code)
    if validator is None:
        return answer.json() if answer.content else None
    body = answer.json()
    validator.validate(body)
    return body


def sends() -> list[tuple[str, str, dict[str, Any]]]:
    """Channel, the schema of its body, and a body with every member that the official client can send."""
    email = SendEmailRequest(
        transactional_message_id=4,
        to="p@example.com",
        identifiers=WHOM,
        _from="a@example.com",
        headers={"X-Tag": "receipt"},
        reply_to="b@example.com",
        cc="c@example.com",
        bcc="d@example.com",
        subject="Order {{message_data.order}}",
        preheader="Look",
        body="<p>Thank you</p>",
        body_plain="Thank you",
        body_amp="<html amp4email></html>",
        fake_bcc=True,
        disable_message_retention=False,
        send_to_unsubscribed=True,
        tracked=True,
        queue_draft=False,
        message_data=DATA,
        disable_css_preprocessing=True,
        send_at=1_700_000_000,
        language="en",
    )
    email.attach("a.txt", "text")
    common: dict[str, Any] = {"identifiers": WHOM, "message_data": DATA, "language": "en"}
    push = SendPushRequest(
        3,
        title="T",
        message="M",
        to="all",
        image_url="https://example.com/a.png",
        link="app://a",
        custom_data={"a": "b"},
        device={"token": "t2", "platform": "ios"},
        sound="default",
        send_to_unsubscribed=True,
        **common,
    )
    requests: list[tuple[str, str, Any]] = [
        ("email", "sendemail", email),
        ("push", "sendpush", push),
        ("sms", "sendsms", SendSMSRequest("otp", to="+15550100", send_to_unsubscribed=True, **common)),
        ("in_app", "sendinapp", SendInAppRequest(6, **common)),
        ("inbox_message", "sendinbox", SendInboxMessageRequest(7, queue_draft=False, **common)),
    ]
    return [(c, schema, cast("dict[str, Any]", r._to_dict())) for c, schema, r in requests]


@pytest.mark.usefixtures("people")
def test_every_documented_send_is_taken_and_answered_as_documented(
    app: httpx.Client, old: Specification, newer: Specification
) -> None:
    for channel, schema, body in sends():
        documented = copy.deepcopy(body)
        # The document types headers as JSON text, and its own example is an object (README, fault 7).
        documented.pop("headers", None)
        newer.validator("components", "schemas", schema).validate(documented)
        answer = app.post(f"/v1/send/{channel}", json=body)
        assert answer.status_code == 200, answer.text
        hold(old, "POST", "/v1/send/email", answer)
        strict = app.post(f"/v1/send/{channel}", json=body, headers={"X-Validate": "strict"})
        assert strict.status_code == 200, strict.text
    hold(old, "POST", "/v1/send/email", app.post("/v1/send/email", json={}))


@pytest.mark.usefixtures("people")
def test_events_of_emails_and_pushes_are_as_documented(app: httpx.Client, server: SandboxServer) -> None:
    document = webhooks()
    for channel, _, body in sends()[:2]:
        app.post(f"/v1/send/{channel}", json=body).raise_for_status()
        app.post(f"/v1/send/{channel}", json={**body, "identifiers": {"id": "x"}}).raise_for_status()
    app.post("/v1/campaigns/7/triggers", json={"ids": ["p", "q"]}).raise_for_status()
    events = [record["event"] for record in server.reported_events()]
    assert len(events) == 12
    for event in events:
        check_event(document, event)


@pytest.mark.usefixtures("people")
def test_triggers_are_taken_and_answered_as_documented(
    app: httpx.Client, old: Specification, newer: Specification
) -> None:
    request = newer.validator("components", "schemas", "campaignRequest")
    filtered = {"attribute": {"field": "email", "operator": "exists"}}
    path = "/v1/campaigns/{broadcast_id}/triggers"
    for body in (
        {"data": DATA},
        {"data": DATA, "recipients": filtered},
        {"data": DATA, "ids": ["p", "x"], "id_ignore_missing": True},
        {"data": DATA, "emails": ["p@example.com"], "email_ignore_missing": True},
        {"data": DATA, "per_user_data": [{"id": "p", "data": DATA}], "email_add_duplicates": True},
        {"ids": ["x"]},
    ):
        # Each branch of the document, by itself: one of them lets every body through (README, fault 8).
        assert any(request.evolve(schema=branch).is_valid(body) for branch in _branches(newer))
        answer = app.post("/v1/campaigns/7/triggers", json=body)
        assert answer.status_code == (422 if body == {"ids": ["x"]} else 200)
        hold(old, "POST", path, answer)
    hold(old, "GET", "/v1/broadcasts/{broadcast_id}/triggers", app.get("/v1/broadcasts/7/triggers"))
    errors = app.get("/v1/campaigns/7/triggers/6/errors")
    hold(old, "GET", f"{path}/{{trigger_id}}/errors", errors)
    for number in range(1, 7):
        told = app.get(f"/v1/campaigns/7/triggers/{number}").json()
        newer.validator("components", "schemas", "broadcastTriggerObject").validate(told)
        # In 2022 a trigger's id was documented as text here, and as a number where it comes from.
        validator = old.answer("GET", f"{path}/{{trigger_id}}", 200)
        assert validator is not None
        validator.validate(told | {"id": str(told["id"])})


def _branches(newer: Specification) -> list[Any]:
    choices = newer.document["components"]["schemas"]["campaignRequest"]["oneOf"]
    assert len(choices) == 6
    return [{"$ref": f"urn:document#/components/schemas/campaignRequest/oneOf/{n}"} for n in range(1, 6)] + [
        {"$ref": "urn:document#/components/schemas/commonTriggerProps"}
    ]


@pytest.mark.usefixtures("people")
def test_look_ups_are_answered_as_documented(
    track: httpx.Client, app: httpx.Client, server: SandboxServer, old: Specification, newer: Specification
) -> None:
    server.send(newsletter={"newsletter_id": 10, "content_id": 3})
    made = app.post("/v1/segments", json={"segment": {"name": "VIPs"}})
    number = hold(old, "POST", "/v1/segments", made)["segment"]["id"]
    track.post(f"/api/v1/segments/{number}/add_customers", json={"ids": ["p", "q"]}).raise_for_status()
    found = {"filter": {"segment": {"id": number}}}
    hold(old, "POST", "/v1/customers", app.post("/v1/customers", params={"limit": 1}, json=found))
    message = app.get("/v1/messages").json()["messages"][0]["id"]
    app.post("/v1/esp/suppression/bounces/a@example.com").raise_for_status()
    asked = app.post("/v1/exports/customers", json={"filters": found["filter"]})
    hold(old, "POST", "/v1/exports/customers", asked)
    deliveries = app.post("/v1/exports/deliveries", json={"newsletter_id": 10})
    hold(old, "POST", "/v1/exports/deliveries", deliveries)
    for path, values in (
        ("/v1/segments", {}),
        ("/v1/segments/{segment_id}", {"segment_id": number}),
        ("/v1/segments/{segment_id}/used_by", {"segment_id": number}),
        ("/v1/segments/{segment_id}/customer_count", {"segment_id": number}),
        ("/v1/customers/{customer_id}/segments", {"customer_id": "p"}),
        ("/v1/customers/{customer_id}/messages", {"customer_id": "p"}),
        ("/v1/messages", {}),
        ("/v1/messages/{message_id}", {"message_id": message}),
        ("/v1/messages/{message_id}/archived_message", {"message_id": message}),
        ("/v1/exports", {}),
        ("/v1/exports/{export_id}", {"export_id": 1}),
        ("/v1/exports/{export_id}/download", {"export_id": 1}),
        ("/v1/esp/search_suppression/{email_address}", {"email_address": "a@example.com"}),
        ("/v1/esp/suppression/{suppression_type}", {"suppression_type": "bounces"}),
    ):
        hold(old, "GET", path, app.get(path.format(**values)))
    for entry in app.get("/v1/messages").json()["messages"]:
        newer.validator("components", "schemas", "messageObject").validate(entry)
    for name, kind in (("segments", "segmentResponseObject"), ("exports", "exportObject")):
        for entry in app.get(f"/v1/{name}").json()[name]:
            newer.validator("components", "schemas", kind).validate(entry)
    membership = app.get(f"/v1/segments/{number}/membership", params={"limit": 1}).json()
    # The document says a number, and that it is the next call's `start`, which it says is text.
    validator = old.answer("GET", "/v1/segments/{segment_id}/membership", 200)
    assert validator is not None
    validator.validate({name: value for name, value in membership.items() if name != "next"})


def test_calls_of_the_track_api_are_as_documented(
    track: httpx.Client, app: httpx.Client, newer: Specification
) -> None:
    number = app.post("/v1/segments", json={"segment": {"name": "VIPs"}}).json()["segment"]["id"]
    for path, values, body, status in (
        ("/api/v1/segments/{segment_id}/add_customers", {"segment_id": number}, {"ids": ["p"]}, 200),
        ("/api/v1/segments/{segment_id}/remove_customers", {"segment_id": number}, {"ids": ["p"]}, 200),
        ("/api/v1/segments/{segment_id}/add_customers", {"segment_id": number}, {"ids": []}, 400),
        ("/api/v1/forms/{form_id}/submit", {"form_id": "f"}, {"data": {"email": "a@example.com"}}, 204),
        ("/api/v1/forms/{form_id}/submit", {"form_id": "f"}, {"data": {"name": "a"}}, 400),
        ("/api/v1/metrics", {}, {"delivery_id": "a", "metric": "opened", "timestamp": 1}, 200),
        ("/unsubscribe/{delivery_id}", {"delivery_id": "a"}, {"unsubscribe": True}, 200),
    ):
        answer = track.post(path.format(**values), json=body)
        assert answer.status_code == status
        if status != 400 and path != "/api/v1/metrics":
            newer.request("POST", path).validate(body)
        validator = newer.answer("POST", path, status)
        if validator is not None:
            validator.validate(answer.json())
