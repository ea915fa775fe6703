"""Columns of a parquet file as those of our tables: Arrow in, Arrow out.

Files of different versions and loaders write one column in different types. What can be read without guessing
is read; what cannot makes the file broken, and is told by column and type, never by value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, cast

import orjson
import pyarrow as pa
import pyarrow.compute
import sqlalchemy as sa

from cio_pipelines.landing import ObjectBroken
from cio_pipelines.warehouse.functions import UtcTimestamp

Column: TypeAlias = "pa.ChunkedArray[Any]"

compute: Any = pyarrow.compute
"""Its stubs refuse numbers and texts beside columns."""

_MOMENT = pa.timestamp("us")
_INSTANT = pa.timestamp("us", tz="UTC")
_WITH_ZONE = r"(?:Z|[+-]\d\d(?::?\d\d)?)$"
_TRUE, _FALSE = ("true", "t", "1"), ("false", "f", "0")


def arrow_type(column: sa.Column[Any]) -> pa.DataType:
    """The Arrow type that values of a table's column are passed in."""
    return _KINDS[_kind(column)][0]


def converted(values: Column, column: sa.Column[Any], path: str) -> Column:
    """A file's column as a table's. Raises ObjectBroken when some value is none of that kind.

    Args:
        values: as they were read.
        column: of the table.
        path: of the file, for the message.
    """
    kind = _kind(column)
    target, convert, meaning = _KINDS[kind]
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_null(values.type):
        return nulls(len(values), target)
    try:
        return convert(values, bool(column.info.get("nested")))
    except (pa.ArrowException, ValueError, OverflowError):
        # Arrow's words quote the value
        raise ObjectBroken(
            f"Column {column.name} of {path} has the type {values.type}, and values in it that are not "
            f"{meaning}.",
            "See what Customer.io says about this version of the exports.",
        ) from None


def nulls(count: int, kind: pa.DataType) -> Column:
    """A column without values."""
    return pa.chunked_array([cast("Any", pa).nulls(count, kind)])


def repeated(value: str | int, count: int) -> Column:
    """A column of one value."""
    return pa.chunked_array([cast("Any", pa).repeat(value, count)])


class _Unreadable(ValueError):
    """Values are of a type that nothing is known to make ours of."""


def _kind(column: sa.Column[Any]) -> type[Any]:
    return next(kind for kind in _KINDS if isinstance(column.type, kind))


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _filled(values: Column) -> Column:
    """Texts without spaces around them; NULL for empty ones."""
    texts = compute.utf8_trim_whitespace(_texts(values, nested=False))
    return compute.if_else(compute.equal(texts, ""), pa.scalar(None, pa.string()), texts)


def _numbers(values: Column, nested: bool) -> Column:
    if _is_text(values.type):
        values = _filled(values)
    elif pa.types.is_boolean(values.type) or pa.types.is_temporal(values.type):
        raise _Unreadable
    return values.cast(pa.int64())


def _texts(values: Column, nested: bool) -> Column:
    kind = values.type
    if pa.types.is_nested(kind):
        if not nested:
            raise _Unreadable
        return pa.chunked_array([_json(values)], pa.string())
    if pa.types.is_floating(kind):
        # a whole number that passed through pandas beside empty ones
        values = values.cast(pa.int64())
    elif pa.types.is_temporal(kind):
        raise _Unreadable
    return values.cast(pa.string())


def _flags(values: Column, nested: bool) -> Column:
    if pa.types.is_boolean(values.type):
        return values
    texts = compute.utf8_lower(_filled(values))
    true = compute.is_in(texts, value_set=pa.array(_TRUE))
    known = compute.or_(true, compute.is_in(texts, value_set=pa.array(_FALSE)))
    if not compute.all(compute.or_(known, compute.is_null(texts)), min_count=0).as_py():
        raise _Unreadable
    return compute.if_else(known, true, pa.scalar(None, pa.bool_()))


def _moments(values: Column, nested: bool) -> Column:
    kind = values.type
    if _is_text(kind) or pa.types.is_binary(kind):
        moments = _moments_of_text(_filled(values))
    elif pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        # nanoseconds are cut off; from coarser units a moment that microseconds cannot tell is an error
        safe = not (pa.types.is_timestamp(kind) and kind.unit == "ns")
        moments = values.cast(_MOMENT if pa.types.is_date(kind) else _INSTANT, safe=safe).cast(_MOMENT)
    else:
        raise _Unreadable
    compute.min_max(moments).as_py()  # raises for years beyond 9999, which Python and BigQuery lack
    return compute.if_else(compute.equal(moments.cast(pa.int64()), 0), pa.scalar(None, _MOMENT), moments)


def _moments_of_text(texts: Column) -> Column:
    """ISO 8601 with `T` or a space, with or without a zone or the letters UTC; without one it is UTC."""
    texts = compute.replace_substring_regex(texts, r"\s*UTC$", "Z")
    texts = compute.replace_substring_regex(texts, r"\s+([+-]\d\d)", r"\1")
    texts = compute.replace_substring_regex(texts, r"(\.\d{6})\d+", r"\1")
    zoned = compute.match_substring_regex(texts, _WITH_ZONE)
    # the day of a date without time ends like a zone
    zoned = compute.and_(zoned, compute.greater(compute.utf8_length(texts), len("yyyy-MM-dd")))
    nothing = pa.scalar(None, pa.string())
    instants = compute.if_else(zoned, texts, nothing).cast(_INSTANT).cast(_MOMENT)
    plain = compute.if_else(zoned, nothing, texts).cast(_MOMENT)
    return compute.coalesce(instants, plain)


_KINDS: dict[type[Any], tuple[pa.DataType, Callable[[Column, bool], Column], str]] = {
    sa.BigInteger: (pa.int64(), _numbers, "whole numbers"),
    sa.String: (pa.string(), _texts, "text"),
    sa.Boolean: (pa.bool_(), _flags, "true or false"),
    UtcTimestamp: (_MOMENT, _moments, "moments"),
}


def json_of_rows(rows: pa.Table) -> list[str | None]:
    """Each row as a JSON object with sorted members, without those that are NULL; None for none at all.

    Raises ValueError, TypeError or OverflowError for what JSON, or Python, has no form of.
    """
    return [
        _text({name: value for name, value in row.items() if value is not None}) for row in rows.to_pylist()
    ]


def _json(values: Column) -> list[str | None]:
    return [None if value is None else _dumped(value) for value in values.to_pylist()]


def _text(row: dict[str, Any]) -> str | None:
    return _dumped(row) if row else None


def _dumped(value: Any) -> str:
    return orjson.dumps(
        value, default=_as_text, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z
    ).decode()


def _as_text(value: Any) -> str:
    """What JSON lacks: bytes in hexadecimal, decimals and intervals in their own words."""
    return value.hex() if isinstance(value, bytes) else str(value)
