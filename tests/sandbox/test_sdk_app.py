"""Customer.io's own Python client of the App API, unchanged, against the sandbox."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from customerio import (  # pyright: ignore[reportMissingTypeStubs]
    APIClient,
    CustomerIOException,
    SendEmailRequest,
    SendInAppRequest,
    SendInboxMessageRequest,
    SendPushRequest,
    SendSMSRequest,
    SendWhatsAppRequest,
)

from cio_pipelines.sandbox import SandboxServer

from .conftest import identify, person, send

WHOM = {"id": "ann"}


@pytest.fixture
def sdk(server: SandboxServer, track: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[APIClient]:
    monkeypatch.setenv("NO_PROXY", "*")
    send(track, identify("ann", email="ann@example.com", phone="+15550100"))
    send(track, person("add_device", "ann", device={"token": "t1", "platform": "ios"}))
    with APIClient(server.options.app_api_key, url=server.url) as client:
        yield client


def test_email_arrives_as_it_would_look(sdk: APIClient, server: SandboxServer) -> None:
    request = SendEmailRequest(
        to="Ann <ann@example.com>",
        identifiers=WHOM,
        _from="shop@example.com",
        subject="Order {{ message_data.order }}",
        body="<p>Thank you, {{customer.email}}</p>",
        headers={"X-Tag": "receipt"},
        message_data={"order": 42},
    )
    request.attach("receipt.pdf", b"%PDF-1.7")
    answer: dict[str, Any] = sdk.send_email(request)
    (delivery,) = server.deliveries()
    assert set(answer) == {"delivery_id", "queued_at"}
    assert delivery["delivery_id"] == answer["delivery_id"]
    assert (delivery["person"], delivery["recipient"]) == ("ann", "Ann <ann@example.com>")
    assert delivery["subject"] == "Order 42"
    assert delivery["content"]["body"] == "<p>Thank you, ann@example.com</p>"
    assert delivery["content"]["attachments"] == {"receipt.pdf": 8}
    assert delivery["message_data"] == {"order": 42}
    assert delivery["metrics"] == ["sent", "delivered"]


def test_every_other_channel_is_taken_and_reported(sdk: APIClient, server: SandboxServer) -> None:
    data = {"order": 7}
    sdk.send_push(SendPushRequest(3, identifiers=WHOM, title="On its way", message="!", message_data=data))
    sdk.send_sms(SendSMSRequest("otp", to="+15550100", identifiers=WHOM, message_data=data))
    sdk.send_whatsapp(SendWhatsAppRequest(5, to="+15550100", identifiers=WHOM, message_data=data))
    sdk.send_in_app(SendInAppRequest(6, identifiers=WHOM, message_data=data))
    sdk.send_inbox_message(SendInboxMessageRequest(7, identifiers=WHOM, message_data=data))
    deliveries = server.deliveries()
    assert [(d["channel"], d["recipient"], d["state"]) for d in deliveries] == [
        ("push", "t1", "delivered"),
        ("sms", "+15550100", "delivered"),
        ("whatsapp", "+15550100", "delivered"),
        ("in_app", "ann", "sent"),
        ("inbox_message", "ann", "sent"),
    ]
    assert server.delivery_counts("data.order") == {"7": 5}
    reported = [record["event"] for record in server.reported_events()]
    assert [e["object_type"] for e in reported if e["metric"] == "sent"] == [
        "push",
        "sms",
        "whatsapp",
        "in_app",
        "in_app",
    ]
    assert reported[0]["data"]["recipients"] == [{"device_id": "t1", "device_platform": "ios"}]


def test_scheduled_message_is_held_until_it_is_sent(sdk: APIClient, server: SandboxServer) -> None:
    send_at = int(time.time()) + 3600
    answer: dict[str, Any] = sdk.send_email(
        SendEmailRequest(4, to="ann@example.com", identifiers=WHOM, send_at=send_at)
    )
    assert answer["send_at"] == send_at
    assert (server.deliveries()[0]["state"], server.reported_events()) == ("scheduled", [])
    assert server.send_scheduled() == 1
    assert server.deliveries()[0]["state"] == "delivered"


def test_refusals_reach_the_caller(sdk: APIClient, server: SandboxServer) -> None:
    with pytest.raises(CustomerIOException, match=r"400: .*is required without a transactional_message_id"):
        sdk.send_email(SendEmailRequest(to="ann@example.com", identifiers=WHOM))
    with (
        APIClient("wrong", url=server.url) as stranger,
        pytest.raises(CustomerIOException, match=r"401: .*Unauthorized request"),
    ):
        stranger.send_sms(SendSMSRequest(4, to="+15550100", identifiers=WHOM))
    assert server.deliveries() == []
