"""What an accepted operation does to the workspace. Returns what the log of operations says of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

from cio_pipelines.customerio import limits
from cio_pipelines.customerio.errors import InvalidOperation
from cio_pipelines.sandbox.merging import adopt_anonymous, merge_people
from cio_pipelines.sandbox.relate import apply_object, relate, unrelate
from cio_pipelines.sandbox.wire import Operation
from cio_pipelines.sandbox.workspace import Person, Workspace, as_text, normal, unix_now

READ_ONLY = frozenset(
    {"cio_id", "_created_in_customerio_at", "_last_emailed", "_cio_subscription_preferences_computed"}
)
"""Attributes that Customer.io computes; sending them does nothing."""
_PREFERENCES = "cio_subscription_preferences"
_TOPIC = f"{_PREFERENCES}.topics."
_OTHER_IDENTIFIERS = ("id", "email", "phone")


class Effect(NamedTuple):
    """`outcome` is accepted or ignored; `reason` says why nothing, or not all, was done."""

    outcome: str = "accepted"
    reason: str = ""
    field: str = ""


DONE = Effect()


def apply(workspace: Workspace, op: Operation) -> Effect:
    """Do what a valid operation asks for."""
    if op.type == "object":
        return Effect(*apply_object(workspace, op))
    if op.type == "delivery":
        timestamp = op.timestamp or unix_now()
        workspace.record(f"{op.name}_push", None, timestamp, {"delivery_id": op.subject}, op.name or "")
        return DONE
    if op.action == "merge":
        return _merge(workspace, op)
    kind, value = next(iter((op.identifiers or {}).items()))
    if op.action == "suppress":
        return _suppress(workspace, kind, value)
    if op.action == "unsuppress":
        return DONE if workspace.unblock(kind, value) else Effect("ignored", "not_suppressed")
    if workspace.is_blocked(kind, value):
        return Effect("ignored", "suppressed")
    person = workspace.find(kind, value)
    if person is not None and person.id is not None and workspace.is_blocked("id", person.id):
        return Effect("ignored", "suppressed")
    return _ACTIONS[str(op.action)](workspace, op, kind, value, person)


def _identify(workspace: Workspace, op: Operation, kind: str, value: str, person: Person | None) -> Effect:
    now = unix_now()
    sent = dict(op.attributes or {})
    update_only = sent.pop("_update", None) is True
    claimed = sent.pop("_timestamp", None)
    at = op.timestamp or (claimed if type(claimed) is int else now)
    for name in READ_ONLY.intersection(sent):
        del sent[name]
    anonymous_id = sent.pop("anonymous_id", None)
    wanted = _wanted_identifiers(workspace, sent)
    person = person or _owner_of_another(workspace, kind, value, wanted)
    if person is None:
        if kind == "cio_id":
            return Effect("ignored", "unknown_cio_id", "identifiers.cio_id")
        if update_only:
            whom = (value if kind == "id" else None, value if kind == "email" else None)
            workspace.record("failed_attribute_change", None, now, {"_update": {"to": "true"}}, whom=whom)
            return Effect("ignored", "no_such_person", "attributes._update")
        owned = _conflict(workspace, None, kind, wanted)
        if owned and workspace.options.identifier_conflict == "drop":
            workspace.record("failed_attribute_change", None, now, {owned: {"to": wanted[owned]}})
            return Effect("ignored", "failed_attribute_change", f"attributes.{owned}")
        person = workspace.create(kind, value, now)
    failed = ""
    while (conflict := _conflict(workspace, person, kind, wanted)) is not None:
        failed = conflict
        data = {conflict: {"from": getattr(person, conflict) or "", "to": wanted.pop(conflict)}}
        workspace.record("failed_attribute_change", person, now, data)
        sent.pop(conflict, None)
        if workspace.options.identifier_conflict == "drop":
            return Effect("ignored", "failed_attribute_change", f"attributes.{failed}")
    before = dict(person.attributes)
    for name, identifier in wanted.items():
        if at >= person.set_at.get(name, at) and normal(name, getattr(person, name) or "") != normal(
            name, identifier
        ):
            workspace.give(person, name, identifier)
            person.set_at[name] = at
    skipped, refused = _set_attributes(workspace, person, sent, at)
    person.updated_at = now
    workspace.touch(person)
    _record_change(workspace, person, before, now)
    if skipped:
        workspace.record("skipped_update", person, now, {name: {} for name in skipped})
    if refused:
        workspace.record("failed_attribute_change", person, now, {name: {} for name in refused})
        failed = failed or refused[0]
    if anonymous_id is not None:
        adopt_anonymous(workspace, person, str(anonymous_id))
    relate(workspace, person, op.cio_relationships or [])
    return Effect("accepted", "failed_attribute_change", f"attributes.{failed}") if failed else DONE


def _wanted_identifiers(workspace: Workspace, sent: dict[str, Any]) -> dict[str, str]:
    """Identifiers among the attributes; those with a value. An id always is one and leaves `sent`."""
    wanted: dict[str, str] = {}
    new_id = sent.pop("id", None)
    if new_id not in (None, ""):
        wanted["id"] = as_text(new_id)
    if not workspace.id_only:
        for name in ("email", "phone"):
            if isinstance(sent.get(name), str) and sent[name]:
                wanted[name] = sent[name]
    return wanted


def _owner_of_another(workspace: Workspace, kind: str, value: str, wanted: dict[str, str]) -> Person | None:
    """The person who has an identifier of the body, when they still lack one of the addressing kind.

    That is how somebody known by e-mail gets an id without becoming two people.
    """
    if kind not in _OTHER_IDENTIFIERS:
        return None
    for name, identifier in wanted.items():
        if name != kind:
            owner = workspace.find(name, identifier)
            if owner is not None and getattr(owner, kind) is None:
                workspace.give(owner, kind, value)
                return owner
    return None


def _conflict(
    workspace: Workspace, person: Person | None, addressed_by: str, wanted: dict[str, str]
) -> str | None:
    """The first identifier that may not become this person's: another's, or a set one that only a cio_id
    (or, for e-mail, where the workspace allows it, an id) may change."""
    for name, identifier in wanted.items():
        owner = workspace.find(name, identifier)
        if owner is not None and owner is not person:
            return name
        present = getattr(person, name) if person is not None else None
        if present is None or normal(name, present) == normal(name, identifier) or addressed_by == "cio_id":
            continue
        by_id = name != "id" and addressed_by == "id" and workspace.options.email_change_by_id
        if not by_id:
            return name
    return None


def _set_attributes(
    workspace: Workspace, person: Person, sent: dict[str, Any], at: int
) -> tuple[list[str], list[str]]:
    """Merge attributes into a profile: null removes, an older value never overwrites a newer one.

    Returns the names left alone because a newer value is there, and those beyond the limit of attributes.
    """
    skipped: list[str] = []
    refused: list[str] = []
    attributes, set_at = person.attributes, person.set_at
    for name, value in sent.items():
        if name in ("email", "phone") and getattr(person, name) is not None and value is not None:
            if normal(name, getattr(person, name)) == normal(name, str(value)):
                attributes[name] = value  # the same address in other letters is kept as last sent
            continue
        before = set_at.get(name)
        if before is not None and at < before:
            skipped.append(name)
            continue
        if value is None:
            if name in ("email", "phone"):
                workspace.take(person, name)
            attributes.pop(name, None)
        elif name.startswith(_TOPIC):
            _set_topic(attributes, name.removeprefix(_TOPIC), value)
        elif name not in attributes and len(attributes) >= limits.ATTRIBUTES_PER_PERSON:
            refused.append(name)
            continue
        else:
            attributes[name] = value
        set_at[name] = at
    return skipped, refused


def _set_topic(attributes: dict[str, Any], topic: str, value: Any) -> None:
    present = attributes.get(_PREFERENCES)
    preferences = dict(cast("dict[str, Any]", present)) if isinstance(present, dict) else {}
    topics = preferences.get("topics")
    known = cast("dict[str, Any]", topics) if isinstance(topics, dict) else {}
    attributes[_PREFERENCES] = {**preferences, "topics": {**known, topic: value}}


def _record_change(workspace: Workspace, person: Person, before: dict[str, Any], now: int) -> None:
    after = person.attributes
    changed = {
        name: {"from": as_text(before[name]) if name in before else "", "to": as_text(after.get(name, ""))}
        for name in before.keys() | after.keys()
        if before.get(name) != after.get(name) or (name in before) != (name in after)
    }
    if changed:
        workspace.record("attribute_change", person, now, changed)


def _event(workspace: Workspace, op: Operation, kind: str, value: str, person: Person | None) -> Effect:
    if op.id is not None:
        try:
            limits.check_ulid("id", op.id)
        except InvalidOperation:
            pass  # whether Customer.io refuses it is not known; it only takes no part in deduplication
        else:
            if op.id in workspace.event_ids:
                return Effect("ignored", "duplicate_event", "id")
            workspace.add_event_id(op.id)
    now = unix_now()
    if kind == "cio_id" and person is None:
        workspace.record("failed_event", None, now, {}, op.name or "")
        return Effect("ignored", "unknown_cio_id", "identifiers.cio_id")
    if person is None and kind != "anonymous_id":
        person = workspace.create(kind, value, now)
    workspace.record(
        str(op.action),
        person,
        op.timestamp if op.timestamp is not None else now,
        op.attributes or {},
        (op.name or "").strip(),
        value if kind == "anonymous_id" else "",
    )
    return DONE


def _delete(workspace: Workspace, op: Operation, kind: str, value: str, person: Person | None) -> Effect:
    if person is None:
        return Effect("ignored", "no_such_person")
    whom = (person.id, person.email)
    workspace.remove(person)
    workspace.record("profile_delete", None, unix_now(), {}, whom=(whom[0], None))
    return DONE


def _suppress(workspace: Workspace, kind: str, value: str) -> Effect:
    person = workspace.find(kind, value)
    if workspace.is_blocked(kind, value) and person is None:
        return Effect("ignored", "suppressed")
    if person is None:
        if kind == "cio_id":
            return Effect("ignored", "unknown_cio_id", "identifiers.cio_id")
        workspace.block(kind, value, unix_now())
        return DONE
    for name in ("id", "email") if not workspace.id_only else ("id",):
        identifier = getattr(person, name)
        if identifier is not None:
            workspace.block(name, identifier, unix_now())
    workspace.remove(person)
    workspace.record("profile_delete", None, unix_now(), {}, whom=(person.id, None))
    return DONE


def _merge(workspace: Workspace, op: Operation) -> Effect:
    primary, secondary = (
        workspace.find(*next(iter((who or {}).items()))) for who in (op.primary, op.secondary)
    )
    if primary is None or secondary is None or primary is secondary:
        return Effect("ignored", "no_such_person", "primary" if primary is None else "secondary")
    before = dict(primary.attributes)
    merge_people(workspace, primary, secondary)
    _record_change(workspace, primary, before, unix_now())
    return DONE


def _add_device(workspace: Workspace, op: Operation, kind: str, value: str, person: Person | None) -> Effect:
    if person is None:
        if kind == "cio_id":
            return Effect("ignored", "unknown_cio_id", "identifiers.cio_id")
        person = workspace.create(kind, value, unix_now())
    device = dict(op.device or {})
    person.devices[str(device["token"])] = device
    workspace.touch(person)
    workspace.record("device_change", person, unix_now(), {"device_id": device["token"]})
    return DONE


def _delete_device(
    workspace: Workspace, op: Operation, kind: str, value: str, person: Person | None
) -> Effect:
    token = str((op.device or {})["token"])
    if person is None or person.devices.pop(token, None) is None:
        return Effect("ignored", "no_such_device")
    workspace.touch(person)
    workspace.record("device_change", person, unix_now(), {"device_id": token})
    return DONE


def _relate(workspace: Workspace, op: Operation, kind: str, value: str, person: Person | None) -> Effect:
    if person is None:
        if kind == "cio_id":
            return Effect("ignored", "unknown_cio_id", "identifiers.cio_id")
        person = workspace.create(kind, value, unix_now())
    relate(workspace, person, op.cio_relationships or [])
    return DONE


def _unrelate(workspace: Workspace, op: Operation, kind: str, value: str, person: Person | None) -> Effect:
    if person is None:
        return Effect("ignored", "no_such_person")
    unrelate(workspace, person, op.cio_relationships or [])
    return DONE


_ACTIONS: dict[str, Callable[[Workspace, Operation, str, str, Person | None], Effect]] = {
    "identify": _identify,
    "delete": _delete,
    "event": _event,
    "page": _event,
    "screen": _event,
    "add_device": _add_device,
    "delete_device": _delete_device,
    "add_relationships": _relate,
    "delete_relationships": _unrelate,
}
