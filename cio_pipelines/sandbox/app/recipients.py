"""Whom a triggered broadcast goes to, by each way of naming them, and who of them cannot be had."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import msgspec

from cio_pipelines.sandbox.app.audience import read_filter
from cio_pipelines.sandbox.app.checks import app_refusal
from cio_pipelines.sandbox.records import Person, as_text, normal
from cio_pipelines.sandbox.wire import decode
from cio_pipelines.sandbox.workspace import Workspace

FLAGS: dict[str, tuple[str, ...]] = {
    "default": (),
    "recipients": (),
    "ids": ("id_ignore_missing",),
    "emails": ("email_ignore_missing", "email_add_duplicates"),
    "per_user_data": ("id_ignore_missing", "email_ignore_missing", "email_add_duplicates"),
    "data_file_url": ("id_ignore_missing", "email_ignore_missing", "email_add_duplicates"),
}
"""The ways of naming an audience, and the flags that go with each (as the official clients send them)."""
INLINE = ("ids", "emails", "per_user_data")
"""Ways that are checked when the broadcast is triggered."""
_USER_BYTES = 2_000_000
"""Most bytes of one person's data ("2 MB")."""

Entry = tuple[str, str, dict[str, Any]]
"""A kind of identifier, its value, and the data for that person."""


class Audience:
    """People with the data for each, by cio_id; `errors` tells who could not be had."""

    def __init__(self) -> None:
        self.people: dict[str, tuple[Person, dict[str, Any]]] = {}
        self.errors: list[str] = []


def filtered(workspace: Workspace, request: dict[str, Any]) -> Audience:
    """Everybody, or those whom the filter of a request lets through. Raises Refusal."""
    audience = Audience()
    matches = None
    if "recipients" in request:
        matches = read_filter(workspace, request["recipients"], app_refusal)
    for person in workspace.people.values():
        if matches is None or matches(person):
            audience.people[person.cio_id] = (person, {})
    return audience


def named(workspace: Workspace, request: dict[str, Any], entries: Iterable[Entry | str]) -> Audience:
    """Those whom entries name; an entry that is a text says why it cannot be read."""
    audience = Audience()
    by_email = _by_email(workspace) if workspace.id_only else None
    for number, entry in enumerate(entries, start=1):
        if isinstance(entry, str):
            audience.errors.append(f"line {number}: {entry}")
            continue
        kind, value, data = entry
        if kind == "id":
            found = [person] if (person := workspace.find("id", value)) is not None else []
        elif by_email is not None:
            found = by_email.get(normal("email", value), [])
        else:
            found = [person] if (person := workspace.find("email", value)) is not None else []
        if not found and not request.get(f"{kind}_ignore_missing"):
            audience.errors.append(f"line {number}: no customer has the {kind} {value}")
        if len(found) > 1 and not request.get("email_add_duplicates"):
            audience.errors.append(f"line {number}: more than one customer has the email {value}")
            continue
        for person in found:
            audience.people.setdefault(person.cio_id, (person, data))
    return audience


def entries_of(request: dict[str, Any]) -> list[Entry | str]:
    """What the body itself names, in order."""
    if "ids" in request:
        return [("id", as_text(value), {}) for value in request["ids"]]
    if "emails" in request:
        return [("email", as_text(value), {}) for value in request["emails"]]
    return [_entry(each) for each in request["per_user_data"]]


def entries_of_file(content: bytes) -> list[Entry | str]:
    """What the lines of a file name; each is a JSON object. Empty lines at the end do not count."""
    return [_line(line) for line in content.rstrip().split(b"\n")]


def _line(line: bytes) -> Entry | str:
    try:
        return _entry(decode(line))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "this is not valid JSON"


def _entry(value: object) -> Entry | str:
    if not isinstance(value, dict):
        return "this is not a JSON object"
    members = cast("dict[str, Any]", value)
    kinds = [kind for kind in ("id", "email") if members.get(kind) not in (None, "")]
    if len(kinds) != 1:
        return "exactly one of id and email is needed"
    data = members.get("data", {})
    if not isinstance(data, dict):
        return "data must be an object"
    if len(msgspec.json.encode(data, enc_hook=str)) > _USER_BYTES:
        return f"data cannot be longer than {_USER_BYTES} bytes"
    return kinds[0], as_text(members[kinds[0]]), cast("dict[str, Any]", data)


def _by_email(workspace: Workspace) -> dict[str, list[Person]]:
    """Where e-mail is an ordinary attribute, several people can have one."""
    found: dict[str, list[Person]] = {}
    for person in workspace.people.values():
        email = person.attributes.get("email")
        if email is not None:
            found.setdefault(normal("email", as_text(email)), []).append(person)
    return found
