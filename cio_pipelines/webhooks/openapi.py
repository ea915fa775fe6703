"""The webhook in OpenAPI: it is no FastAPI route, which would cost more time than everything else it does."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from cio_pipelines.customerio.signature import SIGNATURE_HEADER, TIMESTAMP_HEADER
from cio_pipelines.webhooks.answers import ACCEPTED, ANSWERS, WRONG_METHOD, Answer

_EXAMPLE = {
    "event_id": "01E2EMRMM6TZ12TF9WGZN0WJQT",
    "object_type": "email",
    "metric": "sent",
    "timestamp": 1700000000,
    "data": {
        "action_id": 42,
        "campaign_id": 23,
        "delivery_id": "RAECAAFwnUSneIa0ZXkmq8EdkAM==",
        "identifiers": {"id": "user-123"},
    },
}

_EVENT = {
    "type": "object",
    "description": "Stored as it is, whatever it holds.",
    "properties": {
        "event_id": {"type": "string", "description": "A ULID; the same when the event is sent again."},
        "object_type": {"type": "string", "description": "email, push, customer, …"},
        "metric": {"type": "string", "description": "sent, opened, unsubscribed, …"},
        "timestamp": {"type": "integer", "description": "When it happened, unix seconds."},
        "data": {"type": "object", "additionalProperties": True},
    },
    "additionalProperties": True,
    "example": _EXAMPLE,
}


def webhook_operation(max_bytes: int) -> dict[str, Any]:
    """The path item of the webhook.

    Args:
        max_bytes: the largest body that is taken.
    """
    answers = sorted((a for a in ANSWERS if a is not WRONG_METHOD), key=lambda answer: answer.status)
    return {
        "post": {
            "tags": ["webhooks"],
            "operationId": "receiveEvent",
            "summary": "Take an event that Customer.io reports",
            "description": (
                "Answers 200 when the event is durable. The signature is the HMAC-SHA256 of "
                "`v0:<timestamp>:<raw body>` in lower-case hexadecimal, keyed with the webhook's signing key."
            ),
            "parameters": [
                _header(TIMESTAMP_HEADER, "When it was signed, unix seconds.", {"type": "integer"}),
                _header(SIGNATURE_HEADER, "64 hexadecimal digits.", {"type": "string"}),
            ],
            "requestBody": {
                "required": True,
                "description": f"At most {max_bytes:,} bytes of JSON in UTF-8, without content encoding.",
                "content": {"application/json": {"schema": _EVENT}},
            },
            "responses": {
                str(status): _response(list(group))
                for status, group in groupby(answers, key=lambda answer: answer.status)
            },
        }
    }


def _header(name: str, meaning: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": True, "description": meaning, "schema": schema}


def _response(answers: list[Answer]) -> dict[str, Any]:
    """All answers of one status."""
    member = "status" if answers == [ACCEPTED] else "error"
    properties: dict[str, Any] = {member: {"type": "string", "enum": [answer.reason for answer in answers]}}
    if member == "error":
        properties["message"] = {"type": "string"}
    response: dict[str, Any] = {
        "description": " ".join(answer.message for answer in answers),
        "content": {
            "application/json": {
                "schema": {"type": "object", "properties": properties, "required": list(properties)}
            }
        },
    }
    if "retry-after" in answers[0].headers:
        response["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    return response
