"""What the App API keeps besides people and deliveries: triggers, segments, exports, suppressed addresses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec


class Template(msgspec.Struct):
    """A transactional message that was called by its trigger name, and the number it was given for it."""

    name: str
    number: int
    channel: str

    @property
    def key(self) -> str:
        """What it is kept under: names are compared without regard to letter case."""
        return self.name.casefold()


class Trigger(msgspec.Struct):
    """One call for a broadcast to be sent. `audience` says which way its people were named.

    It is processed at `due_at` (unix seconds); then it has a `processed_at`, and has `failed` when nobody
    was sent anything. `errors` are texts, one for each recipient that could not be had.
    """

    trigger_id: int
    broadcast_id: int
    audience: str
    request: dict[str, Any]
    created_at: int
    due_at: float
    processed_at: int | None = None
    failed: bool = False
    recipients: int = 0
    errors: list[str] = []

    @property
    def key(self) -> str:
        """What it is kept under."""
        return f"{self.broadcast_id}/{self.trigger_id}"


class Segment(msgspec.Struct):
    """A segment that is filled by hand. `members` are cio_ids, in the order they came in."""

    number: int
    name: str
    description: str
    created_at: int
    members: dict[str, None] = {}

    @property
    def key(self) -> str:
        """What it is kept under."""
        return str(self.number)


class Export(msgspec.Struct):
    """A file that was asked for; `filters` say of what. It is made when it is fetched."""

    number: int
    type: str
    filters: dict[str, Any]
    created_at: int
    ready_at: float
    total: int = 0
    downloads: int = 0

    @property
    def key(self) -> str:
        """What it is kept under."""
        return str(self.number)


class Refused(msgspec.Struct):
    """An address on one of the e-mail provider's lists."""

    list: str
    email: str
    reason: str
    status: str
    created_at: int

    @property
    def key(self) -> str:
        """What it is kept under."""
        return f"{self.list}/{self.email.casefold()}"


Kept = Template | Trigger | Segment | Export | Refused
KINDS: dict[str, type[Kept]] = {
    "template": Template,
    "trigger": Trigger,
    "segment": Segment,
    "export": Export,
    "refused": Refused,
}
_NAMES: dict[type[Kept], str] = {kind: name for name, kind in KINDS.items()}


class Shelf:
    """Records by key. `note` is told of each that is new, changed or gone (None), to write it down."""

    def __init__(self, note: Callable[[tuple[str, str], Kept | None], None]) -> None:
        self._note = note
        self.templates: dict[str, Template] = {}
        self.triggers: dict[str, Trigger] = {}
        self.segments: dict[str, Segment] = {}
        self.exports: dict[str, Export] = {}
        self.refused: dict[str, Refused] = {}

    def save(self, record: Kept) -> None:
        """Keep a record that is new or has changed."""
        self.restore(record)
        self._note((_NAMES[type(record)], record.key), record)

    def remove(self, record: Kept) -> None:
        """Forget a record."""
        del self._of(record)[record.key]
        self._note((_NAMES[type(record)], record.key), None)

    def restore(self, record: Kept) -> None:
        """Put back a record read from the database."""
        self._of(record)[record.key] = record

    def _of(self, record: Kept) -> dict[str, Any]:
        match record:
            case Template():
                return self.templates
            case Trigger():
                return self.triggers
            case Segment():
                return self.segments
            case Export():
                return self.exports
            case Refused():
                return self.refused
