"""Filters of people: and, or, not, segment, attribute."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from cio_pipelines.sandbox.app.checks import Refusal
from cio_pipelines.sandbox.records import Person, as_text
from cio_pipelines.sandbox.workspace import Workspace

Matches = Callable[[Person], bool]
_DEEPEST = 8
"""How far conditions may be nested; the specification shows three levels."""


def read_filter(
    workspace: Workspace, given: object, refuse: Callable[[str], Refusal], depth: int = 0
) -> Matches:
    """A filter as a function. Raises what `refuse` makes, for a form that is not documented."""
    if not isinstance(given, dict) or len(cast("dict[str, Any]", given)) != 1 or depth > _DEEPEST:
        raise refuse("a filter is an object with exactly one of and, or, not, segment and attribute")
    (kind, inner) = next(iter(cast("dict[str, Any]", given).items()))
    match kind, inner:
        case (("and" | "or"), list()) if inner:
            parts = cast("list[object]", inner)
            matches = [read_filter(workspace, part, refuse, depth + 1) for part in parts]
            return _all(matches) if kind == "and" else _any(matches)
        case "not", dict():
            excluded = read_filter(workspace, cast("object", inner), refuse, depth + 1)
            return lambda person: not excluded(person)
        case "segment", {"id": int() as number}:
            segment = workspace.shelf.segments.get(str(number))
            if segment is None:
                raise refuse(f"segment {number} does not exist")
            members = segment.members
            return lambda person: person.cio_id in members
        case "attribute", {"field": str() as name, "operator": "exists"}:
            return lambda person: value_of(person, name) is not None
        case "attribute", {"field": str() as name, "operator": "eq", "value": value}:
            wanted = as_text(value)
            return lambda person: _text_of(person, name) == wanted
        case _:
            raise refuse(f"the condition {str(kind)[:60]} is not in a form that is known")


def value_of(person: Person, name: str) -> Any:
    """An attribute or identifier; None when it is not set."""
    if name in ("id", "cio_id"):
        return getattr(person, name)
    return person.attributes.get(name)


def _text_of(person: Person, name: str) -> str | None:
    value = value_of(person, name)
    return None if value is None else as_text(value)


def _all(matches: list[Matches]) -> Matches:
    return lambda person: all(each(person) for each in matches)


def _any(matches: list[Matches]) -> Matches:
    return lambda person: any(each(person) for each in matches)
