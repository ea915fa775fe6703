"""When a whole API fails, the messages are not at fault: stop taking them, and look now and then."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

_FAILURES: Final = 5
"""Requests in a row without an answer after which the API, and no message, is taken to be at fault."""
_FIRST_SECONDS = 1.0
_MOST_SECONDS = 60.0


@dataclass(slots=True)
class Breaker:
    """Shared by everything that talks to one API. Times are seconds of `clock`.

    While it is open one request at a time may probe, after a wait that doubles with each probe that fails, up
    to a minute. A 429 pauses everybody for as long as it asks and opens nothing.
    """

    clock: Callable[[], float] = time.monotonic
    uniform: Callable[[float, float], float] = random.uniform
    _failures: int = 0
    _wait: float = _FIRST_SECONDS
    _closed_until: float = field(default=float("-inf"))
    _is_probing: bool = False

    @property
    def is_open(self) -> bool:
        """Whether the API is taken to be down, so that an attempt does not count."""
        return self._failures >= _FAILURES

    def seconds_to_wait(self) -> float:
        """How long nothing may be sent; 0 when something may."""
        if self.is_open and self._is_probing:
            return 0.1
        return max(0.0, self._closed_until - self.clock())

    def begin(self) -> None:
        """A request is about to be sent."""
        self._is_probing = self.is_open

    def answered(self) -> None:
        """The API answered, whatever it said of the messages."""
        self._failures, self._wait, self._is_probing = 0, _FIRST_SECONDS, False

    def failed(self) -> None:
        """No answer, or a fault of the server."""
        self._failures += 1
        self._is_probing = False
        if self.is_open:
            self._closed_until = self.clock() + self.uniform(0.75, 1.25) * self._wait
            self._wait = min(_MOST_SECONDS, 2 * self._wait)

    def pause(self, seconds: float) -> None:
        """The API asked to wait."""
        self._is_probing = False
        self._closed_until = max(self._closed_until, self.clock() + seconds)
