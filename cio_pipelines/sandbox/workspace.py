"""The workspace itself: people, who is blocked, objects, and what happened, all in memory."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from cio_pipelines.sandbox.agenda import Agenda
from cio_pipelines.sandbox.options import SandboxOptions
from cio_pipelines.sandbox.outbox import Outbox, Reported
from cio_pipelines.sandbox.records import (
    EVENTS,
    Activity,
    Changes,
    Delivery,
    Gone,
    Logged,
    ObjectRecord,
    Person,
    normal,
    object_key,
    unix_now,
)
from cio_pipelines.sandbox.shelf import Shelf

_RECENT = 1_000
"""How many events and refused operations the page can list."""

_Kept = TypeVar("_Kept")


class Workspace:
    """State and its indexes. Every change notes its key in `changes` when a database wants to know."""

    def __init__(self, options: SandboxOptions) -> None:
        self.options = options
        self.id_only = options.workspace_kind == "id"
        self.changes = Changes() if options.database is not None else None
        self.courses = options.courses()
        self.outbox = Outbox(options.log_limit, self._note_reported)
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        if self.changes is not None:
            self.changes = Changes()
        self.people: dict[str, Person] = {}
        self.blocked: dict[tuple[str, str], float] = {}
        self.objects: dict[tuple[str, str], ObjectRecord] = {}
        self.activities: dict[int, Activity] = {}
        self.activities_of: dict[str, list[int]] = {}
        self.log: dict[int, Logged] = {}
        self.event_ids: set[str] = set()
        self.events: deque[int] = deque(maxlen=_RECENT)
        self.refused: deque[Logged] = deque(maxlen=_RECENT)
        self.last_number = 0
        self.last_activity = 0
        self.last_operation = 0
        self.last_segment = 0
        self.deliveries: dict[str, Delivery] = {}
        self.deliveries_by_metric: Counter[str] = Counter()
        self.agenda = Agenda()
        self.shelf = Shelf(self._note_kept)
        self.gone: dict[str, Gone] = {}
        self.last_change = 0
        self.exported_change = 0
        self.exports = 0
        self._index: dict[str, dict[str, Person]] = {"id": {}, "email": {}, "phone": {}, "anonymous_id": {}}

    def find(self, kind: str, value: str) -> Person | None:
        """The person with that identifier; e-mail in any letter case."""
        if kind == "cio_id":
            return self.people.get(value)
        return self._index[kind].get(normal(kind, value))

    def next_number(self) -> str:
        """A fresh opaque id, 12 hexadecimal digits."""
        self.last_number += 1
        return f"{self.options.environment_id % 0xFFFF:04x}{self.last_number:08x}"

    def next_change(self) -> int:
        """A number for a change, higher than those of all changes before it."""
        self.last_change += 1
        return self.last_change

    def create(self, kind: str, value: str, now: int) -> Person:
        """A new, empty profile that has one identifier."""
        person = Person(self.next_number(), created_at=now, updated_at=now)
        self.people[person.cio_id] = person
        self.give(person, kind, value)
        self.touch(person)
        self.record("profile_create", person, now, {})
        return person

    def give(self, person: Person, kind: str, value: str) -> None:
        """Set or replace one identifier of a person; nobody else may have it."""
        self.take(person, kind)
        setattr(person, kind, value)
        self._index[kind][normal(kind, value)] = person
        if kind != "id":
            person.attributes[kind] = value

    def take(self, person: Person, kind: str) -> None:
        """Take one identifier away from a person, if it is set."""
        value = getattr(person, kind)
        if value is not None:
            self._index[kind].pop(normal(kind, value), None)
            setattr(person, kind, None)
            person.attributes.pop(kind, None)

    def join_anonymous(self, person: Person, anonymous_id: str) -> bool:
        """Tie an anonymous id to a person for good. False when it is another's, or already this person's."""
        if anonymous_id in self._index["anonymous_id"]:
            return False
        self._index["anonymous_id"][anonymous_id] = person
        person.anonymous_ids.append(anonymous_id)
        self.touch(person)
        return True

    def touch(self, person: Person) -> None:
        """Note that a person has changed."""
        person.change = self.next_change()
        if self.changes is not None:
            self.changes.people.add(person.cio_id)

    def remove(self, person: Person, *, suppressed: bool = False) -> None:
        """Delete a person and everything recorded about them."""
        for kind in ("id", "email", "phone"):
            value = getattr(person, kind)
            if value is not None:
                self._index[kind].pop(normal(kind, value), None)
        for anonymous_id in person.anonymous_ids:
            self._index["anonymous_id"].pop(anonymous_id, None)
        del self.people[person.cio_id]
        for sequence in self.activities_of.pop(person.cio_id, ()):
            self._forget(sequence)
        for key in person.relationships:
            record = self.objects.get(object_key(key))
            if record is not None:
                record.relationships.pop(person.cio_id, None)
                self.touch_object(record)
        self.touch(person)
        gone = Gone(person.cio_id, person.id, suppressed, person.created_at, unix_now(), self.last_change)
        self._keep(self.gone, gone.cio_id, gone, self.changes.gone if self.changes else None)

    def block(self, kind: str, value: str, at: float) -> None:
        """Block an identifier: later calls that use it are ignored."""
        key = (kind, normal(kind, value))
        self.blocked[key] = at
        if self.changes is not None:
            self.changes.blocked.add(key)

    def unblock(self, kind: str, value: str) -> bool:
        """Free an identifier; False when it was free."""
        key = (kind, normal(kind, value))
        if self.changes is not None:
            self.changes.blocked.add(key)
        return self.blocked.pop(key, None) is not None

    def is_blocked(self, kind: str, value: str) -> bool:
        """Whether calls that use this identifier are ignored."""
        return bool(self.blocked) and (kind, normal(kind, value)) in self.blocked

    def touch_object(self, record: ObjectRecord) -> None:
        """Note that an object has changed."""
        if self.changes is not None:
            self.changes.objects.add((record.object_type_id, record.object_id))

    def record(
        self,
        kind: str,
        person: Person | None,
        timestamp: int,
        data: dict[str, Any],
        name: str = "",
        anonymous_id: str = "",
        whom: tuple[str | None, str | None] = (None, None),
    ) -> None:
        """Add to the activity log; `whom` is the id and e-mail of a person who is not there (any more)."""
        self.last_activity += 1
        customer_id, email = (person.id, person.email) if person is not None else whom
        cio_id = person.cio_id if person is not None else ""
        activity = Activity(
            self.last_activity, kind, cio_id, customer_id, email, name, timestamp, data, anonymous_id
        )
        self.remember(activity)
        if self.changes is not None:
            self.changes.activities.append(activity)
        if len(self.activities) > self.options.log_limit:
            self._forget(next(iter(self.activities)))

    def remember(self, activity: Activity) -> None:
        """Put an activity into the log and under its person."""
        self.activities[activity.sequence] = activity
        if activity.person:
            self.activities_of.setdefault(activity.person, []).append(activity.sequence)
        if activity.type in EVENTS:
            self.events.append(activity.sequence)

    def move(self, activity: Activity, person: Person) -> None:
        """Make an activity another person's."""
        moved = msgspec.structs.replace(
            activity, person=person.cio_id, customer_id=person.id, email=person.email, anonymous_id=""
        )
        self.activities[activity.sequence] = moved
        self.activities_of.setdefault(person.cio_id, []).append(activity.sequence)
        if self.changes is not None:
            self.changes.activities.append(moved)

    def add_delivery(self, delivery: Delivery) -> None:
        """Keep a delivery."""
        noted = self.changes.deliveries if self.changes else None
        self._keep(self.deliveries, delivery.delivery_id, delivery, noted)

    def touch_delivery(self, delivery: Delivery) -> None:
        """Note that a delivery has changed."""
        delivery.change = self.next_change()
        if self.changes is not None:
            self.changes.deliveries.add(delivery.delivery_id)

    def restore_delivery(self, delivery: Delivery) -> None:
        """Put back a delivery read from the database."""
        self.deliveries[delivery.delivery_id] = delivery
        self.deliveries_by_metric.update({each.metric for each in delivery.happened})

    def note_export(self) -> None:
        """Note that everything so far was exported."""
        self.exports += 1
        self.exported_change = self.last_change
        if self.changes is not None:
            self.changes.gone.update(self.gone)
            self.changes.exported = True
        self.gone.clear()

    def add_event_id(self, event_id: str) -> None:
        """Remember an event's ULID, so that a repetition is known."""
        self.event_ids.add(event_id)
        if self.changes is not None:
            self.changes.event_ids.append(event_id)

    def log_operation(self, entry: Logged) -> None:
        """Add to the log of operations."""
        self.remember_operation(entry)
        if self.changes is not None:
            self.changes.logged.append(entry)
        if len(self.log) > self.options.log_limit:
            del self.log[next(iter(self.log))]

    def remember_operation(self, entry: Logged) -> None:
        """Put an entry into the log, and among what the page lists when it was not applied."""
        self.log[entry.sequence] = entry
        if entry.outcome != "accepted":
            self.refused.append(entry)

    def newest(self, person: Person | None = None) -> Iterator[Activity]:
        """The activity log, newest first, of one person or of all."""
        if person is None:
            yield from reversed(self.activities.values())
            return
        for sequence in reversed(self.activities_of.get(person.cio_id, [])):
            activity = self.activities.get(sequence)
            if activity is not None:
                yield activity

    def restore(self, person: Person) -> None:
        """Put back a person read from the database."""
        self.people[person.cio_id] = person
        for kind in ("id", "email", "phone"):
            value = getattr(person, kind)
            if value is not None:
                self._index[kind][normal(kind, value)] = person
        for anonymous_id in person.anonymous_ids:
            self._index["anonymous_id"][anonymous_id] = person

    def _keep(self, kept: dict[str, _Kept], key: str, record: _Kept, noted: set[str] | None) -> None:
        """Put a record at the end; beyond the limit the oldest is forgotten."""
        kept[key] = record
        keys = [key]
        if len(kept) > self.options.log_limit:
            keys.append(oldest := next(iter(kept)))
            del kept[oldest]
        if noted is not None:
            noted.update(keys)

    def _note_kept(self, key: tuple[str, str], record: msgspec.Struct | None) -> None:
        if self.changes is not None:
            self.changes.kept[key] = record

    def _note_reported(self, event: Reported) -> None:
        if self.changes is not None:
            self.changes.reported[event.number] = event

    def _forget(self, sequence: int) -> None:
        if self.activities.pop(sequence, None) is not None and self.changes is not None:
            self.changes.forgotten.append(sequence)
