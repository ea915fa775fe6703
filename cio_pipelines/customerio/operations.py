"""Typed operations: one class for each (type, action) pair of Track API v2.

An operation is immutable. `validate()` raises InvalidOperation for whatever Customer.io documents as refused;
`encode()` validates too and returns the compact UTF-8 JSON to be sent. Attribute values may be text, numbers,
booleans, None (which removes the attribute), datetimes (sent as unix seconds, naive ones as UTC), Decimals,
and objects and arrays of these. Reprs show ids, and counts in place of attributes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from typing import ClassVar, Literal, cast

from cio_pipelines.customerio import limits
from cio_pipelines.customerio.errors import InvalidOperation
from cio_pipelines.customerio.identifiers import AnonymousIdentifiers, ObjectIdentifiers, PersonIdentifiers
from cio_pipelines.customerio.jsontext import dumps, json_object, timestamp_seconds
from cio_pipelines.customerio.members import (
    Attributes,
    Device,
    Masked,
    Relationship,
    checked_attributes,
    checked_relationships,
)


@dataclass(frozen=True, slots=True, repr=False)
class Operation(Masked, ABC):
    """Base of all operations."""

    type: ClassVar[str]
    action: ClassVar[str]

    @abstractmethod
    def members(self) -> dict[str, object]:
        """The checked members besides type and action, JSON-ready. Raises InvalidOperation."""

    def encode(self) -> bytes:
        """Compact UTF-8 JSON of the operation, under 32,000 bytes. Raises InvalidOperation."""
        text = dumps({"type": self.type, "action": self.action, **self.members()})
        limits.check_operation_size(len(text))
        return text

    def validate(self) -> None:
        """Raise InvalidOperation when Customer.io would refuse this operation."""
        self.encode()


@dataclass(frozen=True, slots=True, repr=False)
class _PersonOperation(Operation):
    type: ClassVar[str] = "person"
    identifiers: PersonIdentifiers

    def members(self) -> dict[str, object]:
        return {"identifiers": self.identifiers.wire()}


@dataclass(frozen=True, slots=True, repr=False)
class IdentifyPerson(_PersonOperation):
    """Create or update a person; absent attributes stay, None removes.

    `timestamp` orders updates: an older one never overwrites a newer. `update_only` never creates a person.
    """

    action: ClassVar[str] = "identify"
    attributes: Attributes | None = None
    _: KW_ONLY
    timestamp: datetime | int | None = None
    relationships: Sequence[Relationship] = ()
    update_only: bool = False

    def members(self) -> dict[str, object]:
        members: dict[str, object] = {"identifiers": self.identifiers.wire()}
        if self.attributes is not None or self.update_only:
            extra = {"_update": True} if self.update_only else {}
            members["attributes"] = checked_attributes("attributes", {**(self.attributes or {}), **extra})
        if self.timestamp is not None:
            members["timestamp"] = timestamp_seconds("timestamp", self.timestamp)
        return members | _to_objects(self.relationships)


@dataclass(frozen=True, slots=True, repr=False)
class DeletePerson(_PersonOperation):
    """Remove a person and all data; a later identify starts an empty profile."""

    action: ClassVar[str] = "delete"


@dataclass(frozen=True, slots=True, repr=False)
class SuppressPerson(_PersonOperation):
    """Delete a person and block the identifier. It destroys history: to stop messages, set `unsubscribed`."""

    action: ClassVar[str] = "suppress"


@dataclass(frozen=True, slots=True, repr=False)
class UnsuppressPerson(_PersonOperation):
    """Free a blocked identifier; the person is not restored."""

    action: ClassVar[str] = "unsuppress"


@dataclass(frozen=True, slots=True, repr=False)
class PersonEvent(_PersonOperation):
    """Something a person did. `id` is a ULID: a repeated one is ignored.

    `timestamp` defaults to the time of receipt.
    """

    action: ClassVar[str] = "event"
    name: str
    attributes: Attributes | None = None
    _: KW_ONLY
    id: str | None = None
    timestamp: datetime | int | None = None

    def members(self) -> dict[str, object]:
        limits.check_event_name("name", self.name)
        members: dict[str, object] = {"identifiers": self.identifiers.wire(), "name": self.name}
        if self.id is not None:
            limits.check_ulid("id", self.id)
            members["id"] = self.id
        if self.timestamp is not None:
            members["timestamp"] = timestamp_seconds("timestamp", self.timestamp)
        if self.attributes is not None:
            # The limits of a profile's attributes do not hold for an event's: its data may be long texts.
            members["attributes"] = json_object(
                cast("Mapping[object, object]", self.attributes), "attributes"
            )
        return members


@dataclass(frozen=True, slots=True, repr=False)
class PersonPage(PersonEvent):
    """A page view; `name` is the page, attributes may hold path, referrer, search, title, url, keywords."""

    action: ClassVar[str] = "page"


@dataclass(frozen=True, slots=True, repr=False)
class PersonScreen(PersonEvent):
    """A screen view in an application; `name` is the screen."""

    action: ClassVar[str] = "screen"


@dataclass(frozen=True, slots=True, repr=False)
class AddPersonRelationships(_PersonOperation):
    """Relate a person to objects."""

    action: ClassVar[str] = "add_relationships"
    relationships: Sequence[Relationship]

    def members(self) -> dict[str, object]:
        return {"identifiers": self.identifiers.wire()} | _to_objects(self.relationships, required=True)


@dataclass(frozen=True, slots=True, repr=False)
class DeletePersonRelationships(AddPersonRelationships):
    """Undo a person's relationships to objects."""

    action: ClassVar[str] = "delete_relationships"


@dataclass(frozen=True, slots=True, repr=False)
class AddPersonDevice(_PersonOperation):
    """Add or update a device of a person."""

    action: ClassVar[str] = "add_device"
    device: Device

    def members(self) -> dict[str, object]:
        return {"identifiers": self.identifiers.wire(), "device": self.device.wire()}


@dataclass(frozen=True, slots=True, repr=False)
class DeletePersonDevice(_PersonOperation):
    """Remove a device of a person by its token."""

    action: ClassVar[str] = "delete_device"
    token: str

    def members(self) -> dict[str, object]:
        limits.check_text("device.token", self.token)
        return {"identifiers": self.identifiers.wire(), "device": {"token": self.token}}


@dataclass(frozen=True, slots=True, repr=False)
class MergePeople(Operation):
    """Merge `secondary` into `primary` and delete it. Cannot be undone. By id, email or cio_id, not phone."""

    type: ClassVar[str] = "person"
    action: ClassVar[str] = "merge"
    primary: PersonIdentifiers
    secondary: PersonIdentifiers

    def members(self) -> dict[str, object]:
        for field, who in (("primary", self.primary), ("secondary", self.secondary)):
            if who.phone is not None:
                raise InvalidOperation(
                    f"{field}.phone", "invalid", "people are merged by id, email or cio_id"
                )
        if self.primary == self.secondary:
            raise InvalidOperation("secondary", "invalid", "a person cannot be merged into itself")
        return {"primary": self.primary.wire("primary"), "secondary": self.secondary.wire("secondary")}


@dataclass(frozen=True, slots=True, repr=False)
class _ObjectOperation(Operation):
    type: ClassVar[str] = "object"
    identifiers: ObjectIdentifiers

    def members(self) -> dict[str, object]:
        return {"identifiers": self.identifiers.wire()}


@dataclass(frozen=True, slots=True, repr=False)
class IdentifyObject(_ObjectOperation):
    """Create or update an object, and relate people to it; None or "" removes an attribute."""

    action: ClassVar[str] = "identify"
    attributes: Attributes | None = None
    _: KW_ONLY
    relationships: Sequence[Relationship] = ()

    def members(self) -> dict[str, object]:
        members: dict[str, object] = {"identifiers": self.identifiers.wire()}
        if self.attributes is not None:
            members["attributes"] = checked_attributes("attributes", self.attributes)
        return members | self._related()

    def _related(self) -> dict[str, object]:
        return _to_people(self.relationships)


@dataclass(frozen=True, slots=True, repr=False)
class IdentifyAnonymousObject(IdentifyObject):
    """Create or update an object related to people known only by an anonymous_id."""

    action: ClassVar[str] = "identify_anonymous"

    def _related(self) -> dict[str, object]:
        meaning = "the relationships of identify_anonymous hold an anonymous_id"
        return checked_relationships(self.relationships, AnonymousIdentifiers, meaning)


@dataclass(frozen=True, slots=True, repr=False)
class DeleteObject(_ObjectOperation):
    """Remove an object and its relationships."""

    action: ClassVar[str] = "delete"


@dataclass(frozen=True, slots=True, repr=False)
class AddObjectRelationships(_ObjectOperation):
    """Relate an object to people."""

    action: ClassVar[str] = "add_relationships"
    relationships: Sequence[Relationship]

    def members(self) -> dict[str, object]:
        return {"identifiers": self.identifiers.wire()} | _to_people(self.relationships, required=True)


@dataclass(frozen=True, slots=True, repr=False)
class DeleteObjectRelationships(AddObjectRelationships):
    """Undo an object's relationships to people."""

    action: ClassVar[str] = "delete_relationships"


@dataclass(frozen=True, slots=True, repr=False)
class DeliveryEvent(Operation):
    """What a device saw of a push message: `delivery_id` from the message, `device_token` of the device."""

    type: ClassVar[str] = "delivery"
    action: ClassVar[str] = "event"
    delivery_id: str
    name: Literal["opened", "converted", "delivered"]
    device_token: str

    def members(self) -> dict[str, object]:
        limits.check_text("identifiers.id", self.delivery_id)
        if self.name not in ("opened", "converted", "delivered"):
            raise InvalidOperation("name", "invalid", "name is opened, converted or delivered")
        limits.check_text("attributes.device_token", self.device_token)
        return {
            "identifiers": {"id": self.delivery_id},
            "name": self.name,
            "attributes": {"device_token": self.device_token},
        }


def _to_objects(relationships: Sequence[Relationship], *, required: bool = False) -> dict[str, object]:
    meaning = "a person is related to objects"
    return checked_relationships(relationships, ObjectIdentifiers, meaning, required=required)


def _to_people(relationships: Sequence[Relationship], *, required: bool = False) -> dict[str, object]:
    meaning = "an object is related to people"
    return checked_relationships(relationships, PersonIdentifiers, meaning, required=required)
