"""POST /v1/send/…: transactional messages."""

from __future__ import annotations

from email.utils import getaddresses
from typing import Any

from cio_pipelines.sandbox.app.checks import is_strict, listed, meta_refusal, read_object
from cio_pipelines.sandbox.app.messages import MEMBERS, check_message
from cio_pipelines.sandbox.consent import UNSUBSCRIBED, is_unsubscribed
from cio_pipelines.sandbox.deliveries import devices_of, follow, new_delivery, new_delivery_id
from cio_pipelines.sandbox.faults import Fault, struck
from cio_pipelines.sandbox.http import Answer, Request, json_answer, not_found
from cio_pipelines.sandbox.options import SandboxOptions
from cio_pipelines.sandbox.outcomes import Step
from cio_pipelines.sandbox.records import Delivery, Person, unix_now
from cio_pipelines.sandbox.rendering import render, scopes_of
from cio_pipelines.sandbox.shelf import Template
from cio_pipelines.sandbox.workspace import Workspace

RELEASE = "release"
"""The kind of duty that sends what was scheduled."""
_NAMELESS = 1
"""Number under which messages without a template are counted."""
_FIRST_NUMBER = 1_000
_TEXTS = ("subject", "preheader", "body", "body_plain", "body_amp", "title", "message", "link", "image_url")
_DRAFTED = "drafted"


def route(
    workspace: Workspace, options: SandboxOptions, faults: list[Fault], request: Request, channel: str
) -> Answer:
    """Take a message in. Raises Refusal, also for a fault that refuses it."""
    if channel not in MEMBERS:
        return not_found()
    now = unix_now()
    if request.too_large:
        raise meta_refusal("the request is too long", 413)
    body = read_object(request, meta_refusal)
    check_message(channel, body, len(request.body), now, strict=is_strict(request))
    fault = struck(_subject_of(body), faults)
    if fault is not None and fault.kind == "reject":
        raise meta_refusal(fault.message)
    if options.discard or fault is not None:
        return json_answer({"delivery_id": new_delivery_id(), "queued_at": now})
    number = _template(workspace, options, channel, body)
    person = _person(workspace, options, body.get("identifiers"), now)
    send_at = body.pop("send_at", 0)
    delivery = _delivery(workspace, person, channel, number, body, now)
    accepted: dict[str, Any] = {"delivery_id": delivery.delivery_id, "queued_at": now}
    if send_at > now:
        delivery.held, delivery.send_at = True, send_at
        workspace.agenda.add(send_at, RELEASE, delivery.delivery_id)
        accepted["send_at"] = send_at
    else:
        _send(workspace, delivery)
    return json_answer(accepted)


def release(workspace: Workspace, delivery_id: str) -> bool:
    """Send a message that was scheduled; whether it was."""
    delivery = workspace.deliveries.get(delivery_id)
    if delivery is None or not delivery.held:
        return False
    delivery.held = False
    _send(workspace, delivery)
    return True


def release_all(workspace: Workspace) -> int:
    """Send everything that was scheduled, whenever it is due; returns how many messages that are."""
    return sum(release(workspace, key) for key, d in list(workspace.deliveries.items()) if d.held)


def _template(workspace: Workspace, options: SandboxOptions, channel: str, body: dict[str, Any]) -> int:
    """The number of the transactional message; a name is given one. Raises Refusal when it must exist."""
    given = body.get("transactional_message_id")
    if given is None:
        return _NAMELESS
    known = listed(options.transactional_messages)
    named = isinstance(given, str)
    if known is not None and str(given).casefold() not in known and not (named and body.get("auto_create")):
        raise meta_refusal("the transactional message does not exist")
    if not named:
        return int(given)
    template = workspace.shelf.templates.get(given.casefold())
    if template is None:
        template = Template(given, _FIRST_NUMBER + len(workspace.shelf.templates), channel)
        workspace.shelf.save(template)
    elif template.channel != channel:
        raise meta_refusal(f"that name belongs to a transactional message by {template.channel}")
    return template.number


def _person(
    workspace: Workspace, options: SandboxOptions, identifiers: dict[str, str] | None, now: int
) -> Person | None:
    """Whom a message belongs to. What happens when nobody is known so is not documented: an option."""
    if identifiers is None:
        return None
    kind, value = next(iter(identifiers.items()))
    if kind == "cio_id":
        value = value.removeprefix("cio_")
    person = workspace.find(kind, value)
    if person is not None or workspace.is_blocked(kind, value):
        return person
    if options.unknown_person == "refuse":
        raise meta_refusal("nobody has that identifier")
    if options.unknown_person == "create" and kind != "cio_id":
        return workspace.create(kind, value, now)
    return None


def _delivery(
    workspace: Workspace, person: Person | None, channel: str, number: int, body: dict[str, Any], now: int
) -> Delivery:
    known = MEMBERS[channel].keys() - {"message_data"}
    content = {name: value for name, value in body.items() if name in known}
    if content.get("attachments"):
        content["attachments"] = {
            name: len(text) * 3 // 4 - text.count("=") for name, text in content["attachments"].items()
        }
    return new_delivery(
        workspace,
        person,
        "in_app" if channel == "inbox_message" else channel,  # no shape of its own is published
        _recipient(person, channel, body),
        _subject(content),
        {"transactional_message_id": number},
        now,
        data=body.get("message_data", {}),
        content=content,
        devices=_devices(person, body) if channel == "push" else [],
        kind=channel,
    )


def _subject_of(body: dict[str, Any]) -> str:
    """Whom a message is about, for faults that hit some people only."""
    identifiers: dict[str, str] = body.get("identifiers", {})
    return next(iter(identifiers.values()), body.get("to", ""))


def _subject(content: dict[str, Any]) -> str:
    return content.get("subject") or content.get("title") or ""


def _recipient(person: Person | None, channel: str, body: dict[str, Any]) -> str:
    if channel in ("email", "sms", "whatsapp"):
        return body["to"]
    identifier = next(iter(body["identifiers"].values()))
    if channel != "push":
        return person.key if person is not None else identifier
    devices = _devices(person, body)
    return devices[0]["device_id"] if devices else ""


def _devices(person: Person | None, body: dict[str, Any]) -> list[dict[str, str]]:
    """Where a push goes: all devices, the one that was used last, or the one named."""
    known = devices_of(person)
    custom = body.get("custom_device")
    if custom is not None:
        known.append({"device_id": custom["token"], "device_platform": custom["platform"]})
    match body.get("to", "all"):
        case "all":
            return known
        case "last_used":
            used = {t: int(d.get("last_used") or 0) for t, d in person.devices.items()} if person else {}
            return sorted(known, key=lambda each: used.get(each["device_id"], 0))[-1:]
        case token:
            return [each for each in known if each["device_id"] == token]


def _send(workspace: Workspace, delivery: Delivery) -> None:
    """Fill in the texts, and let happen what becomes of it."""
    person = workspace.people.get(delivery.person)
    scopes = scopes_of(person, message_data=delivery.data, trigger=delivery.data)
    content = delivery.content
    for name in _TEXTS:
        if isinstance(content.get(name), str):
            content[name] = render(content[name], scopes)
    delivery.subject = _subject(content)
    steps = _ending(workspace, delivery, person)
    if content.get("disable_message_retention"):
        delivery.content, delivery.data = {"disable_message_retention": True}, {}
    workspace.touch_delivery(delivery)
    follow(workspace, delivery, steps)


def _ending(workspace: Workspace, delivery: Delivery, person: Person | None) -> list[Step]:
    content, now = delivery.content, unix_now()
    if content.get("queue_draft"):
        return [Step(_DRAFTED, now)]
    reason = _obstacle(workspace, delivery, person)
    if reason:
        return [Step("undeliverable", now, {"failure_message": reason})]
    if delivery.channel == "email":
        addresses = {address.casefold() for _, address in getaddresses([delivery.recipient])}
        if any(each.email.casefold() in addresses for each in workspace.shelf.refused.values()):
            why = "The address is on the provider's suppression list"
            return [Step("dropped", now, {"failure_message": why})]
    return workspace.courses.draw(delivery.channel, tracked=content.get("tracked", True))


def _obstacle(workspace: Workspace, delivery: Delivery, person: Person | None) -> str:
    """Why a message that was accepted is not sent; empty when it is.

    That a suppressed person's message ends so is a choice: documented is only that calls about them are
    answered with 200 and do nothing.
    """
    for kind, value in delivery.content.get("identifiers", {}).items():
        if workspace.is_blocked(kind, value):
            return "The person is suppressed"
    if person is not None and person.id is not None and workspace.is_blocked("id", person.id):
        return "The person is suppressed"
    unsubscribed = person is not None and is_unsubscribed(person.attributes.get(UNSUBSCRIBED))
    if unsubscribed and not delivery.content.get("send_to_unsubscribed", True):
        return "The person is unsubscribed"
    if delivery.channel == "push" and not delivery.devices:
        return "The person has no such device"
    return ""
