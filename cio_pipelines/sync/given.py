"""What an application says of a person: columns of the people mart, as texts that the warehouse casts."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, NoReturn, cast
from uuid import UUID

import sqlalchemy as sa

from cio_pipelines.sync.errors import InvalidUser
from cio_pipelines.sync.mapping import DOCUMENT, NESTED, Kind, kind_of
from cio_pipelines.sync.specs import SyncSpec

_FIRST, _LAST = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (1, 9999))

Types = Mapping[str, sa.types.TypeEngine[Any]]
"""The mart's columns and their types."""


@dataclass(frozen=True, slots=True)
class Given:
    """One person as the application knows them.

    `texts` are the columns it named, each as a text that a cast to the column's type makes the value of, None
    for NULL. `place` is the person's in the call.
    """

    place: int
    person_id: str
    updated_at: datetime
    texts: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Known:
    """What the snapshot says of a person of whom it knows more than the mart.

    `attributes` are those of the canonical text, numbers as int or Decimal; `names` those of which it tells
    the value, or that there is none.
    """

    state: str
    attributes: Mapping[str, Any]
    names: Collection[str]


def read_users(users: Iterable[object], spec: SyncSpec, types: Types) -> list[Given]:
    """What was said of each user, in order.

    Args:
        users: mappings or dataclass instances, column → value. `person_id` and `updated_at` must be there.
        spec: which columns are controls.
        types: the mart's columns.

    Raises:
        InvalidUser: a column that must be there is missing, the mart does not have a column, or its value is
            of another type.
    """
    return [_read(place, _members(place, user), spec, types) for place, user in enumerate(users)]


def read_person_id(value: object, spec: SyncSpec, types: Types, place: int = 0) -> str:
    """An id as the mart's text. Raises InvalidUser."""
    kind = types[spec.person_id]
    if isinstance(kind, sa.Integer) and isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if value is None:
        _refuse(place, f"has no {spec.person_id}", "Every person needs an id.")
    text = _text(place, spec.person_id, value, kind)
    return "" if text is None else text


def _members(place: int, user: object) -> dict[str, object]:
    if is_dataclass(user) and not isinstance(user, type):
        return {field.name: getattr(user, field.name) for field in fields(user)}
    if isinstance(user, Mapping):
        return {str(name): value for name, value in cast("Mapping[object, object]", user).items()}
    return _refuse(place, f"is {_type(user)}", "Give a mapping or a dataclass of columns of the mart.")


def _read(place: int, said: Mapping[str, object], spec: SyncSpec, types: Types) -> Given:
    for name in (spec.person_id, spec.updated_at):
        if said.get(name) is None:
            _refuse(place, f"has no {name}", f"Give {name}: the sync needs it.")
    for name in said:
        if name not in types:
            _refuse(
                place,
                f"has {name[:64]!r}, which is no column of {spec.relation}",
                "Leave it out, or add it to the mart.",
            )
    if said.get(spec.deleted_at) is not None:
        _refuse(place, f"has {spec.deleted_at}", "Call on_user_deleted instead.")
    controls = {spec.person_id, spec.updated_at, spec.deleted_at}
    updated_at = said[spec.updated_at]
    if not isinstance(updated_at, datetime) or updated_at.tzinfo is None:
        _refuse(place, f"has {_type(updated_at)} as {spec.updated_at}", "Give a datetime with a time zone.")
    return Given(
        place,
        read_person_id(said[spec.person_id], spec, types, place),
        updated_at,
        {name: _text(place, name, said[name], types[name]) for name in said if name not in controls},
    )


def fill(given: Given, spec: SyncSpec, types: Types, known: Known) -> Given:
    """The same, with what it does not say as it was told before."""
    texts: dict[str, str | None] = {}
    if spec.opted_out in types:
        texts[spec.opted_out] = "true" if known.state == "suppressed" else "false"
    for name in () if known.state == "suppressed" else known.names:
        kind, value = kind_of(types[name]), known.attributes.get(name)
        if kind is not None and kind != NESTED and not _is_beyond(kind, value):
            texts[name] = _canonical(kind, value, types[name])
    return replace(given, texts=texts | dict(given.texts))


def moment_text(moment: datetime, column_type: sa.types.TypeEngine[Any]) -> str:
    """A moment as a text that a cast to a column's type reads."""
    moment = moment.astimezone(UTC)
    if not isinstance(column_type, sa.DateTime):
        return moment.date().isoformat()
    return (moment if column_type.timezone else moment.replace(tzinfo=None)).isoformat(sep=" ")


def _text(place: int, name: str, value: object, column_type: sa.types.TypeEngine[Any]) -> str | None:
    kind = kind_of(column_type)
    if kind is None or kind == NESTED:
        _refuse(
            place,
            f"has {name}, whose type ({type(column_type).__name__}) cannot be given",
            "Leave it out: then it is as in the mart.",
        )
    if value is None:
        return None
    text = _document(value) if kind == DOCUMENT else _read_value(kind.name, value, column_type)
    if text is None:
        _refuse(
            place,
            f"has {_type(value)} as {name}, whose values are {kind.name}",
            "Give a value of the column's type.",
        )
    if "\0" in text or not _is_encodable(text):
        _refuse(place, f"has a text as {name} with characters that no database keeps", "Take them out.")
    return text


def _read_value(kind: str, value: object, column_type: sa.types.TypeEngine[Any]) -> str | None:
    """The text of a value; None when it is of another type."""
    match kind, value:
        case "boolean", bool():
            return "true" if value else "false"
        case _, bool():
            return None
        case (("integer" | "decimal" | "float"), int()):
            return str(value)
        case "integer", Decimal() if value.is_finite() and value % 1 == 0:
            return f"{value:.0f}"
        case "decimal", Decimal() if value.is_finite():
            return f"{value:f}"
        case "decimal", float():
            return _read_value(kind, Decimal(repr(value)), column_type)
        case "float", (float() | Decimal()):
            return repr(float(value))
        case "timestamp", datetime() if value.tzinfo is not None:
            return moment_text(value, column_type)
        case "timestamp", date() if not isinstance(value, datetime):
            return None if isinstance(column_type, sa.DateTime) else value.isoformat()
        case "text", (str() | UUID() | time()):
            return str(value)
        case _:
            return None


def _canonical(kind: Kind, value: Any, column_type: sa.types.TypeEngine[Any]) -> str | None:
    """The text of a value of a canonical text."""
    if value is None:
        return None
    if kind == DOCUMENT:
        return json.dumps(value, ensure_ascii=False, default=float)
    if kind.name == "timestamp":
        return moment_text(datetime.fromtimestamp(value, UTC), column_type)
    return _read_value(kind.name, value, column_type)


def _is_beyond(kind: Kind, value: Any) -> bool:
    """Whether it is a time that Python does not know."""
    return kind.name == "timestamp" and value is not None and not _FIRST <= value <= _LAST


def _document(value: object) -> str | None:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return None


def _type(value: object) -> str:
    if isinstance(value, datetime) and value.tzinfo is None:
        return "a datetime without a time zone"
    name = type(value).__name__
    return f"an {name}" if name[:1] in "aeiou" else f"a {name}"


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refuse(place: int, what: str, remedy: str) -> NoReturn:
    raise InvalidUser(f"User {place} of the call {what}.", f"{remedy} Nothing was sent.")
