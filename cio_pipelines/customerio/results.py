"""What became of operations that were sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cio_pipelines.customerio.errors import CustomerIOError
from cio_pipelines.customerio.replies import Rejection

Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class SendResult:
    """The fate of operations [start, stop): each is rejected, unanswered, or else accepted.

    `rejections` are in order, at most one per operation. `unanswered` are half-open ranges with no final
    answer: never sent, or fate unknown; `error` says why. `requests` counts distinct requests (a body that
    was split counts several), `attempts` all tries of them, `bytes_sent` their bodies' bytes. `status` is the
    last HTTP status seen; `seconds` is wall time with all waits.
    """

    start: int
    stop: int
    rejections: tuple[Rejection, ...]
    unanswered: Ranges
    error: CustomerIOError | None
    requests: int
    attempts: int
    bytes_sent: int
    status: int | None
    seconds: float

    @property
    def unanswered_count(self) -> int:
        """How many operations got no final answer."""
        return sum(stop - start for start, stop in self.unanswered)

    @property
    def accepted(self) -> int:
        """How many operations Customer.io took."""
        return self.stop - self.start - len(self.rejections) - self.unanswered_count

    def accepted_mask(self) -> npt.NDArray[np.bool_]:
        """Shape (stop - start,): True where the operation `start + i` was accepted."""
        mask = np.ones(self.stop - self.start, dtype=np.bool_)
        mask[[rejection.index - self.start for rejection in self.rejections]] = False
        for start, stop in self.unanswered:
            mask[start - self.start : stop - self.start] = False
        return mask


def joined(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Half-open ranges in order, with those that touch made one; empty ones vanish."""
    result: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if start >= stop:
            continue
        if result and result[-1][1] >= start:
            result[-1] = (result[-1][0], max(result[-1][1], stop))
        else:
            result.append((start, stop))
    return tuple(result)


def merged(
    results: Sequence[SendResult],
    positions: npt.NDArray[np.int64],
    invalid: Sequence[Rejection],
    total: int,
    seconds: float,
) -> SendResult:
    """One result for `total` operations out of those for their bodies.

    `positions[i]` is the place of encoded operation i among all; the others are `invalid`. The first error is
    kept, and its status; without one, the highest status of all (207 before 200).
    """
    rejections = list(invalid)
    unanswered: list[tuple[int, int]] = []
    for result in results:
        rejections.extend(
            Rejection(int(positions[r.index]), r.reason, r.field, r.message, r.status)
            for r in result.rejections
        )
        for start, stop in result.unanswered:
            places = positions[start:stop]
            breaks = np.flatnonzero(np.diff(places) != 1) + 1
            unanswered.extend((int(run[0]), int(run[-1]) + 1) for run in np.split(places, breaks))
    failed = next((result for result in results if result.error is not None), None)
    statuses = [result.status for result in results if result.status is not None]
    status = failed.status if failed is not None else max(statuses, default=None)
    return SendResult(
        start=0,
        stop=total,
        rejections=tuple(sorted(rejections, key=lambda rejection: rejection.index)),
        unanswered=joined(unanswered),
        error=failed.error if failed is not None else None,
        requests=sum(result.requests for result in results),
        attempts=sum(result.attempts for result in results),
        bytes_sent=sum(result.bytes_sent for result in results),
        status=status,
        seconds=seconds,
    )
