"""What is read of an event when it arrives: just enough to route it. The rest is the warehouse's business."""

from __future__ import annotations

import json
import re
from typing import NamedTuple, NoReturn, cast

import msgspec

_EVENT_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")


class NotJson(Exception):
    """The body is not JSON in UTF-8."""


class Envelope(NamedTuple):
    """Members of an event, None for what it lacks or has as something else than text.

    `event_id` is also None when it does not look like an id: it is logged.
    """

    object_type: str | None = None
    metric: str | None = None
    event_id: str | None = None


class _Members(msgspec.Struct):
    object_type: object = None
    metric: object = None
    event_id: object = None


_decode = msgspec.json.Decoder(_Members).decode


def read_envelope(body: bytes) -> Envelope:
    """Read the envelope of a body; JSON that is no event has an empty one.

    Raises NotJson.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise NotJson from None
    try:
        members = _decode(text)
    except RecursionError:
        return Envelope()  # too deep to be looked into, which is no reason to lose it
    except msgspec.DecodeError:
        # a list, a single value; or half of a surrogate pair, which JSON allows and msgspec does not
        members = _read_leniently(text)
    event_id = _text(members.event_id)
    return Envelope(
        _text(members.object_type),
        _text(members.metric),
        event_id if event_id is not None and _EVENT_ID.fullmatch(event_id) else None,
    )


def _read_leniently(text: str) -> _Members:
    try:
        # numbers stay text: Python refuses to read the longest
        value = json.loads(text, parse_int=str, parse_float=str, parse_constant=_refuse)
    except RecursionError:
        return _Members()
    except ValueError:
        raise NotJson from None
    if not isinstance(value, dict):
        return _Members()
    event = cast("dict[str, object]", value)
    return _Members(event.get("object_type"), event.get("metric"), event.get("event_id"))


def _refuse(constant: str) -> NoReturn:
    """NaN and the infinities, which are not JSON."""
    raise ValueError(constant)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
