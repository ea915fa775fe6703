"""How an identify changes a profile: identifiers and their conflicts, attributes and their order in time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from cio_pipelines.customerio import limits
from cio_pipelines.sandbox.consent import PREFERENCES
from cio_pipelines.sandbox.records import Person, as_text, normal
from cio_pipelines.sandbox.wire import Operation
from cio_pipelines.sandbox.workspace import Workspace

READ_ONLY = frozenset(
    {"cio_id", "_created_in_customerio_at", "_last_emailed", "_cio_subscription_preferences_computed"}
)
"""Attributes that Customer.io computes; sending them does nothing."""
_TOPIC = f"{PREFERENCES}.topics."
_ADDRESSES = ("email", "phone")


@dataclass(slots=True)
class Update:
    """An identify taken apart. `attributes` still hold e-mail and phone; `at` is in unix seconds."""

    attributes: dict[str, Any]
    identifiers: dict[str, str]
    at: int
    update_only: bool
    anonymous_id: str | None


@dataclass(slots=True)
class Result:
    """Changed attributes with their values as text; names left alone as older than what is there; names
    refused because the profile is full."""

    changed: dict[str, Any] = field(default_factory=dict[str, Any])
    skipped: list[str] = field(default_factory=list[str])
    refused: list[str] = field(default_factory=list[str])


def read_update(workspace: Workspace, op: Operation, now: int) -> Update:
    """Take the reserved names out of an identify's attributes."""
    sent = dict(op.attributes or {})
    update_only = sent.pop("_update", None) is True
    claimed = sent.pop("_timestamp", None)
    at = op.timestamp if op.timestamp is not None else claimed if type(claimed) is int else now
    for name in READ_ONLY.intersection(sent):
        del sent[name]
    anonymous_id = sent.pop("anonymous_id", None)
    identifiers: dict[str, str] = {}
    new_id = sent.pop("id", None)
    if new_id not in (None, ""):
        identifiers["id"] = as_text(new_id)
    if not workspace.id_only:
        for name in _ADDRESSES:
            value = sent.get(name)
            if isinstance(value, str) and value:
                identifiers[name] = value
    return Update(sent, identifiers, at, update_only, None if anonymous_id is None else str(anonymous_id))


def owner_of_another(
    workspace: Workspace, kind: str, value: str, identifiers: dict[str, str]
) -> Person | None:
    """The person who has an identifier of the body, when they still lack one of the addressing `kind`.

    They get it: so somebody known by e-mail gets an id without becoming two people.
    """
    if kind == "cio_id":
        return None
    for name, identifier in identifiers.items():
        if name != kind:
            owner = workspace.find(name, identifier)
            if owner is not None and getattr(owner, kind) is None:
                workspace.give(owner, kind, value)
                return owner
    return None


def conflict(
    workspace: Workspace, person: Person | None, addressed_by: str, identifiers: dict[str, str]
) -> str | None:
    """The first identifier that may not become this person's.

    That is another person's, or a change of a set one that needs the cio_id as the address. A person known
    by id may get another e-mail where the workspace allows it.
    """
    for name, identifier in identifiers.items():
        owner = workspace.find(name, identifier)
        if owner is not None and owner is not person:
            return name
        present = getattr(person, name) if person is not None else None
        if present is None or addressed_by == "cio_id" or normal(name, present) == normal(name, identifier):
            continue
        if name == "id" or addressed_by != "id" or not workspace.options.email_change_by_id:
            return name
    return None


def set_attributes(workspace: Workspace, person: Person, update: Update) -> Result:
    """Merge an update without conflicts: null removes, older values never overwrite newer ones."""
    result = Result()
    attributes, set_at, at = person.attributes, person.set_at, update.at
    new_id = update.identifiers.get("id")
    if new_id is not None and new_id != person.id:
        result.changed["id"] = {"from": person.id or "", "to": new_id}
        workspace.give(person, "id", new_id)
    for name, value in update.attributes.items():
        last = set_at.get(name)
        if last is not None and at < last:
            result.skipped.append(name)
            continue
        before = attributes.get(name)
        if value is None:
            if name in _ADDRESSES:
                workspace.take(person, name)
            attributes.pop(name, None)
        elif name in update.identifiers:
            workspace.give(person, name, value)
        elif name.startswith(_TOPIC):
            _set_topic(attributes, name.removeprefix(_TOPIC), value)
        elif name not in attributes and len(attributes) >= limits.ATTRIBUTES_PER_PERSON:
            result.refused.append(name)
            continue
        else:
            attributes[name] = value
        set_at[name] = at
        if before != value or type(before) is not type(value):
            result.changed[name] = {
                "from": "" if before is None else as_text(before),
                "to": "" if value is None else as_text(value),
            }
    return result


def _set_topic(attributes: dict[str, Any], topic: str, value: Any) -> None:
    present = attributes.get(PREFERENCES)
    preferences = dict(cast("dict[str, Any]", present)) if isinstance(present, dict) else {}
    topics = preferences.get("topics")
    known = cast("dict[str, Any]", topics) if isinstance(topics, dict) else {}
    attributes[PREFERENCES] = {**preferences, "topics": {**known, topic: value}}
