"""What the clients of all APIs have in common: lifetime, one event for each call, and reading answers."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from cio_pipelines.customerio.errors import ConfigurationError, CustomerIOError, ResponseError
from cio_pipelines.customerio.faults import unexpected
from cio_pipelines.customerio.replies import MalformedReply, json_body
from cio_pipelines.customerio.results import SendResult
from cio_pipelines.customerio.retry import RetryPolicy
from cio_pipelines.customerio.telemetry import CallEvent, Outcome, Telemetry
from cio_pipelines.customerio.transport import Account, ApiTransport, Reply


class ApiClient:
    """An async context manager around the transport to one API; the base of its client."""

    def __init__(self, transport: ApiTransport, policy: RetryPolicy, telemetry: Telemetry) -> None:
        self._transport = transport
        self._policy = policy
        self._telemetry = telemetry

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._transport.base_url})"

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        value: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        await self._transport.__aexit__(kind, value, trace)

    @contextmanager
    def _measured(self, account: Account, operations: int) -> Generator[Measure]:
        """Emit the event of the call that the block makes."""
        measure = Measure()
        try:
            yield measure
        except CustomerIOError as error:
            measure.outcome, measure.error = "failed", type(error).__name__
            raise
        except asyncio.CancelledError:
            measure.outcome = "cancelled"
            raise
        finally:
            costs = measure.result or account
            self._telemetry.emit(
                CallEvent(
                    operation=account.operation,
                    outcome=measure.outcome,
                    seconds=self._policy.clock() - account.started,
                    status=costs.status,
                    requests=costs.requests,
                    attempts=costs.attempts,
                    bytes_sent=costs.bytes_sent,
                    operations=operations,
                    rejected=len(measure.result.rejections) if measure.result else 0,
                    error=measure.error,
                )
            )


class Measure:
    """How a call went, for its event."""

    def __init__(self) -> None:
        self.outcome: Outcome = "accepted"
        self.error: str | None = None
        self.result: SendResult | None = None

    def settle(self, result: SendResult) -> None:
        """Take the outcome from what became of the operations."""
        self.result = result
        if result.error is not None:
            self.outcome, self.error = "unanswered", type(result.error).__name__
        elif result.rejections:
            self.outcome = "rejected"


def check_secret(name: str, value: str) -> None:
    """A part of the credentials. Raises ConfigurationError when it is empty or was pasted with spaces."""
    if not value or value != value.strip():
        raise ConfigurationError(f"{name} is empty or has spaces around it", field=name)


def documented(account: Account, reply: Reply) -> dict[str, object]:
    """The JSON object of a 200. Raises UnexpectedResponse for anything else."""
    if reply.status != 200:
        raise unreadable(account, reply, "an undocumented status")
    try:
        return json_body(reply.content)
    except MalformedReply as fault:
        reason = str(fault)
    raise unreadable(account, reply, reason)


def unreadable(account: Account, reply: Reply, reason: str) -> ResponseError:
    """The error for a 2xx that is not the documented answer; `reason` must quote nothing of it."""
    failure = unexpected(reply.status, f"the answer does not count as a success: {reason}")
    failure.operation, failure.attempts = account.operation, account.attempts
    return failure
