"""The one gate of a workspace: how many requests at once, how many per second, and when none at all."""

from __future__ import annotations

import asyncio

from aiolimiter import AsyncLimiter

from cio_pipelines.customerio.errors import ConfigurationError, DeadlineExceeded
from cio_pipelines.customerio.retry import RetryPolicy

_BURST_SECONDS = 0.02  # the bucket holds this much of a second, so no second sees over 2% more than the rate


class Throttle:
    """Every attempt passes here, retries and redirects too. Shared by all calls of one client."""

    def __init__(self, requests_per_second: float, max_in_flight: int, policy: RetryPolicy) -> None:
        if not 0 < requests_per_second < float("inf"):
            raise ConfigurationError("requests_per_second must be above zero")
        if max_in_flight < 1:
            raise ConfigurationError("max_in_flight must be at least 1")
        burst = max(1.0, requests_per_second * _BURST_SECONDS)
        self._limiter = AsyncLimiter(burst, burst / requests_per_second)
        self._slots = asyncio.Semaphore(max_in_flight)
        self._policy = policy
        self._paused_until = float("-inf")

    def pause(self, seconds: float) -> None:
        """Let nobody through for `seconds`; a longer pause already running stays."""
        until = self._policy.clock() + min(seconds, self._policy.max_pause)
        self._paused_until = max(self._paused_until, until)

    async def acquire(self, deadline: float) -> None:
        """Wait for a free slot, the end of any pause and the rate. The slot is held until `release`.

        Raises DeadlineExceeded, holding nothing, when a pause outlasts `deadline` (on the policy's clock).
        """
        await self._slots.acquire()
        try:
            await self._wait_out_pause(deadline)
            await self._limiter.acquire()
            # A 429 may have come in while this attempt queued for the rate.
            await self._wait_out_pause(deadline)
        except BaseException:
            self._slots.release()
            raise

    def release(self) -> None:
        """Give the slot back."""
        self._slots.release()

    async def _wait_out_pause(self, deadline: float) -> None:
        while (wait := self._paused_until - self._policy.clock()) > 0:
            if self._paused_until > deadline:
                raise DeadlineExceeded(
                    f"Customer.io asked for a pause of {wait:.1f} s more, which outlasts the call's deadline",
                    code="paused",
                )
            await self._policy.sleep(wait)
