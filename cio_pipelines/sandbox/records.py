"""What a workspace is made of: people, objects, activities, logged operations; and how they are compared."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import msgspec

from cio_pipelines.sandbox.outbox import Reported
from cio_pipelines.sandbox.outcomes import Step
from cio_pipelines.sandbox.wire import encode

EVENTS = ("event", "page", "screen")


class Person(msgspec.Struct):
    """One profile. `attributes` are the JSON values as sent, e-mail and phone among them, id and cio_id not.

    `set_at` holds, per attribute ever set or removed, the unix second that its last change claims.
    `relationships` is keyed by "<object type>/<object id>", `devices` by token.
    """

    cio_id: str
    id: str | None = None
    email: str | None = None
    phone: str | None = None
    attributes: dict[str, Any] = {}
    set_at: dict[str, int] = {}
    devices: dict[str, dict[str, Any]] = {}
    relationships: dict[str, dict[str, Any]] = {}
    anonymous_ids: list[str] = []
    created_at: int = 0
    updated_at: int = 0
    change: int = 0
    """Number of the last change, in the order of all changes of the workspace."""

    @property
    def key(self) -> str:
        """What the person is known by outside: the id, else e-mail, phone, or the cio_id with its prefix."""
        return self.id or self.email or self.phone or f"cio_{self.cio_id}"


class ObjectRecord(msgspec.Struct):
    """An object (a company, a course). `relationships` are the people's cio_ids and the links' attributes."""

    cio_object_id: str
    object_type_id: str
    object_id: str
    attributes: dict[str, Any] = {}
    relationships: dict[str, dict[str, Any]] = {}


class Activity(msgspec.Struct, gc=False, frozen=True):
    """Something that happened, as Customer.io's activity log tells it. `person` is a cio_id or empty."""

    sequence: int
    type: str
    person: str
    customer_id: str | None
    email: str | None
    name: str
    timestamp: int
    data: dict[str, Any]
    anonymous_id: str = ""


class Happened(msgspec.Struct, gc=False, frozen=True, omit_defaults=True):
    """Something that happened to a delivery; `change` numbers it among all changes, `at` is unix seconds."""

    event_id: str
    metric: str
    at: int
    change: int
    reason: str = ""
    href: str = ""
    link_id: int | None = None
    machine: bool = False
    proxied: bool = False
    prefetched: bool = False


class Delivery(msgspec.Struct):
    """A message to one person (a cio_id). `origin` holds the ids of the campaign, newsletter, … it is of.

    What is sent by itself or by a trigger has more: `data` is its message_data, or what the trigger has for
    this person; `content` everything else that the call sent, attachments as their sizes in bytes; `devices`
    where a push goes. `kind` is the channel in the call's words, where it is another than `channel`.
    `person` is empty when the message belongs to nobody. Until `send_at` (unix seconds) it is `held`;
    `ahead` has what is still to happen.
    """

    delivery_id: str
    channel: str
    person: str
    recipient: str
    subject: str
    origin: dict[str, int | str]
    created_at: int
    change: int
    happened: list[Happened] = []
    data: dict[str, Any] = {}
    content: dict[str, Any] = {}
    devices: list[dict[str, str]] = []
    kind: str = ""
    send_at: int = 0
    held: bool = False
    ahead: list[Step] = []

    @property
    def state(self) -> str:
        """`scheduled` while it is held, else the last thing that happened to it."""
        return "scheduled" if self.held else self.happened[-1].metric if self.happened else "accepted"


class Gone(msgspec.Struct, gc=False, frozen=True):
    """A person who was deleted or suppressed since the last export; `at` is unix seconds."""

    cio_id: str
    customer_id: str | None
    suppressed: bool
    created_at: int
    at: int
    change: int


class Logged(msgspec.Struct, gc=False, frozen=True):
    """One operation received. `outcome` is accepted, rejected or ignored; `at` is unix seconds.

    An event has a `name`, and an `event_id` when one was sent.
    """

    sequence: int
    action: str
    type: str
    id: str
    outcome: str
    at: float
    reason: str = ""
    field: str = ""
    message: str = ""
    name: str = ""
    event_id: str = ""


class Changes:
    """What has changed since it was last written down, by key."""

    def __init__(self) -> None:
        self.people: set[str] = set()
        self.blocked: set[tuple[str, str]] = set()
        self.objects: set[tuple[str, str]] = set()
        self.activities: list[Activity] = []
        self.forgotten: list[int] = []
        self.logged: list[Logged] = []
        self.event_ids: list[str] = []
        self.deliveries: set[str] = set()
        self.gone: set[str] = set()
        self.reported: dict[int, Reported] = {}
        self.kept: dict[tuple[str, str], msgspec.Struct | None] = {}
        self.exported = False  # nothing but the counters changes in an export

    @property
    def empty(self) -> bool:
        """Whether there is nothing to write."""
        return not any(vars(self).values())


def normal(kind: str, value: str) -> str:
    """An identifier as it is compared: e-mail without regard to letter case, the rest exactly."""
    return value.strip().casefold() if kind == "email" else value


def object_key(text: str) -> tuple[str, str]:
    """The pair (object type, object id) of a relationship's key."""
    kind, _, name = text.partition("/")
    return kind, name


def as_text(value: Any) -> str:
    """An attribute as the App API gives it back: text as it is, anything else as compact JSON."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, Decimal) else encode(value).decode()


def unix_now() -> int:
    """Whole seconds since 1970."""
    return int(time.time())
