"""Objects, and the relationships between them and people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cio_pipelines.customerio import limits
from cio_pipelines.sandbox.records import ObjectRecord, Person, unix_now
from cio_pipelines.sandbox.wire import Operation
from cio_pipelines.sandbox.workspace import Workspace


def apply_object(workspace: Workspace, op: Operation) -> tuple[str, str, str]:
    """Do what an operation on an object asks for. Returns outcome, reason and field, as `apply.Effect`."""
    identifiers = op.identifiers or {}
    record = _find(workspace, identifiers)
    if op.action == "delete" or op.action == "delete_relationships":
        if record is None:
            return "ignored", "no_such_object", "identifiers"
        if op.action == "delete":
            _delete(workspace, record)
        else:
            for link in op.cio_relationships or []:
                person = workspace.find(*next(iter(link["identifiers"].items())))
                if person is not None:
                    _unlink(workspace, person, record)
        return "accepted", "", ""
    if record is None:
        if "cio_object_id" in identifiers:
            return "ignored", "unknown_cio_object_id", "identifiers.cio_object_id"
        record = _create(workspace, identifiers)
    _merge(record.attributes, op.attributes or {})
    workspace.touch_object(record)
    for link in op.cio_relationships or []:
        kind, value = next(iter(link["identifiers"].items()))
        person = workspace.find(kind, value)
        if person is None and kind in ("id", "email") and not workspace.is_blocked(kind, value):
            person = workspace.create(kind, value, unix_now())
        if person is not None:
            _link(workspace, person, record, link.get("relationship_attributes") or {})
    return "accepted", "", ""


def relate(workspace: Workspace, person: Person, relationships: Sequence[Any]) -> None:
    """Relate a person to objects; an object that is not there is made."""
    for link in relationships:
        record = _find(workspace, link["identifiers"])
        if record is None:
            if "cio_object_id" in link["identifiers"]:
                continue
            record = _create(workspace, link["identifiers"])
        _link(workspace, person, record, link.get("relationship_attributes") or {})


def unrelate(workspace: Workspace, person: Person, relationships: Sequence[Any]) -> None:
    """Undo relationships of a person to objects."""
    for link in relationships:
        record = _find(workspace, link["identifiers"])
        if record is not None:
            _unlink(workspace, person, record)


def _find(workspace: Workspace, identifiers: dict[str, Any]) -> ObjectRecord | None:
    internal = identifiers.get("cio_object_id")
    if internal is not None:
        return next((o for o in workspace.objects.values() if o.cio_object_id == internal), None)
    return workspace.objects.get((identifiers["object_type_id"], identifiers["object_id"]))


def _create(workspace: Workspace, identifiers: dict[str, Any]) -> ObjectRecord:
    kind, name = identifiers["object_type_id"], identifiers["object_id"]
    record = ObjectRecord(f"ob{workspace.next_number()}", kind, name)
    workspace.objects[kind, name] = record
    workspace.touch_object(record)
    return record


def _delete(workspace: Workspace, record: ObjectRecord) -> None:
    for cio_id in list(record.relationships):
        person = workspace.people.get(cio_id)
        if person is not None:
            _unlink(workspace, person, record)
    del workspace.objects[record.object_type_id, record.object_id]
    workspace.touch_object(record)


def _key(record: ObjectRecord) -> str:
    return f"{record.object_type_id}/{record.object_id}"


def _link(workspace: Workspace, person: Person, record: ObjectRecord, attributes: dict[str, Any]) -> None:
    key = _key(record)
    if key not in person.relationships:
        data = {"object_type_id": record.object_type_id, "object_id": record.object_id}
        workspace.record("add_relationship", person, unix_now(), data)
    merged = dict(person.relationships.get(key, {}))
    _merge(merged, attributes)
    person.relationships[key] = merged
    record.relationships[person.cio_id] = merged
    workspace.touch(person)
    workspace.touch_object(record)


def _unlink(workspace: Workspace, person: Person, record: ObjectRecord) -> None:
    if person.relationships.pop(_key(record), None) is not None:
        data = {"object_type_id": record.object_type_id, "object_id": record.object_id}
        workspace.record("delete_relationship", person, unix_now(), data)
    record.relationships.pop(person.cio_id, None)
    workspace.touch(person)
    workspace.touch_object(record)


def _merge(present: dict[str, Any], sent: dict[str, Any]) -> None:
    """null and "" remove an attribute of an object or a relationship; beyond 300 none is added."""
    for name, value in sent.items():
        if value is None or value == "":
            present.pop(name, None)
        elif name in present or len(present) < limits.ATTRIBUTES_PER_PERSON:
            present[name] = value
