"""Rate limits of the App API: a bucket for sends, one for broadcasts, one for everything else."""

from __future__ import annotations

import math
import time

from cio_pipelines.sandbox.http import Answer, Request, errors_app
from cio_pipelines.sandbox.options import SandboxOptions


class Throttle:
    """A bucket for the whole workspace: so many requests in so many seconds; without a number all pass."""

    def __init__(self, number: float | None, seconds: float = 1.0) -> None:
        self._number = number
        self._seconds = seconds
        self._left = max(number or 0.0, 1.0)
        self._last = time.monotonic()

    def refuse(self) -> Answer | None:
        """A 429 when the bucket is empty, with the whole seconds until it is not."""
        if self._number is None:
            return None
        now = time.monotonic()
        rate = self._number / self._seconds
        self._left = min(max(self._number, 1.0), self._left + (now - self._last) * rate)
        self._last = now
        if self._left >= 1:
            self._left -= 1
            return None
        wait = max(1, math.ceil((1 - self._left) / rate))
        detail = f"rate limited to {self._number:g} requests per {self._seconds:g}s (reference sandbox)"
        return errors_app(detail, 429, (("retry-after", str(wait)),))


class Throttles:
    """The three buckets."""

    def __init__(self, options: SandboxOptions) -> None:
        seconds = options.broadcast_seconds
        self._general = Throttle(options.app_requests_per_second)
        self._sends = Throttle(options.transactional_per_second)
        self._broadcasts = Throttle(None if seconds is None else 1.0, seconds or 1.0)

    def refuse(self, request: Request) -> Answer | None:
        """A 429 when the bucket that a request takes from is empty."""
        if request.path.startswith("/v1/send/"):
            return self._sends.refuse()
        if request.method == "POST" and request.path.endswith("/triggers"):
            return self._broadcasts.refuse()
        return self._general.refuse()
