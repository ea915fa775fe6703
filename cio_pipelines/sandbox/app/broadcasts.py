"""Broadcasts that are triggered by a call, what the triggers came to, and what they sent."""

from __future__ import annotations

from typing import Any

from cio_pipelines.sandbox.app.checks import (
    ARRAY,
    FLAG,
    OBJECT,
    TEXT,
    app_refusal,
    check_members,
    is_strict,
    listed,
    pointed_refusal,
    read_object,
)
from cio_pipelines.sandbox.app.files import is_local
from cio_pipelines.sandbox.app.recipients import FLAGS, INLINE, Audience, entries_of, filtered, named
from cio_pipelines.sandbox.consent import UNSUBSCRIBED, is_unsubscribed
from cio_pipelines.sandbox.deliveries import follow, new_delivery, recipient_of
from cio_pipelines.sandbox.http import Answer, Request, errors_app, json_answer
from cio_pipelines.sandbox.options import SandboxOptions
from cio_pipelines.sandbox.records import unix_now
from cio_pipelines.sandbox.rendering import render, scopes_of
from cio_pipelines.sandbox.shelf import Trigger
from cio_pipelines.sandbox.wire import encode
from cio_pipelines.sandbox.workspace import Workspace

TRIGGER = "trigger"
"""The kind of duty that processes a trigger."""
RECIPIENTS = 10_000
"""Most ids, e-mails, or people with data of their own in one call."""
PAYLOAD_BYTES = 1_000_000
"""Most bytes of a call ("1 MB")."""
DATA_BYTES = 50_000
"""Most bytes of `data`."""
QUEUED = 5
"""Most triggers of a broadcast that wait."""
_DIGITS = 18
_ACTION = 1
_ERRORS = 100
_ERRORS_AT_ONCE = 1_000
_AUDIENCES = [name for name in FLAGS if name != "default"]
_FLAGS = ("id_ignore_missing", "email_ignore_missing", "email_add_duplicates")
_MEMBERS = dict.fromkeys(_FLAGS, FLAG) | {
    "data": OBJECT,
    "recipients": OBJECT,
    "ids": ARRAY,
    "emails": ARRAY,
    "per_user_data": ARRAY,
    "data_file_url": TEXT,
}


def route(workspace: Workspace, options: SandboxOptions, request: Request) -> Answer | None:
    """Answer a call about triggers; None when it is about something else. Raises Refusal."""
    match request.method, request.segments[1:]:
        case "POST", ["campaigns", broadcast, "triggers"]:
            return _trigger(workspace, options, request, _broadcast(options, broadcast))
        case "GET", ["broadcasts", broadcast, "triggers"]:
            number = _broadcast(options, broadcast)
            triggers = [each for each in workspace.shelf.triggers.values() if each.broadcast_id == number]
            return json_answer({"triggers": [_short(trigger) for trigger in triggers]})
        case "GET", ["campaigns", broadcast, "triggers", number]:
            return json_answer(_told(_found(workspace, broadcast, number)))
        case "GET", ["campaigns", broadcast, "triggers", number, "errors"]:
            return _errors(request, _found(workspace, broadcast, number))
        case _:
            return None


def process(workspace: Workspace, trigger: Trigger, audience: Audience | None = None) -> None:
    """Send a broadcast; without an `audience` to whom the trigger itself names."""
    if audience is None:
        audience = _audience(workspace, trigger)
    trigger.processed_at = unix_now()
    trigger.errors = audience.errors
    trigger.failed = bool(audience.errors)
    if not trigger.failed:
        trigger.recipients = len(audience.people)
        _send(workspace, trigger, audience)
    workspace.shelf.save(trigger)


def fail(workspace: Workspace, trigger: Trigger, error: str) -> None:
    """Say that a trigger came to nothing."""
    audience = Audience()
    audience.errors.append(error)
    process(workspace, trigger, audience)


def described(trigger: Trigger) -> dict[str, Any]:
    """A trigger as the control endpoints tell it."""
    return {
        **_told(trigger),
        "audience": trigger.audience,
        "state": "queued" if trigger.processed_at is None else "failed" if trigger.failed else "processed",
        "data": trigger.request.get("data", {}),
        "errors": trigger.errors,
    }


def _broadcast(options: SandboxOptions, text: str) -> int:
    known = listed(options.broadcasts)
    number = text.isascii() and text.isdigit() and len(text) <= _DIGITS
    if not number or (known is not None and text not in known):
        raise app_refusal("not found", 404)
    return int(text)


def _trigger(workspace: Workspace, options: SandboxOptions, request: Request, broadcast: int) -> Answer:
    if len(request.body) > PAYLOAD_BYTES or request.too_large:
        raise app_refusal(f"the request cannot be longer than {PAYLOAD_BYTES} bytes", 413)
    body = read_object(request, app_refusal)
    check_members(body, _MEMBERS, app_refusal, strict=is_strict(request))
    kind = _check(workspace, body)
    of_broadcast = [each for each in workspace.shelf.triggers.values() if each.broadcast_id == broadcast]
    waiting = sum(each.processed_at is None for each in of_broadcast)
    if options.broadcast_seconds is not None and waiting >= QUEUED:
        return errors_app(f"no more than {QUEUED} triggers can wait", 429, (("retry-after", "10"),))
    number = max((each.trigger_id for each in of_broadcast), default=0) + 1
    now = unix_now()
    due_at = now + workspace.courses.settings.broadcast_delay
    if options.discard:
        workspace.shelf.save(Trigger(number, broadcast, kind, {}, now, now, now))
        return json_answer({"id": number})
    trigger = Trigger(number, broadcast, kind, body, now, due_at)
    if kind in INLINE and options.missing_recipients == "refuse":
        audience = _audience(workspace, trigger)
        if audience.errors:
            process(workspace, trigger, audience)
            detail = (
                "Some of the people named could not be had (ids, emails or per-user data). "
                f"The errors endpoint says more about trigger {number}"
            )
            raise pointed_refusal(detail, "per_user_data")
    workspace.shelf.save(trigger)
    workspace.agenda.add(due_at, TRIGGER, trigger.key)
    return json_answer({"id": number})


def _check(workspace: Workspace, body: dict[str, Any]) -> str:
    """Hold a body to the documented rules; returns which way the audience is named. Raises Refusal."""
    for name in [name for name, value in body.items() if value is None]:
        del body[name]
    given = [name for name in _AUDIENCES if name in body]
    if len(given) > 1:
        raise pointed_refusal(f"{given[1]} cannot be given together with {given[0]}", given[1])
    kind = given[0] if given else "default"
    for name in _FLAGS:
        if name in body and name not in FLAGS[kind]:
            raise pointed_refusal(f"{name} does not go with this audience ({kind})", name)
    if kind in INLINE and not 1 <= len(body[kind]) <= RECIPIENTS:
        raise pointed_refusal(f"{kind} must hold 1 to {RECIPIENTS} people", kind)
    if kind in ("ids", "emails") and not all(isinstance(each, str) and each for each in body[kind]):
        raise pointed_refusal(f"{kind} must be strings", kind)
    if len(encode(body.get("data", {}))) > DATA_BYTES:
        raise pointed_refusal(f"data cannot be longer than {DATA_BYTES} bytes", "data")
    if kind == "recipients":
        filtered(workspace, body)
    if kind == "data_file_url" and not is_local(body[kind]):
        raise pointed_refusal("the sandbox fetches files from this machine only, by http", kind)
    return kind


def _audience(workspace: Workspace, trigger: Trigger) -> Audience:
    if trigger.audience in INLINE:
        return named(workspace, trigger.request, entries_of(trigger.request))
    return filtered(workspace, trigger.request)


def _send(workspace: Workspace, trigger: Trigger, audience: Audience) -> None:
    channel = workspace.options.broadcast_channel
    common: dict[str, Any] = trigger.request.get("data", {})
    origin = {
        "broadcast_id": trigger.broadcast_id,
        "trigger_id": trigger.trigger_id,
        "action_id": _ACTION,
    }
    for person, own in audience.people.values():
        recipient = recipient_of(person, channel)
        if not recipient or is_unsubscribed(person.attributes.get(UNSUBSCRIBED)):
            continue
        data = {**common, **own} if own else common
        subject = render(str(data.get("subject", f"Broadcast {trigger.broadcast_id}")), scopes_of(person))
        delivery = new_delivery(
            workspace, person, channel, recipient, subject, origin, unix_now(), data=data, kind=channel
        )
        follow(workspace, delivery, workspace.courses.draw(channel))


def _found(workspace: Workspace, broadcast: str, number: str) -> Trigger:
    trigger = workspace.shelf.triggers.get(f"{broadcast}/{number}")
    if trigger is None:
        raise app_refusal("not found", 404)
    return trigger


def _short(trigger: Trigger) -> dict[str, Any]:
    processed = {} if trigger.processed_at is None else {"processed_at": trigger.processed_at}
    return {
        "id": trigger.trigger_id,
        "broadcast_id": trigger.broadcast_id,
        "created_at": trigger.created_at,
        **processed,
    }


def _told(trigger: Trigger) -> dict[str, Any]:
    """A trigger with what came of it; without `processed_at` as long as it waits."""
    told = _short(trigger) | {"recipients_count": trigger.recipients, "workflow_action_ids": [_ACTION]}
    if trigger.audience == "data_file_url":
        told["data_file_processed"] = trigger.processed_at is not None
        told["data_file_error_count"] = len(trigger.errors)
    if "recipients" in trigger.request:
        told["recipients_filter"] = {"recipients": trigger.request["recipients"]}
    return told


def _errors(request: Request, trigger: Trigger) -> Answer:
    """A page of errors; `next` is 0 at the end."""
    start = request.number("start", 0, 10**9, minimum=0)
    end = start + request.number("limit", _ERRORS, _ERRORS_AT_ONCE)
    following = end if end < len(trigger.errors) else 0
    return json_answer({"errors": trigger.errors[start:end], "next": following})
