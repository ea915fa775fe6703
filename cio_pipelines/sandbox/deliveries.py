"""What happens to a delivery, at once or as time goes by: recorded, reported, with its effect on people."""

from __future__ import annotations

import base64
import os
import time
from typing import Any

from ulid import ULID

from cio_pipelines.sandbox.consent import identifiers_of, set_unsubscribed
from cio_pipelines.sandbox.outbox import new_event_id
from cio_pipelines.sandbox.outcomes import Step
from cio_pipelines.sandbox.records import Delivery, Happened, Person, as_text
from cio_pipelines.sandbox.shapes import activity_type, event, message_data
from cio_pipelines.sandbox.workspace import Workspace

STEPS = "steps"
"""The kind of duty that lets the next thing happen to a delivery."""


def recipient_of(person: Person, channel: str) -> str:
    """Where a person is reached; empty when they are not."""
    match channel:
        case "email" | "sms" | "whatsapp":
            return as_text(person.attributes.get("email" if channel == "email" else "phone") or "")
        case "push":
            return next(iter(person.devices), "")
        case "slack":
            return "#sandbox"
        case "webhook":
            return "https://example.com/hook"
        case _:
            return person.key


def new_delivery_id() -> str:
    """An opaque text, as Customer.io's are."""
    return base64.urlsafe_b64encode(os.urandom(16)).decode()


def new_delivery(
    workspace: Workspace,
    person: Person | None,
    channel: str,
    recipient: str,
    subject: str,
    origin: dict[str, Any],
    at: int,
    **more: Any,
) -> Delivery:
    """A delivery to which nothing has happened yet; `more` are other members of it."""
    if "campaign_id" in origin or "broadcast_id" in origin:
        origin = origin | {"journey_id": str(ULID.from_timestamp(float(at)))}
    delivery = Delivery(
        new_delivery_id(),
        channel,
        person.cio_id if person is not None else "",
        recipient,
        subject,
        origin,
        at,
        workspace.next_change(),
        **more,
    )
    workspace.add_delivery(delivery)
    return delivery


def follow(workspace: Workspace, delivery: Delivery, steps: list[Step]) -> None:
    """Let steps happen when their moments come; those that have come, now."""
    delivery.ahead = steps
    go_on(workspace, delivery.delivery_id)


def go_on(workspace: Workspace, delivery_id: str, until: float | None = None) -> None:
    """Let everything happen that is due by `until` (now without it), and plan the next thing."""
    delivery = workspace.deliveries.get(delivery_id)
    if delivery is None:
        return
    until = time.time() if until is None else until
    while delivery.ahead and delivery.ahead[0].at <= until:
        happen(workspace, delivery.ahead.pop(0), delivery)
    if delivery.ahead:
        workspace.touch_delivery(delivery)
        workspace.agenda.add(delivery.ahead[0].at, STEPS, delivery_id)


def happen(workspace: Workspace, step: Step, delivery: Delivery) -> None:
    """Record a step, report it and let it have its effect on the person."""
    event_id, details = new_event_id(step.at), step.details
    person = workspace.people.get(delivery.person)
    workspace.touch_delivery(delivery)
    if all(each.metric != step.metric for each in delivery.happened):
        workspace.deliveries_by_metric[step.metric] += 1
    flags = {name: details[name] for name in ("machine", "proxied", "prefetched") if name in details}
    delivery.happened.append(
        Happened(
            event_id,
            step.metric,
            step.at,
            delivery.change,
            details.get("failure_message", ""),
            details.get("href", ""),
            details.get("link_id"),
            **flags,
        )
    )
    data = message_data(
        delivery.channel,
        step.metric,
        {
            "customer_id": (person.id if person is not None else None) or "",
            "identifiers": _identifiers(workspace, delivery, person),
            "delivery_id": delivery.delivery_id,
            **delivery.origin,
        },
        {
            "recipient": delivery.recipient,
            "recipients": delivery.devices or devices_of(person),
            "subject": delivery.subject,
            **details,
        },
    )
    body = event(event_id, delivery.channel, step.metric, step.at, data)
    stream = (person.id or person.cio_id) if person is not None else delivery.person or delivery.recipient
    workspace.outbox.add(stream, event_id, body)
    kind = activity_type(delivery.channel, step.metric)
    if kind is not None:
        workspace.record(kind, person, step.at, {"delivery_id": delivery.delivery_id})
    if step.metric in ("unsubscribed", "spammed") and person is not None:
        set_unsubscribed(workspace, person, True, step.at)


def devices_of(person: Person | None) -> list[dict[str, str]]:
    """A person's devices as events name them."""
    if person is None:
        return []
    return [
        {"device_id": token, "device_platform": device["platform"]}
        for token, device in person.devices.items()
    ]


def _identifiers(workspace: Workspace, delivery: Delivery, person: Person | None) -> dict[str, Any]:
    """Of a person who is gone or never was, only what the message itself still knows."""
    if person is not None:
        return identifiers_of(workspace, person)
    gone = {} if workspace.id_only or not delivery.person else {"cio_id": delivery.person}
    return {"id": None} if workspace.id_only else {"id": None, "email": None, **gone}
