"""Whether the landing zone can be written to now, asked at most once a second however many want to know."""

from __future__ import annotations

import asyncio

from cio_pipelines.landing import LandingError, LandingZone
from cio_pipelines.webhooks.workers import Workers

_FRESH_SECONDS = 1.0
_PATIENCE_SECONDS = 2.0


class Readiness:
    """Asks the landing zone, in a thread."""

    def __init__(self, zone: LandingZone, workers: Workers) -> None:
        self._zone = zone
        self._workers = workers
        self._asked: asyncio.Future[str | None] | None = None
        self._fresh_until = 0.0

    async def fault(self) -> str | None:
        """Why events could not be stored; None when they can."""
        now = asyncio.get_running_loop().time()
        if self._asked is None or (self._asked.done() and now > self._fresh_until):
            self._asked = self._workers.submit(self._look)
            self._fresh_until = now + _FRESH_SECONDS
        try:
            return await asyncio.wait_for(asyncio.shield(self._asked), _PATIENCE_SECONDS)
        except TimeoutError:
            return f"The landing zone {self._zone.url} did not answer within {_PATIENCE_SECONDS:g} s."

    def _look(self) -> str | None:
        try:
            self._zone.check_writable()
        except LandingError as error:
            return str(error)
        return None
