"""Reading a batch: which of its operations are acceptable, at a microsecond or so each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import msgspec

from cio_pipelines.customerio import limits
from cio_pipelines.customerio.errors import InvalidOperation
from cio_pipelines.sandbox.wire import Operation, check, decoder, type_fault

_LONGEST_CHARACTER = 4
_SHORT_ID = limits.PERSON_ID_BYTES // _LONGEST_CHARACTER
_SHORT_VALUE = limits.ATTRIBUTE_VALUE_BYTES // _LONGEST_CHARACTER
_KNOWN_NAMES_KEPT = 2_000


class MalformedBatch(Exception):
    """The whole request is refused; `args` are reason, field, message."""


class _Body(msgspec.Struct):
    batch: list[msgspec.Raw]


_split = msgspec.json.Decoder(_Body).decode


@dataclass(slots=True)
class Problem:
    """Why one operation is refused; `reason` is one of Customer.io's words, required or invalid."""

    index: int
    reason: str
    field: str
    message: str

    @classmethod
    def of(cls, index: int, fault: InvalidOperation) -> Problem:
        reason = fault.reason if fault.reason == "required" else "invalid"
        return cls(index, reason, fault.field or "", fault.message)

    def entry(self, *, numbered: bool) -> dict[str, object]:
        """As it stands in an `errors` array; `numbered` adds the batch_index."""
        detail: dict[str, object] = {"reason": self.reason, "field": self.field, "message": self.message}
        return {"batch_index": self.index, **detail} if numbered else detail


@dataclass(slots=True)
class Reading:
    """What a body holds. `operations` is in order of arrival, unreadable ones as None; empty unless kept.

    `accepted` counts by (type, action) and is filled only when operations are not kept.
    """

    count: int
    operations: list[Operation | None] = field(default_factory=list[Operation | None])
    problems: list[Problem] = field(default_factory=list[Problem])
    accepted: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])


class BatchReader:
    """Validates bodies. `exact` and `id_only` are as in `wire`; `max_item_bytes` bounds one operation."""

    def __init__(self, *, exact: bool, id_only: bool, max_item_bytes: int) -> None:
        self._decode = decoder(exact=exact)
        self._id_only = id_only
        self._max_item_bytes = max_item_bytes
        self._names: set[str] = set()

    def one(self, body: bytes) -> Operation:
        """A body that is one operation. Raises InvalidOperation or MalformedBatch."""
        operation = self._read(body)
        self._check(operation, len(body))
        return operation

    def read(self, body: bytes, *, keep: bool) -> Reading:
        """All operations of a batch; none that passes is kept unless `keep`. Raises MalformedBatch."""
        raws = _raws(body)
        reading = Reading(len(raws))
        operations, accepted = reading.operations, reading.accepted
        read, names = self._decode, self._names
        small, largest = limits.ATTRIBUTE_VALUE_BYTES, self._max_item_bytes
        plain = 0
        for index, raw in enumerate(raws):
            size = len(raw)
            try:
                operation = read(raw)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                reading.problems.append(Problem.of(index, self._fault(raw)))
                if keep:
                    operations.append(None)
                continue
            if keep:
                operations.append(operation)
            # Nearly all traffic: a person's identify by a short id, with attribute names that passed before
            # and either a whole text shorter than one value may be, or short values: nothing left to check.
            if size <= largest and operation.action == "identify" and operation.type == "person":
                identifiers, attributes = operation.identifiers, operation.attributes
                if (
                    identifiers
                    and len(identifiers) == 1
                    and type(person := identifiers.get("id")) is str
                    and 0 < len(person) <= _SHORT_ID
                    and attributes
                    and operation.cio_relationships is None
                    and names.issuperset(attributes)
                    and (size <= small or _all_short(attributes))
                ):
                    plain += 1
                    continue
            try:
                self._check(operation, size)
            except InvalidOperation as fault:
                reading.problems.append(Problem.of(index, fault))
            else:
                accepted[operation.type or "", operation.action or ""] += 1
        if plain:
            accepted["person", "identify"] += plain
        return reading

    def _read(self, body: bytes) -> Operation:
        try:
            return self._decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise self._fault(body) from None

    def _fault(self, raw: bytes) -> InvalidOperation:
        try:
            return type_fault(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise MalformedBatch("invalid", "", "the body is not valid JSON") from None

    def _check(self, operation: Operation, size: int) -> None:
        if size > self._max_item_bytes:
            raise InvalidOperation(
                "", "invalid", f"an item cannot be longer than {self._max_item_bytes} bytes"
            )
        check(operation, id_only=self._id_only)
        if operation.action == "identify" and operation.attributes and len(self._names) < _KNOWN_NAMES_KEPT:
            self._names.update(operation.attributes)


def _all_short(attributes: dict[str, Any]) -> bool:
    """Whether no value can be near its limit, and there are not too many of them."""
    for value in attributes.values():
        if isinstance(value, (dict, list)) or (isinstance(value, str) and len(value) > _SHORT_VALUE):
            return False
    return len(attributes) <= limits.ATTRIBUTES_PER_PERSON


def _raws(body: bytes) -> list[msgspec.Raw]:
    try:
        return _split(body).batch
    except RecursionError:
        raise MalformedBatch("invalid", "", "the body is nested too deeply") from None
    except msgspec.ValidationError as error:
        if "required field" in str(error):
            raise MalformedBatch("required", "batch", "batch is required") from None
        if "$.batch" in str(error):
            raise MalformedBatch("invalid", "batch", "batch must be an array") from None
        raise MalformedBatch("invalid", "", "the body must be an object with the array batch") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise MalformedBatch("invalid", "", "the body is not valid JSON") from None
