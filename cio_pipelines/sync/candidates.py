"""The rows of the mart as the sync compares them: one canonical JSON text, and what is wrong with it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from cio_pipelines.customerio.limits import ATTRIBUTE_VALUE_BYTES, OPERATION_BYTES, PERSON_ID_BYTES
from cio_pipelines.sync.mapping import UNSUBSCRIBED, Kind, PeopleMapping
from cio_pipelines.sync.specs import SyncSpec
from cio_pipelines.sync.windows import Window
from cio_pipelines.warehouse import functions as fn
from cio_pipelines.warehouse.functions import UtcTimestamp

Column = sa.ColumnElement[Any]
PERSON_ID_FIELD = "identifiers.id"
"""How Customer.io names the id in its errors, and we in faults."""


@dataclass(frozen=True, slots=True)
class Mart:
    """The mart of a sync as SQL: its control columns, and the rows to compare.

    `over` are rows of the same columns to take in the place of the mart's, of some people only; `beneath` is
    then the mart itself, with what is known of everybody else.
    """

    spec: SyncSpec
    mapping: PeopleMapping
    updated_at_has_zone: bool
    person_id_is_text: bool = False
    deleted_at_is_time: bool = False
    over: sa.FromClause | None = None
    beneath: Mart | None = None
    table: sa.FromClause = field(init=False)

    def __post_init__(self) -> None:
        if self.over is not None:
            object.__setattr__(self, "table", self.over)
            return
        # One object for all statements: two of the same name would be joined with each other.
        # A Table and no `sa.table`: only its schema may have another name in a warehouse.
        columns: list[sa.Column[Any]] = [
            sa.Column(name, sa.types.NULLTYPE)
            for name in sorted(self.mapping.controls | self.mapping.kinds.keys())
        ]
        table = sa.Table(self.spec.table, sa.MetaData(), *columns, schema=self.spec.schema)
        object.__setattr__(self, "table", table)

    def control(self, name: str, absent: Column) -> Column:
        """A control column, or `absent` when the mart does not have it."""
        return self.table.c[name] if name in self.mapping.controls else absent

    @property
    def person_id(self) -> Column:
        """The id as text."""
        column = self.table.c[self.spec.person_id]
        # Only where it must be: an engine that keeps the mart sorted by it finds ids by the bare column.
        return sa.type_coerce(column, sa.String) if self.person_id_is_text else sa.cast(column, sa.String)

    @property
    def updated_at(self) -> Column:
        """When the row last changed, as a plain UTC timestamp."""
        column = self.table.c[self.spec.updated_at]
        # Only where it must be: a function around the column keeps the engine from pruning by it.
        return fn.utc_timestamp(column) if self.updated_at_has_zone else column

    @property
    def opted_out(self) -> Column:
        return sa.func.coalesce(self.control(self.spec.opted_out, sa.false()), sa.false())

    @property
    def _unsubscribed(self) -> Column:
        """The most restrictive word as JSON: the application's opt-out, else the mart's own column.

        NULL when neither says anything. It must not be false then: that would subscribe everybody again who
        has unsubscribed in Customer.io and of whom we have not heard yet.
        """
        reported = self.control(UNSUBSCRIBED, sa.null())
        return sa.case(
            (self.opted_out, "true"), (reported == sa.true(), "true"), (reported == sa.false(), "false")
        )

    @property
    def deleted_at(self) -> Column:
        return self.control(self.spec.deleted_at, sa.null())

    @property
    def said_at(self) -> Column:
        """When a row was last true: its `updated_at`, or its tombstone's time if later or all there is."""
        if not self.deleted_at_is_time:
            return self.updated_at
        deleted_at = fn.utc_timestamp(self.deleted_at)
        is_later = sa.or_(deleted_at > self.updated_at, self.updated_at.is_(None))
        return sa.case((is_later, deleted_at), else_=self.updated_at)

    def within(self, window: Window) -> Column:
        """Whether a row's `updated_at` lies in the window."""
        if window.is_full:
            return sa.true()
        return sa.and_(
            self.updated_at >= sa.bindparam("window_start", window.start, UtcTimestamp),
            self.updated_at < sa.bindparam("window_end", window.end, UtcTimestamp),
        )

    def candidates(self, condition: Column) -> sa.Select[Any]:
        """Rows that satisfy `condition`: person_id, updated_at, opted_out, attributes and faults.

        People with a tombstone are left out: their erasure is another asset's. `attributes` is the canonical
        text: a JSON object without NULLs, sorted by name, without spaces.
        """
        fault_field, fault_reason = self._faults()
        return (
            sa.select(
                self.person_id.label("person_id"),
                self.updated_at.label("updated_at"),
                self.opted_out.label("opted_out"),
                self._attributes().label("attributes"),
                fault_field.label("fault_field"),
                fault_reason.label("fault_reason"),
            )
            .select_from(self.table)
            .where(self.deleted_at.is_(None), condition)
        )

    def _attributes(self) -> Column:
        members = {name: kind.text(self.table.c[name]) for name, kind in self.mapping.kinds.items()}
        if self.mapping.unsubscribes:
            members[UNSUBSCRIBED] = self._unsubscribed
        parts = [_literal(f"{_quoted(name)}:").concat(text) for name, text in members.items()]
        return _literal("{").concat(fn.join_text(*parts) if parts else _literal("")).concat(_literal("}"))

    def _faults(self) -> tuple[Column, Column]:
        """Field and reason of the first thing wrong with a row, both NULL for a good one."""
        faults: list[tuple[Column, str, str]] = [
            (self.person_id == "", PERSON_ID_FIELD, "required"),
            (fn.byte_length(self.person_id) > PERSON_ID_BYTES, PERSON_ID_FIELD, "too_long"),
        ]
        for name, kind in self.mapping.kinds.items():
            faults += _faults_of(name, kind, self.table.c[name])
        return (
            sa.case(*[(broken, _literal(where)) for broken, where, _ in faults]),
            sa.case(*[(broken, _literal(reason)) for broken, _, reason in faults]),
        )


def is_ahead(snapshot: sa.FromClause, updated_at: Column) -> Column:
    """Whether a snapshot's row is the application's own word, of later than what the mart knows.

    What the mart says then is old: it must not undo what was sent. A deletion holds whatever the mart's row
    says: an order that comes in late makes the row newer, and nobody comes back by that.
    """
    is_old = sa.or_(snapshot.c.state == "deleted", updated_at < snapshot.c.source_updated_at)
    return sa.func.coalesce(sa.and_(snapshot.c.direct, is_old), sa.false())


def _faults_of(name: str, kind: Kind, column: Column) -> list[tuple[Column, str, str]]:
    found: list[tuple[Column, str, str]] = []
    where = f"attributes.{name}"
    if kind.limited:
        # The limit counts the text itself, not its JSON form with escapes.
        text = sa.cast(column, sa.String) if kind.name == "text" else kind.text(column)
        found.append((fn.byte_length(text) > ATTRIBUTE_VALUE_BYTES, where, "too_long"))
    if kind.fault is not None:
        found.append((kind.fault(column), where, "invalid"))
    return found


def payload(plan: sa.FromClause, timestamp: int) -> Column:
    """The JSON text of a planned operation, with the comma that `EncodedOperations` wants behind it.

    `timestamp` (unix seconds) is the time of extraction: Customer.io then never lets it overwrite a newer
    write.
    """
    person = fn.json_text(plan.c.person_id)
    head = _literal('{"type":"person","action":"')
    others = (
        head.concat(plan.c.operation).concat(_literal('","identifiers":{"id":')).concat(person).concat("}},")
    )
    attributes = sa.case(
        (sa.func.coalesce(plan.c.removals, "") == "", plan.c.attributes),
        (plan.c.attributes == "{}", _literal("{").concat(plan.c.removals).concat("}")),
        else_=sa.func.left(plan.c.attributes, sa.func.length(plan.c.attributes) - 1)
        .concat(_literal(","))
        .concat(plan.c.removals)
        .concat("}"),
    )
    identify = (
        _literal('{"type":"person","action":"identify","identifiers":{"id":')
        .concat(person)
        .concat(_literal(f'}},"timestamp":{timestamp},"attributes":'))
        .concat(attributes)
        .concat(_literal("},"))
    )
    return sa.case((plan.c.operation == "identify", identify), else_=others)


def frame_bytes(operation: str, timestamp: int) -> int:
    """Bytes of an operation's payload beyond those of its id in quotes, attributes and removals."""
    inside = f',"timestamp":{timestamp},"attributes":' if operation == "identify" else ""
    return len(f'{{"type":"person","action":"{operation}","identifiers":{{"id":}}{inside}}},')


def is_too_large(plan: sa.FromClause, timestamp: int) -> Column:
    """Whether a planned operation breaks the limit of an operation's bytes."""
    # The payload is only built for the few rows that come near the limit.
    near = fn.byte_length(plan.c.attributes) + sa.func.coalesce(fn.byte_length(plan.c.removals), 0) > 30_000
    return sa.and_(near, fn.byte_length(payload(plan, timestamp)) - 1 >= OPERATION_BYTES)


def _literal(text: str) -> sa.ColumnElement[str]:
    return sa.literal(text, sa.String)


def _quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)
