"""Where events lie in the landing zone, and how a line of an object is written.

An object is `webhooks/object_type=<type>/received=<YYYY-MM-DD>/<ULID>.ndjson.gz`: gzip of lines

    {"object":"<path>","line":<from 1>,"lines":<how many>,
     "received_at":"<UTC, microseconds>Z","body":"<event>"}

in one line each.

The event is a JSON text inside a JSON string, so that it can be had back byte for byte whatever white space,
number format or order of keys it came with. What each line says of itself lets a warehouse read many objects
at once, tell them apart and see that none lacks a line; lines without it, which earlier releases wrote, are
loaded too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import NamedTuple

import msgspec
from ulid import ULID

PREFIX = "webhooks"
SUFFIX = ".ndjson.gz"
UNKNOWN_TYPE = "unknown"
"""Stands for the object type of a body that names none, or one that cannot be part of a path."""

_TYPE = re.compile(r"[a-z0-9_]{1,64}")
_PATH = re.compile(
    rf"{PREFIX}/object_type=([a-z0-9_]{{1,64}})/received=(\d{{4}}-\d\d-\d\d)/[^/]+{re.escape(SUFFIX)}"
)


class Received(NamedTuple):
    """An event as it came: the moment (UTC) and the raw body, which is JSON in UTF-8."""

    received_at: datetime
    body: bytes


class Place(NamedTuple):
    """What the path of an object says: the object type and the UTC day of receipt."""

    object_type: str
    received: date


class _Line(msgspec.Struct):
    object: str
    line: int
    lines: int
    received_at: str
    body: str


def folder_name(object_type: object) -> str:
    """An object type as part of a path."""
    return object_type if isinstance(object_type, str) and _TYPE.fullmatch(object_type) else UNKNOWN_TYPE


def folder(object_type: str, received: date) -> str:
    """The folder of one object type (see `folder_name`) and one UTC day of receipt."""
    return f"{PREFIX}/object_type={object_type}/received={received.isoformat()}"


def new_path(object_type: str, received: date) -> str:
    """The path of a new object; no other has it, and later ones sort after it."""
    return f"{folder(object_type, received)}/{ULID()}{SUFFIX}"


def place_of(path: str) -> Place | None:
    """What a path says; None for one that is no object of events."""
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    try:
        return Place(found[1], date.fromisoformat(found[2]))
    except ValueError:
        return None


def lines(path: str, events: Sequence[Received]) -> bytes:
    """Events as the NDJSON of a new object. Raises UnicodeDecodeError for a body that is not UTF-8."""
    return msgspec.json.Encoder().encode_lines(
        [
            _Line(
                path,
                number,
                len(events),
                f"{event.received_at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z",
                event.body.decode(),
            )
            for number, event in enumerate(events, 1)
        ]
    )
