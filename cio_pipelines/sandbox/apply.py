"""What an accepted operation does to the workspace. Returns what the log of operations says of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from cio_pipelines.customerio import limits
from cio_pipelines.customerio.errors import InvalidOperation
from cio_pipelines.sandbox.consent import consent_of, report_consent
from cio_pipelines.sandbox.merging import adopt_anonymous, merge_people
from cio_pipelines.sandbox.profile import conflict, owner_of_another, read_update, set_attributes
from cio_pipelines.sandbox.records import Person, unix_now
from cio_pipelines.sandbox.relate import apply_object, relate, unrelate
from cio_pipelines.sandbox.track_reports import note
from cio_pipelines.sandbox.wire import Operation
from cio_pipelines.sandbox.workspace import Workspace


class Effect(NamedTuple):
    """`outcome` is accepted or ignored; `reason` says why nothing, or not all, was done."""

    outcome: str = "accepted"
    reason: str = ""
    field: str = ""


DONE = Effect()
_UNKNOWN_CIO_ID = Effect("ignored", "unknown_cio_id", "identifiers.cio_id")


def apply(workspace: Workspace, op: Operation) -> Effect:
    """Do what a valid operation asks for."""
    if op.type == "object":
        return Effect(*apply_object(workspace, op))
    if op.type == "delivery":
        timestamp = op.timestamp or unix_now()
        if note(workspace, str((op.identifiers or {}).get("id")), op.name or "", timestamp):
            return DONE
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
    update = read_update(workspace, op, now)
    person = person or owner_of_another(workspace, kind, value, update.identifiers)
    if person is None:
        if kind == "cio_id":
            return _UNKNOWN_CIO_ID
        whom = _whom(kind, value)
        if update.update_only:
            workspace.record("failed_attribute_change", None, now, {"_update": {"to": "true"}}, whom=whom)
            return Effect("ignored", "no_such_person", "attributes._update")
        owned = conflict(workspace, None, kind, update.identifiers)
        if owned and workspace.options.identifier_conflict == "drop":
            data = {owned: {"to": update.identifiers[owned]}}
            workspace.record("failed_attribute_change", None, now, data, whom=whom)
            return Effect("ignored", "failed_attribute_change", f"attributes.{owned}")
        person = workspace.create(kind, value, now)
    failed = ""
    while (name := conflict(workspace, person, kind, update.identifiers)) is not None:
        failed = name
        data = {name: {"from": getattr(person, name) or "", "to": update.identifiers.pop(name)}}
        workspace.record("failed_attribute_change", person, now, data)
        update.attributes.pop(name, None)
        if workspace.options.identifier_conflict == "drop":
            return Effect("ignored", "failed_attribute_change", f"attributes.{failed}")
    consent = consent_of(person)
    result = set_attributes(workspace, person, update)
    person.updated_at = now
    workspace.touch(person)
    if result.changed:
        workspace.record("attribute_change", person, now, result.changed)
        report_consent(workspace, person, consent, now)
    if result.skipped:
        workspace.record("skipped_update", person, now, {name: {} for name in result.skipped})
    if result.refused:
        workspace.record("failed_attribute_change", person, now, {name: {} for name in result.refused})
        failed = failed or result.refused[0]
    if update.anonymous_id is not None:
        adopt_anonymous(workspace, person, update.anonymous_id)
    if op.cio_relationships:
        relate(workspace, person, op.cio_relationships)
    return Effect("accepted", "failed_attribute_change", f"attributes.{failed}") if failed else DONE


def _whom(kind: str, value: str) -> tuple[str | None, str | None]:
    """Id and e-mail, as far as an identifier tells them."""
    return value if kind == "id" else None, value if kind == "email" else None


def _ulid(event_id: str | None) -> str | None:
    """The id as it is compared; None for one that is no ULID.

    Whether Customer.io refuses those is not known; here they only take no part in deduplication.
    """
    if event_id is None:
        return None
    try:
        limits.check_ulid("id", event_id)
    except InvalidOperation:
        return None
    return event_id.upper()


def _event(workspace: Workspace, op: Operation, kind: str, value: str, person: Person | None) -> Effect:
    event_id = _ulid(op.id)
    if event_id in workspace.event_ids:
        return Effect("ignored", "duplicate_event", "id")
    now = unix_now()
    if kind == "cio_id" and person is None:
        workspace.record("failed_event", None, now, {}, op.name or "")
        return _UNKNOWN_CIO_ID
    if event_id is not None:
        workspace.add_event_id(event_id)
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
            return _UNKNOWN_CIO_ID
        workspace.block(kind, value, unix_now())
        return DONE
    for name in ("id", "email") if not workspace.id_only else ("id",):
        identifier = getattr(person, name)
        if identifier is not None:
            workspace.block(name, identifier, unix_now())
    workspace.remove(person, suppressed=True)
    workspace.record("profile_delete", None, unix_now(), {}, whom=(person.id, None))
    return DONE


def _merge(workspace: Workspace, op: Operation) -> Effect:
    primary, secondary = (
        workspace.find(*next(iter((who or {}).items()))) for who in (op.primary, op.secondary)
    )
    if primary is None or secondary is None or primary is secondary:
        return Effect("ignored", "no_such_person", "primary" if primary is None else "secondary")
    consent = consent_of(primary)
    merge_people(workspace, primary, secondary)
    report_consent(workspace, primary, consent, unix_now())
    return DONE


def _add_device(workspace: Workspace, op: Operation, kind: str, value: str, person: Person | None) -> Effect:
    if person is None:
        if kind == "cio_id":
            return _UNKNOWN_CIO_ID
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
            return _UNKNOWN_CIO_ID
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
