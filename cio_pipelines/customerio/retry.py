"""When to try again, how long to wait, and when to stop: policy, budget, `Retry-After`."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from cio_pipelines.customerio.errors import ConfigurationError

RETRIED_STATUSES = frozenset({408, 429})
"""Besides 5xx. Any other answer would be the same the next time."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds that each phase of one HTTP attempt may take."""

    connect: float = 5.0
    read: float = 30.0
    write: float = 30.0
    pool: float = 30.0

    def __post_init__(self) -> None:
        if min(self.connect, self.read, self.write, self.pool) <= 0:
            raise ConfigurationError("timeouts must be above zero")


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How a client persists. Times are seconds.

    A retry waits a random time between 0 and min(max_delay, base_delay * 2**n) (full jitter), or what
    `Retry-After` says. `deadline` bounds one call (`batch`, `send`, `entity`) with all its waits and retries.
    The budget allows `budget_ratio` retries for every request, and `budget_reserve` besides, over the
    client's life. `max_consecutive_refusals` ends the search for guilty operations when whole requests are
    refused so many times in a row. `clock` (monotonic), `now`, `sleep` and `uniform` can be replaced.
    """

    max_attempts: int = 6
    base_delay: float = 0.5
    max_delay: float = 20.0
    deadline: float = 180.0
    max_pause: float = 3600.0
    budget_ratio: float = 0.1
    budget_reserve: float = 50.0
    max_consecutive_refusals: int = 64
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = _utc_now
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    uniform: Callable[[float, float], float] = random.uniform

    def __post_init__(self) -> None:
        if self.max_attempts < 1 or self.max_consecutive_refusals < 1:
            raise ConfigurationError("max_attempts and max_consecutive_refusals must be at least 1")
        if self.deadline <= 0 or self.max_pause <= 0:
            raise ConfigurationError("deadline and max_pause must be above zero")
        if min(self.base_delay, self.max_delay, self.budget_ratio, self.budget_reserve) < 0:
            raise ConfigurationError("delays and the retry budget must not be negative")

    def backoff(self, attempt: int) -> float:
        """Seconds to wait after failed attempt number `attempt` (from 1)."""
        ceiling = min(self.max_delay, self.base_delay * 2.0 ** min(attempt - 1, 60))
        return self.uniform(0.0, ceiling)


class RetryBudget:
    """Token bucket shared by all requests of a client: a request earns `ratio`, a retry costs one.

    It starts with `reserve` and never holds more than that (or one token, if that is more), so that a long
    healthy run cannot save up for a stampede.
    """

    def __init__(self, policy: RetryPolicy) -> None:
        self._ratio = policy.budget_ratio
        self._capacity = max(policy.budget_reserve, 1.0 if policy.budget_ratio else 0.0)
        self._tokens = policy.budget_reserve

    def earn(self) -> None:
        """Count one request."""
        self._tokens = min(self._capacity, self._tokens + self._ratio)

    def spend(self) -> bool:
        """Take one retry; False when none is left."""
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


def retry_after_seconds(header: str | None, now: datetime) -> float | None:
    """Seconds that a `Retry-After` header asks to wait, from either of its forms; None when it says nothing.

    RFC 9110, 10.2.3: a non-negative number of whole seconds, or an HTTP-date. Fractions are understood too.
    A date in the past is no wait.
    """
    if header is None:
        return None
    text = header.strip()
    if text.replace(".", "", 1).isdecimal() and text.isascii():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
