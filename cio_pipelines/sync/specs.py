"""What is synced: which mart, and which of its columns steer the sync instead of being sent."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SyncSpec:
    """A mart with one row a person.

    `name` is part of the key of all state. The four control columns are read and never sent; every other
    column is an attribute of the same name. Only `person_id` and `updated_at` must exist.
    """

    name: str
    schema: str
    table: str
    person_id: str = "person_id"
    updated_at: str = "updated_at"
    opted_out: str = "opted_out"
    deleted_at: str = "deleted_at"
    email: str = "email"

    @property
    def relation(self) -> str:
        """`schema.table`, for messages."""
        return f"{self.schema}.{self.table}"

    @property
    def control_columns(self) -> frozenset[str]:
        return frozenset({self.person_id, self.updated_at, self.opted_out, self.deleted_at})


@dataclass(frozen=True, slots=True)
class EventSpec:
    """A mart with one row an event, which never changes once it was sent.

    `name` is part of the key of all state and of every event's ULID. The four columns must exist; every other
    one is a property of the same name.
    """

    name: str
    schema: str
    table: str
    event_id: str = "event_id"
    person_id: str = "person_id"
    event_name: str = "name"
    occurred_at: str = "occurred_at"

    @property
    def relation(self) -> str:
        """`schema.table`, for messages."""
        return f"{self.schema}.{self.table}"

    @property
    def control_columns(self) -> tuple[str, ...]:
        return self.event_id, self.person_id, self.event_name, self.occurred_at


PEOPLE = SyncSpec(name="people", schema="analytics", table="customerio_people")
EVENTS = EventSpec(name="events", schema="analytics", table="customerio_events")
