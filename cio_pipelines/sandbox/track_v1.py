"""Track API version 1: each call is one operation of version 2, by another spelling."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from cio_pipelines.customerio import limits
from cio_pipelines.customerio.errors import InvalidOperation
from cio_pipelines.sandbox.batch import Problem
from cio_pipelines.sandbox.http import Answer, Request, error_meta, errors_v1, not_found
from cio_pipelines.sandbox.intake import Intake
from cio_pipelines.sandbox.wire import Operation, check, decode, encode

EVENT_DATA_BYTES = 100_000
"""Most bytes of an event's data in version 1, which has no limit of an item."""
_OF_FORMS = ("form_id", "form_name", "form_type", "form_url", "form_url_param")
"""Fields that say something of the form, not of the person."""
_EVENTS = ("event", "page", "screen")


def route(intake: Intake, request: Request, *, id_only: bool) -> Answer:
    """Answer a request under /api/v1, but for the region look-up."""
    try:
        operations = _operations(request, id_only=id_only)
        if operations is None:
            return not_found()
        for operation in operations:
            check(operation, id_only=id_only) if operation.action not in _EVENTS else _check_event(operation)
    except InvalidOperation as fault:
        problem = Problem.of(0, fault)
        intake.refuse(None, problem)
        return _refusal(request, f"{problem.field}: {problem.message}" if problem.field else problem.message)
    for operation in operations:
        for entry in intake.one(operation, request.path):
            return _refusal(request, str(entry["message"]))
    return Answer(204, b"") if request.path.endswith("/submit") else Answer()


def _refusal(request: Request, message: str) -> Answer:
    return error_meta(message, 400) if request.path.endswith("/merge_customers") else errors_v1(message)


def _operations(request: Request, *, id_only: bool) -> list[Operation] | None:
    """What a request asks for; None when there is no such call. Raises InvalidOperation."""
    match request.method, request.segments[2:]:
        case "POST", ["events"]:
            return [_event(_body(request), None)]
        case "POST", ["merge_customers"]:
            body = _body(request)
            primary, secondary = _member(body, "primary"), _member(body, "secondary")
            return [Operation("person", "merge", primary=primary, secondary=secondary)]
        case "POST", ["forms", form, "submit"] if form:
            return [_form(_body(request), id_only=id_only)]
        case method, ["customers", identifier, *rest] if identifier:
            return _of_person(request, method, _identifiers(identifier, id_only=id_only), rest)
        case _:
            return None


def _of_person(
    request: Request, method: str, whom: dict[str, Any], rest: list[str]
) -> list[Operation] | None:
    match method, rest:
        case "PUT", []:
            return _identify(_body(request), whom)
        case "DELETE", []:
            return [Operation("person", "delete", whom)]
        case "POST", ["events"]:
            return [_event(_body(request), whom)]
        case "PUT", ["devices"]:
            device = _member(_body(request), "device")
            if device is None:
                raise InvalidOperation("device", "required", "device is required")
            token = {"token": device.pop("id")} if "id" in device else {}
            return [Operation("person", "add_device", whom, device=token | device)]
        case "DELETE", ["devices", token] if token:
            return [Operation("person", "delete_device", whom, device={"token": token})]
        case "POST", ["suppress" | "unsuppress" as action]:
            return [Operation("person", action, whom)]
        case _:
            return None


def _identifiers(value: str, *, id_only: bool) -> dict[str, Any]:
    """The kind of a path's identifier is guessed from its form; a phone number counts as an id."""
    if value.startswith("cio_"):
        return {"cio_id": value.removeprefix("cio_")}
    return {"email": value} if "@" in value and not id_only else {"id": value}


def _identify(body: dict[str, Any], whom: dict[str, Any]) -> list[Operation]:
    """Relationships are an object with an action here, and may mean a second operation."""
    related = body.pop("cio_relationships", None)
    operations = [Operation("person", "identify", whom, attributes=body)]
    if related is None:
        return operations
    change = cast("dict[str, Any]", related) if isinstance(related, dict) else {}
    links = change.get("relationships")
    if change.get("action") not in ("add_relationships", "delete_relationships") or not isinstance(
        links, list
    ):
        raise InvalidOperation(
            "cio_relationships", "invalid", "must hold an action and an array of relationships"
        )
    links = cast("list[Any]", links)
    return [*operations, Operation("person", change["action"], whom, cio_relationships=links)]


def _form(body: dict[str, Any], *, id_only: bool) -> Operation:
    """A form's fields are attributes of whoever filled it in; exactly one of them says who that is."""
    data = _member(body, "data")
    if not data:
        raise InvalidOperation("data", "required", "data is required")
    if not all(isinstance(value, str) for value in data.values()):
        raise InvalidOperation("data", "invalid", "form values must be strings")
    kinds = [kind for kind in (("id",) if id_only else ("id", "email")) if kind in data]
    if len(kinds) != 1:
        raise InvalidOperation("data", "invalid", "data must hold exactly one of id and email")
    fields = {name: value for name, value in data.items() if name not in _OF_FORMS and name != kinds[0]}
    return Operation("person", "identify", {kinds[0]: data[kinds[0]]}, attributes=fields)


def _event(body: dict[str, Any], whom: dict[str, Any] | None) -> Operation:
    """An event; `whom` is None for somebody anonymous, with or without an anonymous_id."""
    kind = body.get("type", "event")
    if kind not in _EVENTS:
        raise InvalidOperation("type", "invalid", "type must be event, page or screen")
    for name, types, meaning in (
        ("id", str, "a string"),
        ("timestamp", int, "whole unix seconds"),
        ("data", dict, "an object"),
    ):
        value = body.get(name)
        if value is not None and (not isinstance(value, types) or isinstance(value, bool)):
            raise InvalidOperation(name, "invalid", f"{name} must be {meaning}")
    anonymous_id = body.get("anonymous_id") or ""
    if whom is None and not isinstance(anonymous_id, str):
        raise InvalidOperation("anonymous_id", "invalid", "anonymous_id must be a string")
    return Operation(
        "person",
        kind,
        whom if whom is not None else {"anonymous_id": anonymous_id},
        attributes=body.get("data"),
        timestamp=body.get("timestamp"),
        name=body.get("name"),
        id=body.get("id"),
    )


def _check_event(operation: Operation) -> None:
    if not operation.name:
        raise InvalidOperation("name", "required", "event name is required")
    limits.check_text("name", operation.name)
    if limits.utf8_length(operation.name, "name") > limits.EVENT_NAME_BYTES:
        raise InvalidOperation(
            "", "invalid", f"event name cannot be longer than {limits.EVENT_NAME_BYTES} bytes"
        )
    if len(encode(operation.attributes)) > EVENT_DATA_BYTES:
        raise InvalidOperation(
            "data", "invalid", f"event data cannot be longer than {EVENT_DATA_BYTES} bytes"
        )
    identifiers = operation.identifiers or {}
    if "id" in identifiers:
        limits.check_person_id("identifier", identifiers["id"])


def _body(request: Request) -> dict[str, Any]:
    try:
        value = decode(request.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidOperation("", "invalid", "the body is not valid JSON") from None
    if not isinstance(value, dict):
        raise InvalidOperation("", "invalid", "the body must be a JSON object")
    return cast("dict[str, Any]", value)


def _member(body: dict[str, Any], name: str) -> dict[str, Any] | None:
    value = body.get(name)
    if value is not None and not isinstance(value, dict):
        raise InvalidOperation(name, "invalid", f"{name} must be an object")
    return cast("dict[str, Any] | None", value)
