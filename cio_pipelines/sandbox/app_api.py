"""The App API: calls that read people and their activities back, and the way to the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

import msgspec

from cio_pipelines.sandbox.app import archive, broadcasts, esp, exports, people, segments, sending
from cio_pipelines.sandbox.app.checks import Refusal
from cio_pipelines.sandbox.consent import UNSUBSCRIBED, is_unsubscribed
from cio_pipelines.sandbox.faults import Fault
from cio_pipelines.sandbox.http import Answer, Request, errors_app, json_answer, not_found
from cio_pipelines.sandbox.options import SandboxOptions
from cio_pipelines.sandbox.records import Activity, Person, as_text, normal
from cio_pipelines.sandbox.wire import decode
from cio_pipelines.sandbox.workspace import Workspace

_IDS_AT_ONCE = 100
_ACTIVITIES_DEFAULT = 10
_ACTIVITIES_AT_ONCE = 100
_ID_DIGITS = 17


def route(workspace: Workspace, options: SandboxOptions, faults: list[Fault], request: Request) -> Answer:
    """Answer a request under /v1; `faults` are those that may strike a message."""
    try:
        if request.segments[1] == "send" and request.method == "POST":
            return sending.route(workspace, options, faults, request, "/".join(request.segments[2:]))
        return (
            broadcasts.route(workspace, options, request)
            or segments.route(workspace, request)
            or archive.route(workspace, request)
            or exports.route(workspace, options, request)
            or esp.route(workspace, request)
            or _read(workspace, options, request)
        )
    except Refusal as refusal:
        return refusal.answer


def _read(workspace: Workspace, options: SandboxOptions, request: Request) -> Answer:
    if options.discard:
        return errors_app("a sandbox that discards keeps nobody who could be read", 403)
    match request.method, request.segments[1:]:
        case "GET", ["customers"] if "email" in request.query:
            return _by_email(workspace, request.query["email"])
        case "POST", ["customers"]:
            return people.search(workspace, request)
        case "POST", ["customers", "attributes"]:
            return _many(workspace, request.body, wrapped=options.wrap_customers)
        case "GET", ["customers", identifier, "attributes"]:
            return _of_person(workspace, request, identifier, lambda p: json_answer({"customer": profile(p)}))
        case "GET", ["customers", identifier, "activities"]:
            return _of_person(
                workspace, request, identifier, lambda p: _activities(request, workspace.newest(p), workspace)
            )
        case "GET", ["customers", identifier, "segments"]:
            return _of_person(workspace, request, identifier, lambda p: people.segments(workspace, p))
        case "GET", ["customers", identifier, "messages"]:
            return _of_person(
                workspace, request, identifier, lambda p: archive.of_person(workspace, request, p)
            )
        case "GET", ["customers", identifier, "relationships"]:
            return _of_person(
                workspace, request, identifier, lambda p: people.relationships(workspace, request, p)
            )
        case "GET", ["customers", identifier, "subscription_preferences"]:
            return _of_person(
                workspace, request, identifier, lambda p: people.subscription_preferences(workspace, p)
            )
        case "GET", ["activities"]:
            return _activities(request, workspace.newest(), workspace)
        case _:
            return not_found()


def profile(person: Person) -> dict[str, Any]:
    """A person as the App API shows one: every attribute is text."""
    identifiers = {"id": person.id, "email": person.email, "cio_id": person.cio_id}
    attributes = {name: as_text(value) for name, value in person.attributes.items()}
    attributes |= {
        name: value for name, value in identifiers.items() if value is not None and name != "email"
    }
    return {
        "id": person.id or "",
        "identifiers": identifiers,
        "attributes": attributes,
        "timestamps": {
            "cio_id": person.created_at,
            **{name: person.set_at.get(name, person.created_at) for name in person.attributes},
        },
        "unsubscribed": is_unsubscribed(person.attributes.get(UNSUBSCRIBED)),
        "devices": [
            {"id": token, **{n: v for n, v in device.items() if n != "token"}}
            for token, device in person.devices.items()
        ],
    }


def _by_email(workspace: Workspace, email: str) -> Answer:
    if workspace.id_only:
        wanted = normal("email", email)
        found = [
            person
            for person in workspace.people.values()
            if normal("email", as_text(person.attributes.get("email", ""))) == wanted
        ]
    else:
        person = workspace.find("email", email)
        found = [person] if person is not None else []
    return json_answer(
        {
            "results": [
                {"email": as_text(p.attributes.get("email", "")), "id": p.id, "cio_id": p.cio_id}
                for p in found
            ]
        }
    )


def _many(workspace: Workspace, body: bytes, *, wrapped: bool) -> Answer:
    try:
        sent = decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return errors_app("the body is not valid JSON", 400)
    ids = cast("dict[str, object]", sent).get("ids") if isinstance(sent, dict) else None
    if not isinstance(ids, list) or not 1 <= len(cast("list[object]", ids)) <= _IDS_AT_ONCE:
        return errors_app(f"ids must be an array of 1 to {_IDS_AT_ONCE} ids", 400)
    found = (workspace.find("id", as_text(value)) for value in cast("list[object]", ids))
    profiles = [profile(person) for person in found if person is not None]
    return json_answer({"customers": [{"customer": p} for p in profiles] if wrapped else profiles})


def _of_person(
    workspace: Workspace, request: Request, identifier: str, answer: Callable[[Person], Answer]
) -> Answer:
    kind = request.query.get("id_type", "id")
    if kind not in ("id", "email", "phone", "cio_id"):
        return errors_app("id_type must be id, email, phone or cio_id", 400)
    person = workspace.find(kind, identifier.removeprefix("cio_") if kind == "cio_id" else identifier)
    return errors_app("customer not found", 404) if person is None else answer(person)


def _activities(request: Request, newest: Iterable[Activity], workspace: Workspace) -> Answer:
    limit = request.number("limit", _ACTIVITIES_DEFAULT, _ACTIVITIES_AT_ONCE)
    before = _sequence(request.query.get("start", ""))
    kind, name = request.query.get("type"), request.query.get("name")
    page: list[Activity] = []
    for activity in newest:
        if before is not None and activity.sequence >= before:
            continue
        if (kind and activity.type != kind) or (name and activity.name != name):
            continue
        if len(page) == limit:
            return json_answer({"activities": [shown(a) for a in page], "next": _id(page[-1])})
        page.append(activity)
    return json_answer({"activities": [shown(a) for a in page], "next": ""})


def shown(activity: Activity) -> dict[str, Any]:
    """An activity as the App API shows one."""
    return {
        "id": _id(activity),
        "type": activity.type,
        "name": activity.name,
        "timestamp": activity.timestamp,
        "customer_id": activity.customer_id or "",
        "customer_identifiers": {
            "id": activity.customer_id,
            "email": activity.email,
            "cio_id": activity.person,
        },
        "data": activity.data,
    }


def _id(activity: Activity) -> str:
    return f"01SANDB0X{activity.sequence:0{_ID_DIGITS}d}"


def _sequence(start: str) -> int | None:
    digits = start.removeprefix("01SANDB0X")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) == _ID_DIGITS else None
