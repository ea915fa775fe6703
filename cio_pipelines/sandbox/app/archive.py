"""Messages that were sent, as the App API lists them, and what was in them."""

from __future__ import annotations

from typing import Any

from cio_pipelines.sandbox.app.checks import app_refusal
from cio_pipelines.sandbox.app.pages import identifiers, number_page
from cio_pipelines.sandbox.http import Answer, Request, json_answer
from cio_pipelines.sandbox.records import Delivery, Person
from cio_pipelines.sandbox.workspace import Workspace

_DEFAULT = 50
_AT_ONCE = 1_000
_FORGOTTEN = "disable_message_retention"
_TYPES = {"sms": "twilio"}
_ORIGINS = ("campaign_id", "action_id", "newsletter_id", "content_id", "broadcast_id")


def route(workspace: Workspace, request: Request) -> Answer | None:
    """Answer a call about messages; None when it is about something else. Raises Refusal."""
    match request.method, request.segments[1:]:
        case "GET", ["messages"]:
            return _list(workspace, request, list(workspace.deliveries.values()))
        case "GET", ["messages", key]:
            return json_answer({"message": _shown(workspace, _found(workspace, key))})
        case "GET", ["messages", key, "archived_message"]:
            return json_answer({"archived_message": _archived(_found(workspace, key))})
        case "GET", ["transactional" | "broadcasts" as kind, number, "messages"]:
            member = "broadcast_id" if kind == "broadcasts" else "transactional_message_id"
            found = [d for d in workspace.deliveries.values() if str(d.origin.get(member)) == number]
            return _list(workspace, request, found)
        case _:
            return None


def of_person(workspace: Workspace, request: Request, person: Person) -> Answer:
    """GET /v1/customers/{id}/messages."""
    return _list(workspace, request, [d for d in workspace.deliveries.values() if d.person == person.cio_id])


def _list(workspace: Workspace, request: Request, found: list[Delivery]) -> Answer:
    """A page, newest first."""
    page, following = number_page(request, found[::-1], _DEFAULT, _AT_ONCE)
    return json_answer({"messages": [_shown(workspace, each) for each in page], "next": following})


def _found(workspace: Workspace, key: str) -> Delivery:
    delivery = workspace.deliveries.get(key)
    if delivery is None:
        raise app_refusal("not found", 404)
    return delivery


def _shown(workspace: Workspace, delivery: Delivery) -> dict[str, Any]:
    person = workspace.people.get(delivery.person)
    metrics: dict[str, int] = {}
    for each in delivery.happened:
        if each.metric not in ("attempted", "replied"):
            metrics.setdefault(each.metric, each.at)
    whom = {} if person is None else {"customer_identifiers": identifiers(workspace, person)}
    failure = next((each.reason for each in reversed(delivery.happened) if each.reason), None)
    return {
        "id": delivery.delivery_id,
        "deduplicate_id": f"{delivery.delivery_id}:{delivery.created_at}",
        "customer_id": (person.id if person is not None else None) or "",
        **whom,
        "recipient": delivery.recipient,
        "subject": delivery.subject,
        "metrics": {"created": delivery.created_at, **metrics},
        "created": delivery.created_at,
        "failure_message": failure,
        **{name: delivery.origin[name] for name in _ORIGINS if name in delivery.origin},
        "type": _TYPES.get(delivery.channel, delivery.channel),
        "forgotten": _FORGOTTEN in delivery.content,
    }


def _archived(delivery: Delivery) -> dict[str, Any]:
    content = delivery.content
    headers: dict[str, str] = content.get("headers", {})
    texts = {
        name: content[name]
        for name in ("body", "body_plain", "from", "reply_to", "cc", "bcc")
        if name in content
    }
    return {
        "id": delivery.delivery_id,
        "body": content.get("message", ""),
        **texts,
        "recipient": delivery.recipient,
        "subject": delivery.subject,
        "fake_bcc": bool(content.get("fake_bcc", False)),
        "preheader_text": content.get("preheader", ""),
        "headers": [{name: value} for name, value in headers.items()],
        "forgotten": _FORGOTTEN in content,
    }
