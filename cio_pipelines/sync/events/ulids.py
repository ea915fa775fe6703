"""An event's ULID in SQL: the same for an event whenever and wherever it is made.

48 bits are the milliseconds of its time, as ten digits of Crockford's base 32; the other sixteen digits are
the first hexadecimal ones of a hash, which are of that alphabet too and hold 64 of the 80 bits. So a repeated
event has the id of the first, by which Customer.io drops it.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from cio_pipelines.warehouse import functions as fn

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32."""
TIME_DIGITS, HASH_DIGITS = 10, 16
LATEST = 2**48 - 1
"""Most milliseconds that a ULID tells (in the year 10889)."""

Column = sa.ColumnElement[Any]


def ulid(milliseconds: Column, sync: str, event_id: Column) -> Column:
    """The ULID of an event.

    Args:
        milliseconds: since 1970, as an integer. Before 1970 and after the year 10889 the nearest is told.
        sync: name of the sync; two syncs with the same event ids have different ULIDs.
        event_id: text.
    """
    told = sa.case((milliseconds < 0, 0), (milliseconds > LATEST, LATEST), else_=milliseconds)
    digits = [_digit(told, place) for place in reversed(range(TIME_DIGITS))]
    time = digits[0]
    for digit in digits[1:]:
        time = time.concat(digit)
    named = sa.literal(f"{sync}/", sa.String).concat(event_id)
    return time.concat(sa.func.upper(sa.func.substr(fn.hash_text(named), 1, HASH_DIGITS)))


def _digit(number: Column, place: int) -> Column:
    # PostgreSQL shifts by an integer only
    value = number.bitwise_rshift(sa.literal(5 * place, sa.Integer)).bitwise_and(31)
    return sa.func.substr(sa.literal(ALPHABET, sa.String), sa.cast(value, sa.Integer) + 1, 1, type_=sa.String)
