"""The rows of the event mart as they are sent: one canonical JSON text each, and what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from cio_pipelines.customerio.limits import EVENT_NAME_BYTES, OPERATION_BYTES, PERSON_ID_BYTES
from cio_pipelines.sync.errors import MappingError, SourceContractError
from cio_pipelines.sync.events.ulids import ulid
from cio_pipelines.sync.mapping import Kind, kind_of
from cio_pipelines.sync.specs import EventSpec
from cio_pipelines.sync.windows import Window
from cio_pipelines.warehouse import functions as fn
from cio_pipelines.warehouse.functions import UtcTimestamp

Column = sa.ColumnElement[Any]
PERSON, NAME, TIME, ID = "identifiers.id", "name", "timestamp", "event_id"
"""Fields that can be at fault, named as Customer.io does; the id as the mart does."""


@dataclass(frozen=True, slots=True)
class EventMart:
    """The mart of an event sync as SQL. `kinds` are its properties, sorted by name."""

    spec: EventSpec
    kinds: Mapping[str, Kind]
    occurred_at_has_zone: bool
    table: sa.Table = field(init=False)

    def __post_init__(self) -> None:
        # One object for all statements, whose schema may have another name in a warehouse.
        columns: list[sa.Column[Any]] = [
            sa.Column(name, sa.types.NULLTYPE) for name in (*self.spec.control_columns, *self.kinds)
        ]
        table = sa.Table(self.spec.table, sa.MetaData(), *columns, schema=self.spec.schema)
        object.__setattr__(self, "table", table)

    @property
    def described(self) -> dict[str, str]:
        """Property → name of its kind."""
        return {name: kind.name for name, kind in self.kinds.items()}

    @property
    def event_id(self) -> Column:
        """The event's id as text."""
        return sa.cast(self.table.c[self.spec.event_id], sa.String)

    @property
    def occurred_at(self) -> Column:
        """When it happened, as a plain UTC timestamp."""
        column = self.table.c[self.spec.occurred_at]
        # Only where it must be: a function around the column keeps the engine from pruning by it.
        return fn.utc_timestamp(column) if self.occurred_at_has_zone else column

    def within(self, window: Window) -> Column:
        """Whether a row's `occurred_at` lies in the window."""
        if window.is_full:
            return sa.true()
        return sa.and_(
            self.occurred_at >= sa.bindparam("window_start", window.start, UtcTimestamp),
            self.occurred_at < sa.bindparam("window_end", window.end, UtcTimestamp),
        )

    def candidates(self, condition: Column) -> sa.Select[Any]:
        """Rows that satisfy `condition`: event_id, person_id, occurred_at, payload and faults.

        `payload` is the canonical text: the operation as it is sent, its properties sorted by name, without
        those that are NULL. It is never NULL itself.
        """
        spec = self.spec
        rows = (
            sa.select(
                self.event_id.label("event_id"),
                sa.cast(self.table.c[spec.person_id], sa.String).label("person_id"),
                sa.cast(self.table.c[spec.event_name], sa.String).label("event_name"),
                self.occurred_at.label("occurred_at"),
                fn.unix_milliseconds(self.occurred_at).label("occurred_ms"),
                *(self.table.c[name].label(_column(place)) for place, name in enumerate(self.kinds)),
            )
            .select_from(self.table)
            .where(condition)
            .subquery("rows_of_mart")
        )
        fault_field, fault_reason = self._faults(rows)
        told = fn.evaluated_once(
            sa.select(
                rows.c.event_id,
                rows.c.person_id,
                rows.c.occurred_at,
                self._payload(rows).label("payload"),
                fault_field.label("fault_field"),
                fault_reason.label("fault_reason"),
            )
        ).subquery("told")
        too_long = sa.and_(told.c.fault_field.is_(None), fn.byte_length(told.c.payload) >= OPERATION_BYTES)
        return sa.select(
            told.c.event_id,
            told.c.person_id,
            told.c.occurred_at,
            told.c.payload,
            sa.case((too_long, "operation"), else_=told.c.fault_field).label("fault_field"),
            sa.case((too_long, "too_long"), else_=told.c.fault_reason).label("fault_reason"),
        )

    def _payload(self, rows: sa.Subquery) -> Column:
        seconds = sa.cast(fn.unix_seconds(rows.c.occurred_at), sa.String)
        members = [
            _literal(f"{json.dumps(name, ensure_ascii=False)}:").concat(kind.text(rows.c[_column(place)]))
            for place, (name, kind) in enumerate(self.kinds.items())
        ]
        return (
            _literal('{"type":"person","action":"event","identifiers":{"id":')
            .concat(_known(fn.json_text(rows.c.person_id)))
            .concat(_literal('},"name":'))
            .concat(_known(fn.json_text(rows.c.event_name)))
            .concat(_literal(',"id":"'))
            .concat(_known(ulid(rows.c.occurred_ms, self.spec.name, rows.c.event_id)))
            .concat(_literal('","timestamp":'))
            .concat(_known(seconds))
            .concat(_literal(',"attributes":{'))
            .concat(fn.join_text(*members) if members else _literal(""))
            .concat(_literal("}}"))
        )

    def _faults(self, rows: sa.Subquery) -> tuple[Column, Column]:
        """Field and reason of the first thing wrong with a row, both NULL for a good one."""
        person, name = rows.c.person_id, rows.c.event_name
        faults: list[tuple[Column, str, str]] = [
            (rows.c.event_id == "", ID, "required"),
            (_is_empty(person), PERSON, "required"),
            (fn.byte_length(person) > PERSON_ID_BYTES, PERSON, "too_long"),
            # Customer.io takes off the spaces around it
            (_is_empty(sa.func.trim(name)), NAME, "required"),
            (fn.byte_length(name) > EVENT_NAME_BYTES, NAME, "too_long"),
            (rows.c.occurred_at.is_(None), TIME, "required"),
            (fn.is_infinite_time(rows.c.occurred_at), TIME, "invalid"),
        ]
        for place, (property_, kind) in enumerate(self.kinds.items()):
            if kind.fault is not None:
                faults.append((kind.fault(rows.c[_column(place)]), f"attributes.{property_}", "invalid"))
        return (
            sa.case(*[(broken, _literal(where)) for broken, where, _ in faults]),
            sa.case(*[(broken, _literal(reason)) for broken, _, reason in faults]),
        )


def read_mart(spec: EventSpec, columns: Mapping[str, sa.types.TypeEngine[Any]]) -> EventMart:
    """The mart as SQL.

    Args:
        spec: which columns are controls.
        columns: the mart's columns and types; empty when there is no such relation.

    Raises:
        SourceContractError: the mart or a column that must exist is missing, or the time is no timestamp.
        MappingError: a column's type cannot be a property.
    """
    if not columns:
        raise SourceContractError(
            f"There is no table or view {spec.relation} in the warehouse.",
            "Build it with dbt (`cio sync events` does), and check WAREHOUSE_URL.",
        )
    for required in spec.control_columns:
        if required not in columns:
            raise SourceContractError(
                f"{spec.relation} has no column {required}.",
                f"Add it to the mart; the columns found are: {', '.join(columns)}.",
            )
    kinds: dict[str, Kind] = {}
    for name in sorted(columns.keys() - set(spec.control_columns)):
        kind = kind_of(columns[name])
        if kind is None:
            raise MappingError(
                f"Column {name} of {spec.relation} has type {columns[name]!r}, which JSON cannot hold.",
                "Cast it to text or a number in the mart, or leave it out.",
            )
        kinds[name] = kind
    occurred_at = columns[spec.occurred_at]
    if not isinstance(occurred_at, sa.DateTime):
        raise SourceContractError(
            f"{spec.relation}.{spec.occurred_at} is no timestamp.", "Cast it in the mart."
        )
    return EventMart(spec, kinds, occurred_at.timezone)


def _column(place: int) -> str:
    # not the property's own name, which may be that of a column beside it in any letter case
    return f"property_{place}"


def _is_empty(text: Column) -> Column:
    return sa.func.coalesce(text, "") == ""


def _known(text: Column) -> Column:
    return sa.func.coalesce(text, "null")


def _literal(text: str) -> sa.ColumnElement[str]:
    return sa.literal(text, sa.String)
