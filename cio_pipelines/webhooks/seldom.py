"""Trouble that repeats is logged when it begins and then now and then, with how often it happened."""

from __future__ import annotations

import time

_SECONDS = 10.0


class Seldom:
    """Counts occurrences, and says when it is time to tell of them."""

    def __init__(self) -> None:
        self._untold = 0
        self._told_at = -_SECONDS

    def happened(self) -> int:
        """Count one; returns how many are to be told of now, 0 for none yet."""
        self._untold += 1
        now = time.monotonic()
        if now - self._told_at < _SECONDS:
            return 0
        self._told_at = now
        count, self._untold = self._untold, 0
        return count
