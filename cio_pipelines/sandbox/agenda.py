"""What is to happen later: a message at its hour, the steps of a delivery, a broadcast that was triggered."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import count


class Agenda:
    """Duties by their moment (unix seconds): a kind, and the key of what it is about."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, str, str]] = []
        self._numbers = count()

    def add(self, at: float, kind: str, key: str) -> None:
        """Plan a duty; of one moment, those planned first come first."""
        heapq.heappush(self._heap, (at, next(self._numbers), kind, key))

    @property
    def next_at(self) -> float | None:
        """The moment of the next duty; None when there is none."""
        return self._heap[0][0] if self._heap else None

    def due(self, until: float) -> Iterator[tuple[str, str]]:
        """Take out what is due, one after the other; what is planned meanwhile and is due comes too."""
        while self._heap and self._heap[0][0] <= until:
            _, _, kind, key = heapq.heappop(self._heap)
            yield kind, key
