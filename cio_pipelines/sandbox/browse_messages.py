"""What the web page shows of messages: the newest, one as it would look, and what triggered broadcasts."""

from __future__ import annotations

from itertools import islice
from typing import Any

from cio_pipelines.sandbox.app.broadcasts import described
from cio_pipelines.sandbox.http import HTML, Answer, Request, json_answer, not_found
from cio_pipelines.sandbox.records import Delivery
from cio_pipelines.sandbox.tallies import owner
from cio_pipelines.sandbox.workspace import Workspace

_SHOWN = 200
_TRIGGERS_SHOWN = 20
_ERRORS_SHOWN = 5
_ORIGINS = ("campaign_id", "newsletter_id", "broadcast_id", "transactional_message_id")
_BODY_HEADERS = (
    # A body is somebody else's HTML: it is shown in a box of its own where nothing runs or is fetched.
    (
        "content-security-policy",
        "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'self'",
    ),
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
)


def messages(workspace: Workspace) -> Answer:
    """The newest deliveries, to how many of all each thing happened, and the newest triggers."""
    newest = list(islice(reversed(workspace.deliveries.values()), _SHOWN))
    triggers = islice(reversed(workspace.shelf.triggers.values()), _TRIGGERS_SHOWN)
    return json_answer(
        {
            "deliveries": [_line(workspace, delivery) for delivery in newest],
            "total": len(workspace.deliveries),
            "metrics": dict(workspace.deliveries_by_metric.most_common()),
            "triggers": [_trigger(described(trigger)) for trigger in triggers],
        }
    )


def message(workspace: Workspace, request: Request) -> Answer:
    """One delivery with everything in it but the HTML of its body."""
    delivery = workspace.deliveries.get(request.query.get("delivery_id", ""))
    if delivery is None:
        return json_answer({"message": None})
    content = {name: value for name, value in delivery.content.items() if name != "body"}
    return json_answer(
        {
            "message": {
                **_line(workspace, delivery),
                "content": content,
                "body": "body" in delivery.content,
                "data": delivery.data,
                "devices": delivery.devices,
                "reasons": [each.reason for each in delivery.happened if each.reason],
            }
        }
    )


def body(workspace: Workspace, request: Request) -> Answer:
    """The HTML of a message, which its headers keep from doing anything."""
    delivery = workspace.deliveries.get(request.query.get("delivery_id", ""))
    if delivery is None or "body" not in delivery.content:
        return not_found()
    return Answer(200, str(delivery.content["body"]).encode(), HTML, _BODY_HEADERS)


def _line(workspace: Workspace, delivery: Delivery) -> dict[str, Any]:
    person = workspace.people.get(delivery.person)
    kind, number = next((n, v) for n, v in delivery.origin.items() if n in _ORIGINS)
    called: int | str = delivery.content.get("transactional_message_id", number)
    return {
        "delivery_id": delivery.delivery_id,
        "created_at": delivery.created_at,
        "send_at": delivery.send_at,
        "state": delivery.state,
        "channel": delivery.kind or delivery.channel,
        "origin": f"{kind.removesuffix('_id').replace('_', ' ')} {called}",
        "subject": delivery.subject,
        "recipient": delivery.recipient,
        "who": owner(workspace, delivery),
        "cio_id": delivery.person if person is not None else "",
        "happened": [{"metric": each.metric, "at": each.at} for each in delivery.happened],
    }


def _trigger(told: dict[str, Any]) -> dict[str, Any]:
    errors = told["errors"]
    return {
        "id": told["id"],
        "broadcast_id": told["broadcast_id"],
        "created_at": told["created_at"],
        "audience": told["audience"],
        "state": told["state"],
        "recipients": told["recipients_count"],
        "errors": errors[:_ERRORS_SHOWN],
        "more_errors": max(0, len(errors) - _ERRORS_SHOWN),
    }
