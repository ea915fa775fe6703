"""What becomes of a taken message when Customer.io answered, or did not."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from cio_pipelines.customerio import CustomerIOError, Rejection
from cio_pipelines.messaging.queue.protocol import (
    QUEUES,
    Buried,
    Failure,
    QueueName,
    Retried,
    Settlement,
    Taken,
)

OUTCOME_UNKNOWN = "outcome_unknown"
"""Reason of a dead letter that Customer.io may have taken: whoever replays it may send it twice."""
LEASE_EXPIRED = "lease_expired"
"""Reason that a queue gives to an attempt whose worker never came back."""

_CONCURRENCY: dict[QueueName, int] = {"identify": 10, "track": 10, "transactional": 5, "broadcast": 1}


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How a worker works; times are seconds.

    `concurrency` is the number of requests of a queue at once; a queue that it lacks is not served. A message
    is tried `max_attempts` times, the second time after about `base_delay`, doubling. `linger` is how
    long a body that is not full waits for more. `drain` bounds the end. With `resend_unknown` a
    transactional message or broadcast that Customer.io may have taken is sent again all the same.
    """

    concurrency: Mapping[QueueName, int] = field(default_factory=lambda: dict(_CONCURRENCY))
    max_attempts: int = 3
    base_delay: float = 2.0
    max_delay: float = 300.0
    linger: float = 0.05
    body_messages: int = 2_000
    lease: float = 60.0
    drain: float = 25.0
    resend_unknown: bool = False

    @property
    def queues(self) -> tuple[QueueName, ...]:
        """Those that are served."""
        return tuple(name for name in QUEUES if self.concurrency.get(name))


def rejected(taken: Taken, rejection: Rejection) -> Buried:
    """Customer.io refused the message: it would do so again."""
    return Buried(
        taken, Failure(time.time(), rejection.reason, rejection.field, rejection.message, rejection.status)
    )


def failed(
    taken: Taken, error: CustomerIOError, settings: WorkerSettings, *, counts: bool = True
) -> Settlement:
    """No answer: again later, or a dead letter when this was the last attempt and it `counts`."""
    failure = failure_of(error)
    if counts and taken.attempt >= settings.max_attempts:
        return Buried(taken, failure)
    delay = min(settings.max_delay, settings.base_delay * 2.0 ** (taken.attempt - 1))
    # so that those who failed together do not come back together
    delay *= random.uniform(0.75, 1.25)  # noqa: S311  # no secret
    return Retried(taken, time.time() + delay, failure, counts)


def given_back(taken: Taken, seconds: float = 0.0) -> Retried:
    """Not the message's fault, or not tried: nothing counts."""
    return Retried(taken, time.time() + seconds, None, counts=False)


def failure_of(error: CustomerIOError, reason: str | None = None) -> Failure:
    """An error of the client as an entry of a message's history; it quotes nothing of the message."""
    return Failure(
        time.time(), reason or type(error).__name__, error.field or "", error.message, error.status
    )
