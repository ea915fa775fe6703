"""When a failure that goes on is told again: the first time, and then once in a while."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile


@dataclass(frozen=True, slots=True)
class Outcome:
    """How something ended, and when (unix seconds)."""

    at: float
    failed: bool


def is_due(now: float, earlier: Iterable[Outcome], remind_seconds: float) -> bool:
    """Whether a failure at `now` is to be told.

    Args:
        now: when it failed, in unix seconds.
        earlier: how the same thing ended before, the newest first.
        remind_seconds: how often a failure that goes on is told again; it counts from its first time.
    """
    streak = list(takewhile(lambda outcome: outcome.failed, earlier))
    if not streak:
        return True
    first, last = streak[-1].at, streak[0].at
    return (now - first) // remind_seconds > (last - first) // remind_seconds
