"""Filling in what a message is about: {{ scope.name }} in its texts, as in Liquid but nothing more of it.

What is not known is left empty. Tags and filters other than `default` are left as they were written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from cio_pipelines.sandbox.records import Person, as_text

_VARIABLE = re.compile(
    r"\{\{-?\s*([A-Za-z_][\w-]*(?:\.[\w-]+)*)\s*(?:\|\s*default:\s*(?:\"([^\"{}]*)\"|'([^'{}]*)')\s*)?-?\}\}"
)


def render(text: str, scopes: Mapping[str, Any]) -> str:
    """`text` with the variables of `scopes` filled in, as plain text: nothing is escaped."""
    if "{{" not in text:
        return text
    return _VARIABLE.sub(lambda found: _value(found, scopes), text)


def scopes_of(person: Person | None, **data: Mapping[str, Any]) -> dict[str, Any]:
    """What a message may refer to: `data` under their names, and the person as `customer`."""
    customer: dict[str, Any] = {}
    if person is not None:
        customer = {**person.attributes, "id": person.id, "cio_id": person.cio_id}
    return {**data, "customer": customer}


def _value(found: re.Match[str], scopes: Mapping[str, Any]) -> str:
    value: Any = scopes
    for name in found[1].split("."):
        value = cast("Mapping[str, Any]", value).get(name) if isinstance(value, Mapping) else None
    if value is None or value == "":
        return found[2] or found[3] or ""
    return as_text(value)
