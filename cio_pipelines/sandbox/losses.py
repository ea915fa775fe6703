"""What is accepted and not applied, by a fault to order: all of an operation or one attribute of it.

With or without the trace that Customer.io leaves of it in the activity log. How those entries look is hardly
documented; they are as the sandbox's own.
"""

from __future__ import annotations

from typing import Any

import msgspec

from cio_pipelines.sandbox.apply import Effect, apply
from cio_pipelines.sandbox.faults import Fault
from cio_pipelines.sandbox.profile import read_update
from cio_pipelines.sandbox.records import EVENTS, Person, as_text, unix_now
from cio_pipelines.sandbox.wire import Operation
from cio_pipelines.sandbox.workspace import Workspace

_OLDER = 60
"""Seconds by which the write that counts is older."""
_BY_FAULT = "unapplied_by_fault"


def lose(workspace: Workspace, op: Operation, fault: Fault) -> Effect:
    """Take an operation and do not do what a fault keeps from being done. The log calls it accepted."""
    name = _attribute(op, fault)
    if name is not None:
        return _lose_attribute(workspace, op, name, fault)
    if fault.trace:
        if fault.loss == "update_miss":
            _note(workspace, op, "failed_attribute_change", {"_update": {"to": "true"}})
        elif op.action in EVENTS:
            _note(workspace, op, "failed_event", {})
        else:
            _note(workspace, op, "failed_batch_update", {})
    return Effect("accepted", _BY_FAULT)


def _attribute(op: Operation, fault: Fault) -> str | None:
    """The attribute that is lost; None when all of the operation is."""
    sent = op.attributes or {}
    if op.type != "person" or op.action != "identify" or fault.loss in ("all", "update_miss") or not sent:
        return None
    wanted = fault.attribute or ("email" if fault.loss == "conflict" else min(sent))
    return wanted if wanted in sent else None


def _lose_attribute(workspace: Workspace, op: Operation, name: str, fault: Fault) -> Effect:
    sent = dict(op.attributes or {})
    value = sent.pop(name)
    before = _person(workspace, op)
    earlier = before.attributes.get(name) if before is not None else None
    apply(workspace, msgspec.structs.replace(op, attributes=sent))
    person = _person(workspace, op)
    if fault.loss == "stale" and person is not None:
        at = read_update(workspace, op, unix_now()).at
        person.attributes.setdefault(name, "an older value")
        person.set_at[name] = min(person.set_at.get(name, at), at - _OLDER)
        workspace.touch(person)
    if fault.trace:
        change = {"from": "" if earlier is None else as_text(earlier), "to": as_text(value)}
        kind = "skipped_update" if fault.loss == "stale" else "failed_attribute_change"
        _note(workspace, op, kind, {name: {} if fault.loss == "stale" else change})
    return Effect("accepted", _BY_FAULT, f"attributes.{name}")


def _person(workspace: Workspace, op: Operation) -> Person | None:
    kind, value = next(iter((op.identifiers or {}).items()))
    return workspace.find(kind, value)


def _note(workspace: Workspace, op: Operation, kind: str, data: dict[str, Any]) -> None:
    """Add to the activity log, of a person who may not be there."""
    named, value = next(iter((op.identifiers or {}).items()), ("", ""))
    whom = value if named == "id" else None, value if named == "email" else None
    person = workspace.find(named, value) if op.type == "person" and named else None
    workspace.record(kind, person, unix_now(), data, op.name or "", whom=whom)
