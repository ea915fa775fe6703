"""What the App API says: messages taken, triggers, people, segments, exports, suppressed addresses.

Times are unix seconds. A member that an answer leaves out is None. Reprs show ids, never what a person is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]
"""A JSON object, given as Customer.io documents it."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A transactional message that was taken. `send_at` only when it was scheduled for later."""

    delivery_id: str
    queued_at: int | None = None
    send_at: int | None = None


@dataclass(frozen=True, slots=True)
class BroadcastTrigger:
    """A trigger of a broadcast; it is done when `processed_at` is there.

    The list of a broadcast's triggers gives the first four members only.
    """

    id: int
    broadcast_id: int | None = None
    created_at: int | None = None
    processed_at: int | None = None
    recipients_count: int | None = None
    workflow_action_ids: tuple[int, ...] | None = None
    data_file_position: int | None = None
    data_file_processed: bool | None = None
    data_file_error_count: int | None = None
    recipients_filter: Object | None = field(default=None, repr=False)

    @property
    def is_processed(self) -> bool:
        """Whether Customer.io is done with it."""
        return bool(self.processed_at)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a person is. `id` and `email` are None when they are not set; `cio_id` never changes."""

    cio_id: str
    id: str | None = None
    email: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Person:
    """A person as Customer.io holds them.

    `attributes` are all text, objects and arrays as JSON. `timestamps`: when each attribute was set, unix
    seconds. `devices` are objects with token, platform, last_used, attributes.
    """

    id: str | None = None
    identifiers: Identity | None = None
    attributes: Object = field(default_factory=dict[str, Any], repr=False)
    timestamps: Object | None = field(default=None, repr=False)
    unsubscribed: bool | None = None
    devices: tuple[Object, ...] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment. `type` is `dynamic` or `manual`; `progress` a percentage until `state` is `finished`."""

    id: int
    name: str = ""
    description: str | None = None
    state: str | None = None
    progress: int | None = None
    type: str | None = None
    tags: tuple[str, ...] | None = None
    created_at: int | None = None
    updated_at: int | None = None


@dataclass(frozen=True, slots=True)
class Export:
    """An export. `status` is `pending`, `done` (it can be downloaded) or `failed`; `total` 0 until done."""

    id: int
    status: str | None = None
    type: str | None = None
    total: int | None = None
    failed: bool | None = None
    description: str | None = None
    downloads: int | None = None
    user_id: int | None = None
    user_email: str | None = field(default=None, repr=False)
    created_at: int | None = None
    updated_at: int | None = None

    @property
    def is_done(self) -> bool:
        """Whether it can be downloaded."""
        return self.status == "done"

    @property
    def is_failed(self) -> bool:
        """Whether it never will be."""
        return bool(self.failed) or self.status == "failed"


@dataclass(frozen=True, slots=True)
class SuppressedAddress:
    """An address to which the provider of the workspace's e-mail does not deliver.

    `category` is the answer's: `bounces`, `blocks`, `spam` or `invalid`; `created` unix seconds.
    """

    email: str = field(repr=False)
    category: str | None = None
    created: int | None = None
    reason: str | None = field(default=None, repr=False)
    status: str | int | None = None
