"""Checks of members of App API requests: each returns the value ready for JSON, or raises InvalidOperation.

Values come from queues and gateways as well as from code, so their types are checked too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from cio_pipelines.customerio import limits
from cio_pipelines.customerio.errors import InvalidOperation
from cio_pipelines.customerio.jsontext import json_object, timestamp_seconds

_FILTERS = ("and", "or", "not", "segment", "attribute")
_DEEPEST_FILTER = 10  # documented groups nest three deep; a cycle ends here


def require(members: Mapping[str, object], *names: str) -> None:
    """All of these are there."""
    for name in names:
        if members.get(name) is None:
            raise InvalidOperation(name, "required", "value is missing")


def text(field: str, value: object) -> str:
    """A text that is not empty, and no longer than a message may be."""
    limits.check_text(field, value, limits.MESSAGE_BYTES)
    return str.__str__(cast("str", value))


def line(field: str, value: object) -> str:
    """A text without line breaks, as a header of an e-mail must be."""
    checked = text(field, value)
    if "\n" in checked or "\r" in checked:
        raise InvalidOperation(field, "invalid", "value must be a single line")
    return checked


def flag(field: str, value: object) -> bool:
    """True or False and nothing that only looks like it."""
    if not isinstance(value, bool):
        raise InvalidOperation(field, "invalid", "value must be true or false")
    return value


def number(field: str, value: object) -> int:
    """An id that Customer.io counts: a whole number above zero."""
    if type(value) is not int or value < 1:
        raise InvalidOperation(field, "invalid", "value must be a whole number above zero")
    return value


def moment(field: str, value: object) -> int:
    """A datetime or unix seconds, as unix seconds."""
    return timestamp_seconds(field, cast("datetime | int", value))


def mapping(field: str, value: object) -> dict[str, object]:
    """A JSON object."""
    if not isinstance(value, Mapping):
        raise InvalidOperation(field, "invalid", "value must be an object")
    return json_object(cast("Mapping[object, object]", value), field)


def exactly(field: str, value: object, names: Sequence[str]) -> dict[str, Any]:
    """An object with no other members than these."""
    checked = mapping(field, value)
    if set(checked) - set(names):
        raise InvalidOperation(field, "invalid", f"members are {', '.join(names)}")
    return checked


def audience_filter(field: str, value: object, depth: int = 0) -> dict[str, object]:
    """A filter of people: one of `and`, `or` (lists), `not`, `segment`, `attribute`."""
    given = mapping(field, value)
    if len(given) != 1 or next(iter(given)) not in _FILTERS or depth > _DEEPEST_FILTER:
        raise InvalidOperation(field, "invalid", f"a filter is exactly one of {', '.join(_FILTERS)}")
    ((kind, content),) = given.items()
    within = f"{field}.{kind}"
    if kind in ("and", "or"):
        if not isinstance(content, list) or not content:
            raise InvalidOperation(within, "invalid", "value must be a list of filters")
        parts = cast("list[object]", content)
        return {kind: [audience_filter(within, part, depth + 1) for part in parts]}
    if kind == "not":
        return {kind: audience_filter(within, content, depth + 1)}
    if kind == "segment":
        segment = exactly(within, content, ("id",))
        return {kind: {"id": number(f"{within}.id", segment.get("id"))}}
    return {kind: _attribute(within, content)}


def _attribute(field: str, content: object) -> dict[str, object]:
    attribute = exactly(field, content, ("field", "operator", "value"))
    text(f"{field}.field", attribute.get("field"))
    operator = attribute.get("operator")
    if operator not in ("eq", "exists"):
        raise InvalidOperation(f"{field}.operator", "invalid", "operator is eq or exists")
    if operator == "eq":
        text(f"{field}.value", attribute.get("value"))
    return attribute
