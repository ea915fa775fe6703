"""How messages of a queue reach Customer.io: operations in batches, requests of the App API one by one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

from cio_pipelines.customerio import (
    AppClient,
    CustomerIOError,
    DeadlineExceeded,
    EncodedOperations,
    RateLimited,
    RetryBudgetExhausted,
    SendResult,
    ServerError,
    TrackClient,
    TransportError,
    Unauthorized,
    UnexpectedResponse,
)
from cio_pipelines.customerio.limits import BATCH_BODY_BYTES, OPERATION_BYTES
from cio_pipelines.messaging import entries
from cio_pipelines.messaging.breaker import Breaker
from cio_pipelines.messaging.fates import (
    LEASE_EXPIRED,
    OUTCOME_UNKNOWN,
    WorkerSettings,
    failed,
    failure_of,
    given_back,
    rejected,
)
from cio_pipelines.messaging.queue.protocol import (
    Buried,
    Delivered,
    Failure,
    Queue,
    Retried,
    Settlement,
    Taken,
)

_PAUSE_SECONDS = 1.0
"""After a 429 that says no time."""
_FAULTS_OF_THE_API = (ServerError, TransportError, UnexpectedResponse)
_WAITS_OF_OURS = (DeadlineExceeded, RetryBudgetExhausted)
_FEW, _MANY = 16, 2_000


class CredentialsRefused(Exception):
    """Customer.io refuses our credentials: no message can go, and none is at fault."""

    def __init__(self, cause: Unauthorized, settlements: Sequence[Settlement]) -> None:
        super().__init__(str(cause))
        self.settlements = settlements


class Handler(Protocol):
    """Delivers messages of one queue."""

    breaker: Breaker

    @property
    def limit(self) -> int:
        """How many messages to take at once."""
        ...

    def cut(self, taken: Sequence[Taken]) -> list[Sequence[Taken]]:
        """What was taken in parts of one request each."""
        ...

    async def deliver(self, part: Sequence[Taken]) -> Sequence[Settlement]:
        """Send a part; a settlement for each message. Raises CredentialsRefused."""
        ...

    def interrupted(self, part: Sequence[Taken]) -> Sequence[Settlement]:
        """What becomes of a part whose delivery was broken off."""
        ...


class OperationsHandler:
    """Operations of the Track API, as they were encoded when they were put, in batches.

    A first attempt fills the body. Of a body that failed the second attempt is in small ones and the last by
    itself, so that one message at which the API fails does not take its neighbours along.
    """

    def __init__(self, client: TrackClient, breaker: Breaker, settings: WorkerSettings) -> None:
        self.breaker = breaker
        self._client = client
        self._settings = settings
        self._mean_bytes = 500.0

    @property
    def limit(self) -> int:
        most = min(_MANY, self._settings.body_messages)
        return max(min(_FEW, most), min(most, int(BATCH_BODY_BYTES / self._mean_bytes)))

    def cut(self, taken: Sequence[Taken]) -> list[Sequence[Taken]]:
        parts: list[Sequence[Taken]] = [[message] for message in taken if _is_unsendable(message)]
        taken = [message for message in taken if not _is_unsendable(message)]
        if not taken:
            return parts
        sizes = {1: self._settings.body_messages, 2: 30}
        for attempt in sorted({min(message.attempt, 3) for message in taken}):
            group = [message for message in taken if min(message.attempt, 3) == attempt]
            encoded = EncodedOperations.from_bytes(message.body for message in group)
            most = min(sizes.get(attempt, 1), self._settings.body_messages)
            parts += [group[start:stop] for start, stop in encoded.pack(max_operations=most)]
        mean = sum(len(message.body) for message in taken) / len(taken)
        self._mean_bytes += 0.2 * (mean + 1 - self._mean_bytes)
        return parts

    async def deliver(self, part: Sequence[Taken]) -> Sequence[Settlement]:
        if _is_unsendable(part[0]):
            told = f"an operation has some text, and less than {OPERATION_BYTES} bytes"
            return [Buried(part[0], Failure(time.time(), "invalid", "operation", told))]
        counts = not self.breaker.is_open
        encoded = EncodedOperations.from_bytes(message.body for message in part)
        self.breaker.begin()
        result = await self._client.send(encoded, 0, len(part))
        return self._settled(part, result, counts=counts)

    def interrupted(self, part: Sequence[Taken]) -> Sequence[Settlement]:
        # sent twice they do no harm: an event has its id, an identify its time
        return [given_back(message) for message in part]

    def _settled(self, part: Sequence[Taken], result: SendResult, *, counts: bool) -> Sequence[Settlement]:
        settled: list[Settlement] = [Delivered(message) for message in part]
        for rejection in result.rejections:
            settled[rejection.index] = rejected(part[rejection.index], rejection)
        if result.error is None:
            self.breaker.answered()
            return settled
        places = [place for start, stop in result.unanswered for place in range(start, stop)]
        wait = _note(self.breaker, result.error)
        for place in places:
            message = part[place]
            settled[place] = (
                given_back(message, wait)
                if wait is not None
                else failed(message, result.error, self._settings, counts=counts)
            )
        if isinstance(result.error, Unauthorized):
            raise CredentialsRefused(result.error, settled)
        return settled


class RequestsHandler:
    """Requests of the App API, which do not bear repetition: sent again only when surely not taken.

    Everything else that fails is a dead letter at once, with the reason `outcome_unknown` when Customer.io
    may have taken it.
    """

    def __init__(self, client: AppClient, queue: Queue, breaker: Breaker, settings: WorkerSettings) -> None:
        self.breaker = breaker
        self._client = client
        self._queue = queue
        self._settings = settings

    @property
    def limit(self) -> int:
        # taken only when it can be sent at once: what is taken and never sent would count as unknown
        return 1

    def cut(self, taken: Sequence[Taken]) -> list[Sequence[Taken]]:
        return [[message] for message in taken]

    async def deliver(self, part: Sequence[Taken]) -> Sequence[Settlement]:
        return [await self._deliver(message) for message in part]

    def interrupted(self, part: Sequence[Taken]) -> Sequence[Settlement]:
        reason = "the worker was stopped while Customer.io had not answered"
        return [self._unknown(message, Failure(time.time(), OUTCOME_UNKNOWN, "", reason)) for message in part]

    async def _deliver(self, message: Taken) -> Settlement:
        if message.attempt > 1 and await self._may_be_sent(message):
            told = "a worker took it and never came back"
            return self._unknown(message, Failure(time.time(), OUTCOME_UNKNOWN, "", told))
        counts = not self.breaker.is_open
        self.breaker.begin()
        try:
            result = await entries.send(self._client, message)
        except CustomerIOError as error:
            return self._settled(message, error, counts=counts)
        self.breaker.answered()
        return Delivered(message, result)

    def _settled(self, message: Taken, error: CustomerIOError, *, counts: bool) -> Settlement:
        wait = _note(self.breaker, error)
        if isinstance(error, Unauthorized):
            raise CredentialsRefused(error, [given_back(message)])
        if error.was_accepted == "unknown":
            return self._unknown(message, failure_of(error, OUTCOME_UNKNOWN))
        if wait is not None:
            return given_back(message, wait)
        if isinstance(error, TransportError):
            return failed(message, error, self._settings, counts=counts)
        return Buried(message, failure_of(error, error.code or type(error).__name__))

    def _unknown(self, message: Taken, failure: Failure) -> Settlement:
        if not self._settings.resend_unknown:
            return Buried(message, failure)
        if message.attempt >= self._settings.max_attempts:
            return Buried(message, failure)
        return Retried(message, time.time() + self._settings.base_delay, failure)

    async def _may_be_sent(self, message: Taken) -> bool:
        if self._settings.resend_unknown:
            return False
        status = await self._queue.status(message.message_id)
        return status is not None and bool(status.failures) and status.failures[-1].reason == LEASE_EXPIRED


def _is_unsendable(message: Taken) -> bool:
    """Whether no body may hold it; whoever puts by `QueuedMessagingService` is told so there."""
    return not 2 <= len(message.body) < OPERATION_BYTES


def _note(breaker: Breaker, error: CustomerIOError) -> float | None:
    """Tell the breaker; returns seconds after which the messages may go that are not at fault, else None."""
    if isinstance(error, RateLimited):
        wait = error.retry_after or _PAUSE_SECONDS
        breaker.pause(wait)
        return wait
    if isinstance(error, _WAITS_OF_OURS):
        breaker.pause(_PAUSE_SECONDS)
        return _PAUSE_SECONDS
    if isinstance(error, Unauthorized):
        return 0.0
    if isinstance(error, _FAULTS_OF_THE_API):
        breaker.failed()
    else:
        breaker.answered()
    return None
