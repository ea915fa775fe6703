"""From the mart's columns to Customer.io's attributes: kinds, and the SQL text of each value."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from cio_pipelines.customerio.limits import ATTRIBUTE_NAME_BYTES, ATTRIBUTES_PER_PERSON
from cio_pipelines.sync.errors import MappingError, SourceContractError
from cio_pipelines.sync.specs import SyncSpec
from cio_pipelines.warehouse import functions as fn

CANONICAL_VERSION = 1
"""Part of every mapping version: raise it when the text of an unchanged row changes."""

RESERVED = frozenset(
    {
        "id",
        "cio_id",
        "anonymous_id",
        "_timestamp",
        "_update",
        "_created_in_customerio_at",
        "_last_emailed",
        "_cio_subscription_preferences_computed",
        "cio_relationships",
    }
)
"""Names that Customer.io gives a meaning of its own, so that no column may have them."""

UNSUBSCRIBED = "unsubscribed"
"""True for people whom Customer.io must not write to. An attribute like others, unless the sync sets it for
people who opted out: then the mart's column of that name, if any, is one of two things that decide it."""

Column = sa.ColumnElement[Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """How values of one family of types are written in the canonical JSON.

    `limited` texts count against the limit of a value's bytes; `fault` is true of values that JSON lacks.
    """

    name: str
    text: Callable[[Column], Column]
    limited: bool = False
    fault: Callable[[Column], Column] | None = None


def _plain(column: Column) -> Column:
    return sa.cast(column, sa.String)


def _seconds(column: Column) -> Column:
    return sa.cast(fn.unix_seconds(column), sa.String)


def _days(column: Column) -> Column:
    return sa.cast(fn.unix_seconds_of_date(column), sa.String)


def _nested(column: Column) -> Column:
    # the JSON value null is no value either
    return sa.func.nullif(fn.json_text(column), "null")


def _document(column: Column) -> Column:
    return sa.func.nullif(fn.json_document_text(column), "null")


TEXT = Kind("text", lambda column: fn.json_text(_plain(column)), limited=True)
INTEGER = Kind("integer", _plain)
WHOLE = replace(INTEGER, fault=fn.is_no_decimal)
DECIMAL = Kind("decimal", fn.decimal_text, fault=fn.is_no_decimal)
FRACTION = replace(DECIMAL, text=fn.fraction_text)
FLOAT = Kind("float", fn.json_text, fault=fn.is_not_finite)
DATE = Kind("timestamp", _days, fault=fn.is_infinite_time)
BOOLEAN = Kind("boolean", lambda column: sa.case((column, "true"), (sa.not_(column), "false")))
TIME = Kind("timestamp", _seconds, fault=fn.is_infinite_time)
NESTED = Kind("nested", _nested, limited=True, fault=lambda column: fn.is_broken_json(fn.json_text(column)))
DOCUMENT = replace(NESTED, text=_document)

_NARROW_DIGITS = 18
"""Digits of a decimal that engines keep in 64 bits."""


def _decimal(precision: int | None, scale: int | None) -> Kind:
    if scale == 0:
        return WHOLE
    if precision is None or scale is None:
        return DECIMAL
    if precision == scale:
        return FRACTION
    if precision <= _NARROW_DIGITS or scale > _NARROW_DIGITS - 3:
        return DECIMAL
    narrow: sa.Numeric[Any] = sa.Numeric(_NARROW_DIGITS, scale)

    def text(column: Column) -> Column:
        return fn.wide_decimal_text(column, sa.cast(column, narrow))

    return replace(DECIMAL, text=text)


_NESTED_NAMES = ("ARRAY", "FixedArray", "Struct", "STRUCT", "Map", "RECORD", "Composite")
_DOCUMENT_NAMES = ("JSON",)
_TEXT_NAMES = ("Uuid", "UUID", "Time", "TIME")


def kind_of(column_type: sa.types.TypeEngine[Any]) -> Kind | None:
    """The kind of a column's type; None for types that cannot be sent (binary, interval, bit)."""
    names = {base.__name__ for base in type(column_type).__mro__}
    if names.intersection(_NESTED_NAMES):
        return NESTED
    if names.intersection(_DOCUMENT_NAMES):
        return DOCUMENT
    if isinstance(column_type, sa.Boolean):
        return BOOLEAN
    if isinstance(column_type, sa.Integer):
        return INTEGER
    if isinstance(column_type, sa.Float) or "FLOAT64" in names:
        return FLOAT
    if isinstance(column_type, sa.Numeric):
        return _decimal(column_type.precision, column_type.scale)
    if isinstance(column_type, sa.Date):
        return DATE
    if isinstance(column_type, sa.DateTime):
        return TIME
    if isinstance(column_type, sa.String) or names.intersection(_TEXT_NAMES):
        return TEXT
    return None


@dataclass(frozen=True, slots=True)
class MappingChange:
    """How the mapping differs from the one that was last synced. `is_empty` when it does not."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    retyped: tuple[str, ...] = ()
    rewritten: bool = False

    @property
    def is_empty(self) -> bool:
        return not (self.added or self.removed or self.retyped or self.rewritten)

    def __str__(self) -> str:
        parts = [
            f"{word}: {', '.join(names)}"
            for word, names in (("added", self.added), ("removed", self.removed), ("retyped", self.retyped))
            if names
        ]
        if self.rewritten:
            parts.append("the canonical form itself changed")
        return "; ".join(parts) or "none"


@dataclass(frozen=True, slots=True)
class PeopleMapping:
    """The attributes of a sync, sorted by name, and the control columns that the mart has.

    Sorted, so that moving a column in the mart re-sends nobody. When the sync sets `unsubscribed`, the mart's
    column of that name is a control column.
    """

    kinds: Mapping[str, Kind]
    controls: frozenset[str]
    unsubscribes: bool = False

    @property
    def described(self) -> dict[str, str]:
        """Attribute → name of its kind; with `unsubscribed` when the sync sets that."""
        described = {name: kind.name for name, kind in self.kinds.items()}
        return described | ({UNSUBSCRIBED: "consent"} if self.unsubscribes else {})

    @property
    def document(self) -> str:
        """The mapping as JSON, as it is kept in the ledger."""
        return json.dumps({"canonical": CANONICAL_VERSION, "attributes": self.described})

    @property
    def version(self) -> str:
        """Twelve hex digits that change with any name or kind."""
        return hashlib.sha256(self.document.encode()).hexdigest()[:12]

    def change_from(self, document: str | None) -> MappingChange:
        """What differs from a `document` of an earlier run; nothing when there was none."""
        if document is None:
            return MappingChange()
        before: dict[str, Any] = json.loads(document)
        old: dict[str, str] = before["attributes"]
        new = self.described
        return MappingChange(
            added=tuple(name for name in new if name not in old),
            removed=tuple(name for name in old if name not in new),
            retyped=tuple(name for name in new if name in old and new[name] != old[name]),
            rewritten=before["canonical"] != CANONICAL_VERSION,
        )


def read_mapping(
    spec: SyncSpec, columns: Mapping[str, sa.types.TypeEngine[Any]], *, unsubscribes: bool
) -> PeopleMapping:
    """The mapping of a mart.

    Args:
        spec: which columns are controls.
        columns: the mart's columns and types; empty when there is no such relation.
        unsubscribes: whether people who opted out get `unsubscribed` instead of being suppressed.

    Raises:
        SourceContractError: the mart or a column that must exist is missing.
        MappingError: a column's name or type cannot be an attribute, there are more than 300, or the sync
            sets `unsubscribed` and the mart has it as something else than a boolean.
    """
    if not columns:
        raise SourceContractError(
            f"There is no table or view {spec.relation} in the warehouse.",
            "Build it with dbt (`cio sync people` does), and check WAREHOUSE_URL.",
        )
    for required in (spec.person_id, spec.updated_at):
        if required not in columns:
            raise SourceContractError(
                f"{spec.relation} has no column {required}.",
                f"Add it to the mart; the columns found are: {', '.join(columns)}.",
            )
    controls = spec.control_columns | ({UNSUBSCRIBED} if unsubscribes else set[str]())
    kinds = {name: _kind(spec, name, columns[name]) for name in sorted(columns.keys() - controls)}
    _check_names(spec, kinds)
    if unsubscribes and UNSUBSCRIBED in columns and kind_of(columns[UNSUBSCRIBED]) is not BOOLEAN:
        raise MappingError(
            f"Column {UNSUBSCRIBED} of {spec.relation} is no boolean.",
            "With CIO_OPTED_OUT=unsubscribe it must be one: cast it in the mart, or rename it.",
        )
    return PeopleMapping(kinds, frozenset(columns) & controls, unsubscribes)


def _kind(spec: SyncSpec, name: str, column_type: sa.types.TypeEngine[Any]) -> Kind:
    kind = kind_of(column_type)
    if kind is None:
        raise MappingError(
            f"Column {name} of {spec.relation} has type {column_type!r}, which JSON cannot hold.",
            "Cast it to text or a number in the mart, or leave it out.",
        )
    return kind


def _check_names(spec: SyncSpec, names: Iterable[str]) -> None:
    listed = list(names)
    for name in listed:
        if name in RESERVED:
            raise MappingError(
                f"Column {name} of {spec.relation} has a name that is Customer.io's own.",
                "Rename it in the mart.",
            )
        if len(name.encode()) > ATTRIBUTE_NAME_BYTES:
            raise MappingError(
                f"A column of {spec.relation} has a name of more than {ATTRIBUTE_NAME_BYTES} bytes.",
                "Give it a shorter name in the mart.",
            )
    if len(listed) > ATTRIBUTES_PER_PERSON:
        raise MappingError(
            f"{spec.relation} has {len(listed)} attributes; Customer.io takes {ATTRIBUTES_PER_PERSON}.",
            "Leave columns out of the mart.",
        )
