"""Python values to the JSON that Customer.io reads: compact UTF-8, dates as unix seconds, exact decimals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import cast

import orjson

from cio_pipelines.customerio.errors import InvalidOperation

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_SAFE_INTEGER = 2**63
_MAX_DEPTH = 32  # no attribute under 1,000 bytes needs more, and a cycle ends here
_MAX_PLAIN_EXPONENT = 30
_NAME_SHOWN = 60
_LATEST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z; a present time in milliseconds is beyond it


def unix_seconds(moment: datetime | date) -> int:
    """Whole seconds since 1970, rounded down. Naive datetimes are UTC; dates are midnight UTC."""
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time(), tzinfo=UTC)
    elif moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _SECOND


def timestamp_seconds(field: str, value: datetime | int) -> int:
    """A `timestamp` member in unix seconds. Raises InvalidOperation for other types and for milliseconds."""
    if isinstance(value, datetime):
        return unix_seconds(value)
    if type(value) is not int:
        raise InvalidOperation(field, "invalid", "a timestamp is a datetime or whole unix seconds")
    if abs(value) > _LATEST_SECOND:
        raise InvalidOperation(field, "invalid", "a timestamp is in seconds, not milliseconds")
    return value


def json_ready(value: object, field: str, depth: int = 0) -> object:
    """`value` with every datetime, Decimal and large integer made JSON, recursively; a fresh copy.

    Raises InvalidOperation, naming `field`, for NaN, infinities, invalid Unicode, keys that are no strings,
    nesting beyond 32 levels, and types that JSON does not have.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value, field)
    if isinstance(value, int):
        number = int(value)
        return number if -_SAFE_INTEGER <= number < _SAFE_INTEGER else orjson.Fragment(str(number))
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidOperation(field, "invalid", "NaN and infinities have no place in JSON")
        return float(value)
    if isinstance(value, Decimal):
        return _decimal(value, field)
    if isinstance(value, date):
        return unix_seconds(value)
    if depth >= _MAX_DEPTH:
        raise InvalidOperation(field, "invalid", f"value is nested more than {_MAX_DEPTH} levels deep")
    if isinstance(value, Mapping):
        return json_object(cast("Mapping[object, object]", value), field, depth)
    if isinstance(value, (list, tuple)):
        items = cast("list[object] | tuple[object, ...]", value)
        return [json_ready(item, field, depth + 1) for item in items]
    raise InvalidOperation(field, "invalid", f"a value of type {type(value).__name__} cannot be sent as JSON")


def json_object(value: Mapping[object, object], field: str, depth: int = 0) -> dict[str, object]:
    """A mapping as a JSON object; at the top level each member is named as `field.key` in errors."""
    ready: dict[str, object] = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise InvalidOperation(field, "invalid", "names must be strings")
        name = _text(key, field)
        # A member's name is told only down to the attribute: deeper keys may be data.
        ready[name] = json_ready(item, f"{field}.{name[:_NAME_SHOWN]}" if depth == 0 else field, depth + 1)
    return ready


def dumps(value: object) -> bytes:
    """Compact UTF-8 JSON of a JSON-ready value."""
    return orjson.dumps(value)


def _text(value: str, field: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidOperation(field, "invalid", "text is not valid Unicode") from None
    return str.__str__(value)  # a plain str, whatever an Enum's own __str__ says


def _decimal(value: Decimal, field: str) -> orjson.Fragment:
    if not value.is_finite():
        raise InvalidOperation(field, "invalid", "NaN and infinities have no place in JSON")
    # Far exponents stay in scientific form, or 1E+999999 would become a megabyte of zeros.
    plain = abs(value.adjusted()) <= _MAX_PLAIN_EXPONENT
    return orjson.Fragment(format(value, "f") if plain else str(value))
