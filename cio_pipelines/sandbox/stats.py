"""What the sandbox has counted since it started or was reset, and how long others took to answer it."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from typing import Any

_WINDOW_SECONDS = 10
_HISTORY_SECONDS = 120
_SHORTEST = 1e-5
_PRECISION = math.log(1.01)


class Stats:
    """Counters. Rates are over the last ten whole seconds, or less when it has not run that long."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin again at zero."""
        self.started = time.monotonic()
        self.requests = 0
        self.body_bytes = 0
        self.by_path: Counter[str] = Counter()
        self.by_status: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.by_action: dict[str, Counter[str]] = {}
        self._seconds: deque[list[int]] = deque(maxlen=_HISTORY_SECONDS)

    def request(self, path: str, size: int) -> None:
        """Count a request to the API and the bytes of its body."""
        self.requests += 1
        self.body_bytes += size
        self.by_path[path] += 1
        self._now()[1] += 1

    def answered(self, status: int | str) -> None:
        """Count an answer; `status` is a word when there was none."""
        self.by_status[str(status)] += 1

    def operations(self, kind: str, action: str, outcome: str, count: int = 1) -> None:
        """Count operations by "<type>.<action>" and outcome."""
        self.outcomes[outcome] += count
        self.by_action.setdefault(f"{kind}.{action}", Counter())[outcome] += count
        self._now()[2] += count

    def _now(self) -> list[int]:
        second = int(time.monotonic())
        if not self._seconds or self._seconds[-1][0] != second:
            self._seconds.append([second, 0, 0])
        return self._seconds[-1]

    def _rate(self, column: int) -> float:
        now = time.monotonic()
        first = int(now) - _WINDOW_SECONDS
        span = min(_WINDOW_SECONDS, max(now - self.started, 1.0))
        return round(sum(s[column] for s in self._seconds if first <= s[0] < int(now) + 1) / span, 1)

    def _history(self) -> list[int]:
        """Requests of each of the last 120 seconds, the present one last."""
        now = int(time.monotonic())
        history = [0] * _HISTORY_SECONDS
        for second, requests, _ in self._seconds:
            if now - second < _HISTORY_SECONDS:
                history[second - now - 1] = requests
        return history

    def report(self) -> dict[str, Any]:
        """Everything as one JSON object; see `Sandbox.report` for what is added."""
        return {
            "uptime_seconds": round(time.monotonic() - self.started, 3),
            "requests": self.requests,
            "body_bytes": self.body_bytes,
            "requests_per_second": self._rate(1),
            "operations_per_second": self._rate(2),
            "requests_by_second": self._history(),
            "requests_by_path": dict(self.by_path),
            "answers_by_status": dict(self.by_status),
            "operations": {o: self.outcomes[o] for o in ("accepted", "rejected", "ignored")},
            "operations_by_action": {name: dict(counts) for name, counts in self.by_action.items()},
        }


class AnswerTimes:
    """Durations counted in steps of one per cent, so that any number of them takes no room."""

    def __init__(self) -> None:
        self._steps: Counter[int] = Counter()
        self._longest = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self._steps[int(math.log(max(seconds, _SHORTEST) / _SHORTEST) / _PRECISION)] += 1
        self._longest = max(self._longest, seconds)

    def summary(self) -> dict[str, float]:
        """count, and p50, p95, p99 and max in milliseconds."""
        count = self._steps.total()
        steps = sorted(self._steps.items())
        shown: dict[str, float] = {"count": count}
        for per_cent in (50, 95, 99):
            shown[f"p{per_cent}"] = 0.0
            left = math.ceil(count * per_cent / 100)
            for step, times in steps:
                left -= times
                if left <= 0:
                    upper = _SHORTEST * math.exp((step + 1) * _PRECISION)
                    shown[f"p{per_cent}"] = round(min(upper, self._longest) * 1000, 3)
                    break
        return shown | {"max": round(self._longest * 1000, 3)}
