"""Whether two canonical texts say the same, although two engines wrote them.

They differ in spelling: which characters are escaped, `2.0` or `2`, `1e300` or `1e+300`, spaces and the order
of members in nested values.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from decimal import Decimal
from typing import Any, cast


class _Unspoken:
    """NaN or an infinity, which JSON lacks: equal to nothing."""

    def __init__(self, _: str) -> None: ...


def says_the_same(one: str, other: str, decimals: Collection[str]) -> bool:
    """Whether two JSON objects have members of the same names and values.

    Numbers are the same when they are equal, digit by digit; those that are written with a fraction or an
    exponent also when they mean the same double, as members that are floats or nested do. Texts that cannot
    be read are the same only as texts.

    Args:
        one: a JSON object.
        other: the one to compare it with.
        decimals: names of members whose numbers are exact.
    """
    if one == other:
        return True
    try:
        ours, theirs = _read(one), _read(other)
        if not isinstance(ours, dict) or not isinstance(theirs, dict):
            return False
        members, others = cast("dict[str, Any]", ours), cast("dict[str, Any]", theirs)
        return members.keys() == others.keys() and all(
            _is_same(value, others[name], exact=name in decimals) for name, value in members.items()
        )
    except (ValueError, ArithmeticError, RecursionError):
        # too many digits, too large an exponent, nested too deep
        return False


def _read(text: str) -> object:
    return json.loads(text, parse_float=Decimal, parse_constant=_Unspoken)


def _is_same(one: Any, other: Any, *, exact: bool) -> bool:
    # true is no number, although Python has it equal to 1
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | Decimal) and isinstance(other, int | Decimal):
        return one == other or (not exact and _is_same_double(one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        members, others = cast("dict[str, Any]", one), cast("dict[str, Any]", other)
        return members.keys() == others.keys() and all(
            _is_same(value, others[name], exact=exact) for name, value in members.items()
        )
    if isinstance(one, list) and isinstance(other, list):
        items, rest = cast("list[Any]", one), cast("list[Any]", other)
        return len(items) == len(rest) and all(
            _is_same(item, also, exact=exact) for item, also in zip(items, rest, strict=True)
        )
    return bool(one == other)


def _is_same_double(one: int | Decimal, other: int | Decimal) -> bool:
    if isinstance(one, int) and isinstance(other, int):
        return False
    double = float(one)
    return double == float(other) and abs(double) < math.inf
