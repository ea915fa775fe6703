"""The parts that operations are made of: relationships, devices, attributes; and the repr that masks them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, Field, dataclass, fields
from datetime import datetime
from typing import Any, ClassVar, Literal, cast

from cio_pipelines.customerio import limits
from cio_pipelines.customerio.errors import InvalidOperation
from cio_pipelines.customerio.identifiers import (
    MASK,
    AnonymousIdentifiers,
    ObjectIdentifiers,
    PersonIdentifiers,
)
from cio_pipelines.customerio.jsontext import json_object, timestamp_seconds

Attributes = Mapping[str, object]
_SHOWN = frozenset(
    {
        "identifiers",
        "primary",
        "secondary",
        "name",
        "id",
        "timestamp",
        "platform",
        "transactional_message_id",
        "send_at",
    }
)


class Masked:
    """A repr that shows what identifies a thing, and how many members the rest has, never their values.

    Members that are None are left out.
    """

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __repr__(self) -> str:
        shown: list[str] = []
        for item in fields(self):
            value: object = getattr(self, item.name)
            if value is None:
                continue
            if item.name in _SHOWN:
                shown.append(f"{item.name}={value!r}")
            elif isinstance(value, (Mapping, list, tuple)):
                size = len(cast("Sequence[object]", value))
                shown.append(f"{item.name}=<{size}>")
            else:
                shown.append(f"{item.name}={MASK}")
        return f"{type(self).__name__}({', '.join(shown)})"


@dataclass(frozen=True, slots=True, repr=False)
class Relationship(Masked):
    """A link to an object (from a person) or to a person (from an object), with attributes of its own."""

    identifiers: PersonIdentifiers | ObjectIdentifiers | AnonymousIdentifiers
    attributes: Attributes | None = None

    def wire(self, field: str) -> dict[str, object]:
        """The checked JSON object. Raises InvalidOperation."""
        members: dict[str, object] = {"identifiers": self.identifiers.wire(f"{field}.identifiers")}
        if self.attributes is not None:
            members["relationship_attributes"] = checked_attributes(
                f"{field}.relationship_attributes", self.attributes
            )
        return members


@dataclass(frozen=True, slots=True, repr=False)
class Device(Masked):
    """A push token. `attributes` are text; `last_used` is a datetime or unix seconds."""

    token: str
    platform: Literal["ios", "android"]
    _: KW_ONLY
    last_used: datetime | int | None = None
    attributes: Mapping[str, str] | None = None

    def wire(self) -> dict[str, object]:
        """The checked JSON object. Raises InvalidOperation."""
        limits.check_text("device.token", self.token)
        if self.platform not in ("ios", "android"):
            raise InvalidOperation("device.platform", "invalid", "platform is ios or android")
        members: dict[str, object] = {"token": self.token, "platform": self.platform}
        if self.last_used is not None:
            members["last_used"] = timestamp_seconds("device.last_used", self.last_used)
        if self.attributes is not None:
            attributes = json_object(cast("Mapping[object, object]", self.attributes), "device.attributes")
            for name, value in attributes.items():
                if not isinstance(value, str):
                    raise InvalidOperation(f"device.attributes.{name}", "invalid", "value must be a string")
            members["attributes"] = attributes
        return members


def checked_attributes(field: str, attributes: Attributes) -> dict[str, object]:
    """Attributes of a person, an object or a relationship, JSON-ready. Raises InvalidOperation."""
    ready = json_object(cast("Mapping[object, object]", attributes), field)
    limits.check_attributes(field, ready)
    return ready


def checked_relationships(
    relationships: Sequence[Relationship], target: type, meaning: str, *, required: bool = False
) -> dict[str, object]:
    """The member `cio_relationships`, or nothing when there are none.

    Every one must point at a `target`; `meaning` says so to the reader of the error. Raises InvalidOperation.
    """
    if not relationships:
        if required:
            raise InvalidOperation("cio_relationships", "required", "give at least one relationship")
        return {}
    wire: list[dict[str, object]] = []
    for number, relationship in enumerate(relationships):
        field = f"cio_relationships[{number}]"
        identifiers = relationship.identifiers
        if not isinstance(identifiers, target):
            raise InvalidOperation(f"{field}.identifiers", "invalid", meaning)
        if isinstance(identifiers, PersonIdentifiers) and identifiers.phone is not None:
            raise InvalidOperation(f"{field}.identifiers.phone", "invalid", "give an id, email or cio_id")
        wire.append(relationship.wire(field))
    return {"cio_relationships": wire}
