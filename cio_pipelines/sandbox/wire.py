"""Operations as they come over the wire, and the documented rules they are held to when they arrive."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, cast

import msgspec

from cio_pipelines.customerio import limits
from cio_pipelines.customerio.errors import InvalidOperation

encode = msgspec.json.Encoder(decimal_format="number").encode
"""JSON of anything the sandbox keeps; numbers that came with a fraction leave digit for digit."""
_DECODE_ANY = msgspec.json.Decoder(float_hook=Decimal).decode

PERSON_KINDS = ("id", "email", "phone", "cio_id")
MERGE_KINDS = ("id", "email", "cio_id")
_EVENTS = ("event", "page", "screen")


def decode(text: bytes | str) -> Any:
    """Any JSON, numbers with a fraction as Decimal, so that they are kept as sent.

    Raises msgspec.DecodeError, also for what is nested too deeply, or UnicodeDecodeError.
    """
    try:
        return _DECODE_ANY(text)
    except RecursionError:
        raise msgspec.DecodeError("nested too deeply") from None


class Operation(msgspec.Struct, gc=False):
    """One v2 operation; v1 calls are turned into these. Which members must be there depends on the action."""

    type: str | None = None
    action: str | None = None
    identifiers: dict[str, Any] | None = None
    attributes: dict[str, Any] | None = None
    timestamp: int | None = None
    name: str | None = None
    id: str | None = None
    device: dict[str, Any] | None = None
    primary: dict[str, Any] | None = None
    secondary: dict[str, Any] | None = None
    cio_relationships: list[Any] | None = None

    @property
    def subject(self) -> str:
        """The id, or else whatever identifies the person, object or delivery; empty when nothing does."""
        return subject_of(self.identifiers if self.identifiers is not None else self.primary)


def subject_of(identifiers: Mapping[str, Any] | None) -> str:
    """The one word that stands for `identifiers` in a log."""
    for kind in (*PERSON_KINDS, "anonymous_id", "object_id", "cio_object_id"):
        value = (identifiers or {}).get(kind)
        if value is not None:
            return str(value)
    return ""


_DECODE_EXACT = msgspec.json.Decoder(Operation, float_hook=Decimal).decode
_DECODE_FAST = msgspec.json.Decoder(Operation).decode
_MEMBERS: dict[str, tuple[type, str]] = {
    "type": (str, "a string"),
    "action": (str, "a string"),
    "identifiers": (dict, "an object"),
    "attributes": (dict, "an object"),
    "timestamp": (int, "whole unix seconds"),
    "name": (str, "a string"),
    "id": (str, "a string"),
    "device": (dict, "an object"),
    "primary": (dict, "an object"),
    "secondary": (dict, "an object"),
    "cio_relationships": (list, "an array"),
}


def decoder(*, exact: bool) -> Callable[[bytes], Operation]:
    """A decoder of one operation. `exact` keeps fractions as Decimal; without it they are floats, faster.

    It raises msgspec.ValidationError for a member of a wrong type (see `type_fault`) and msgspec.DecodeError
    for text that is not JSON.
    """
    return cast("Callable[[bytes], Operation]", _DECODE_EXACT if exact else _DECODE_FAST)


def type_fault(raw: bytes) -> InvalidOperation:
    """Why the JSON `raw` is no operation, found after `decoder` refused it for a type."""
    value = decode(raw)
    if not isinstance(value, dict):
        return InvalidOperation("", "invalid", "an operation must be an object")
    members = cast("dict[str, object]", value)
    for name, (kind, meaning) in _MEMBERS.items():
        member = members.get(name)
        if member is not None and (not isinstance(member, kind) or isinstance(member, bool)):
            return InvalidOperation(name, "invalid", f"{name} must be {meaning}")
    return InvalidOperation("", "invalid", "the operation cannot be read")


def check_identifiers(
    identifiers: Mapping[str, Any] | None, kinds: tuple[str, ...], field: str = "identifiers"
) -> None:
    """Exactly one identifier, of one of `kinds`, as text within the limits. Raises InvalidOperation."""
    if not identifiers:
        raise InvalidOperation(field, "required", f"one of {', '.join(kinds)} is required")
    if len(identifiers) > 1:
        raise InvalidOperation(field, "invalid", f"exactly one of {', '.join(kinds)} is allowed")
    kind, value = next(iter(identifiers.items()))
    if kind not in kinds:
        raise InvalidOperation(
            f"{field}.{kind[:60]}", "invalid", f"identifier must be one of {', '.join(kinds)}"
        )
    if kind == "id":
        limits.check_person_id(f"{field}.id", value)
    else:
        limits.check_text(f"{field}.{kind}", value)
    if kind == "phone":
        limits.check_phone(f"{field}.phone", value)


def check_attributes(attributes: Mapping[str, Any], field: str = "attributes") -> None:
    """Count, names and values of a profile's attributes. Raises InvalidOperation naming the first fault."""
    plain = attributes
    if any(type(value) in (dict, list) for value in attributes.values()):
        # `limits` counts the bytes of text and of JSON alike; its encoder does not know Decimal.
        plain = {n: encode(v).decode() if type(v) in (dict, list) else v for n, v in attributes.items()}
    limits.check_attributes(field, plain)


def _check_object(identifiers: Mapping[str, Any] | None) -> None:
    if not identifiers:
        raise InvalidOperation("identifiers", "required", "object_type_id and object_id are required")
    if set(identifiers) == {"cio_object_id"}:
        limits.check_text("identifiers.cio_object_id", identifiers["cio_object_id"])
        return
    for name in ("object_type_id", "object_id"):
        if identifiers.get(name) is None:
            raise InvalidOperation(f"identifiers.{name}", "required", f"{name} is required")
    if len(identifiers) > 2:
        raise InvalidOperation("identifiers", "invalid", "only object_type_id and object_id are allowed")
    limits.check_object_type_id("identifiers.object_type_id", identifiers["object_type_id"])
    limits.check_person_id("identifiers.object_id", identifiers["object_id"])


def _check_relationships(op: Operation, *, required: bool, target: tuple[str, ...] | None) -> None:
    """`target` is the kinds of person identifiers that the relationships hold, or None for objects."""
    if not op.cio_relationships:
        if required:
            raise InvalidOperation("cio_relationships", "required", "at least one relationship is required")
        return
    for number, relationship in enumerate(op.cio_relationships):
        field = f"cio_relationships[{number}]"
        if not isinstance(relationship, dict):
            raise InvalidOperation(field, "invalid", "a relationship must be an object")
        link = cast("dict[str, Any]", relationship)
        identifiers = link.get("identifiers")
        if not isinstance(identifiers, dict):
            raise InvalidOperation(f"{field}.identifiers", "required", "identifiers must be an object")
        if target is None:
            try:
                _check_object(cast("dict[str, Any]", identifiers))
            except InvalidOperation as fault:
                raise InvalidOperation(
                    f"cio_relationships[{number}].{fault.field}", fault.reason, fault.message
                ) from None
        else:
            check_identifiers(cast("dict[str, Any]", identifiers), target, f"{field}.identifiers")
        attributes = link.get("relationship_attributes")
        if attributes is None:
            continue
        if not isinstance(attributes, dict):
            raise InvalidOperation(f"{field}.relationship_attributes", "invalid", "must be an object")
        check_attributes(cast("dict[str, Any]", attributes), f"{field}.relationship_attributes")


def _person_identify(op: Operation) -> None:
    if op.attributes is not None:
        check_attributes(op.attributes)
    _check_relationships(op, required=False, target=None)


def _person_event(op: Operation) -> None:
    limits.check_event_name("name", op.name)


def _person_related(op: Operation) -> None:
    _check_relationships(op, required=True, target=None)


def _device(op: Operation) -> None:
    device = op.device
    if device is None:
        raise InvalidOperation("device", "required", "device is required")
    limits.check_text("device.token", device.get("token", ""))
    if op.action == "add_device" and device.get("platform") not in ("ios", "android"):
        reason = "invalid" if device.get("platform") else "required"
        raise InvalidOperation("device.platform", reason, "platform must be ios or android")
    if device.get("last_used") is not None and type(device["last_used"]) is not int:
        raise InvalidOperation("device.last_used", "invalid", "last_used must be whole unix seconds")
    if device.get("attributes") is not None and not isinstance(device["attributes"], dict):
        raise InvalidOperation("device.attributes", "invalid", "attributes must be an object")


def _merge(op: Operation) -> None:
    check_identifiers(op.primary, MERGE_KINDS, "primary")
    check_identifiers(op.secondary, MERGE_KINDS, "secondary")


def _object_identify(op: Operation) -> None:
    if op.attributes is not None:
        check_attributes(op.attributes)
    _check_relationships(op, required=False, target=MERGE_KINDS)


def _object_anonymous(op: Operation) -> None:
    if op.attributes is not None:
        check_attributes(op.attributes)
    _check_relationships(op, required=False, target=("anonymous_id",))


def _object_related(op: Operation) -> None:
    _check_relationships(op, required=True, target=MERGE_KINDS)


def _delivery(op: Operation) -> None:
    limits.check_text("identifiers.id", (op.identifiers or {}).get("id", ""))
    if op.name not in ("opened", "converted", "delivered"):
        raise InvalidOperation("name", "invalid", "name must be opened, converted or delivered")
    limits.check_text("attributes.device_token", (op.attributes or {}).get("device_token", ""))


def _nothing(op: Operation) -> None:
    """The identifiers are all there is."""


CHECKS: dict[tuple[str, str], Callable[[Operation], None]] = {
    ("person", "identify"): _person_identify,
    ("person", "delete"): _nothing,
    ("person", "event"): _person_event,
    ("person", "page"): _person_event,
    ("person", "screen"): _person_event,
    ("person", "add_relationships"): _person_related,
    ("person", "delete_relationships"): _person_related,
    ("person", "add_device"): _device,
    ("person", "delete_device"): _device,
    ("person", "merge"): _merge,
    ("person", "suppress"): _nothing,
    ("person", "unsuppress"): _nothing,
    ("object", "identify"): _object_identify,
    ("object", "identify_anonymous"): _object_anonymous,
    ("object", "delete"): _nothing,
    ("object", "add_relationships"): _object_related,
    ("object", "delete_relationships"): _object_related,
    ("delivery", "event"): _delivery,
}
"""Every documented pair of type and action, with the check of what its members must be."""


def check(op: Operation, *, id_only: bool) -> None:
    """Hold an operation to the documented rules. Raises InvalidOperation for the first one broken.

    `id_only` is the classic workspace, where e-mail and phone identify nobody.
    """
    for name in ("type", "action"):
        if not getattr(op, name):
            raise InvalidOperation(name, "required", f"{name} is required")
    rule = CHECKS.get((str(op.type), str(op.action)))
    if rule is None:
        known = any(op.type == kind for kind, _ in CHECKS)
        raise InvalidOperation("action" if known else "type", "invalid", "no such type and action")
    if op.type == "person" and op.action != "merge":
        # An event of somebody anonymous is in no spec, yet well-known senders send it.
        extra = ("anonymous_id",) if op.action in _EVENTS else ()
        check_identifiers(op.identifiers, PERSON_KINDS + extra)
    elif op.type == "object":
        _check_object(op.identifiers)
    rule(op)
    if id_only:
        for field in ("identifiers", "primary", "secondary"):
            for kind in cast("dict[str, object] | None", getattr(op, field)) or ():
                if op.type == "person" and kind in ("email", "phone"):
                    raise InvalidOperation(
                        f"{field}.{kind}", "invalid", f"{kind} is not an identifier in this workspace"
                    )
