"""What every operation of the messaging service tells: a span, metrics, and an event for the caller.

Without a configured OpenTelemetry SDK and without an observer nothing happens. Metrics:

- `customerio.messaging.operations` (counter, {message}) and
- `customerio.messaging.operation.duration` (histogram, seconds),

each with the attributes `operation`, `outcome` and where known `error.type`. Nothing holds an id or payload.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from opentelemetry import metrics, trace

from cio_pipelines.customerio import InvalidOperation, SendResult
from cio_pipelines.messaging.queue.errors import IdempotencyError, QueueFull
from cio_pipelines.sync.errors import InvalidUser

_REFUSALS = (InvalidOperation, InvalidUser, QueueFull, IdempotencyError)
_logger = logging.getLogger(__name__)
_SCOPE = "cio_pipelines.messaging"

Outcome = Literal["accepted", "rejected", "unanswered", "queued", "refused", "failed", "cancelled"]
"""`refused` is by us, before anything was sent or kept; `rejected` is by Customer.io."""


@dataclass(frozen=True, slots=True)
class OperationEvent:
    """One operation of the service, over in `seconds`. `messages` is how many it was for."""

    operation: str
    outcome: Outcome
    seconds: float
    messages: int = 1
    error: str | None = None


OperationObserver = Callable[[OperationEvent], None]


@dataclass(slots=True)
class Measured:
    """Set while an operation runs; what it says at the end is told."""

    outcome: Outcome = "accepted"
    messages: int = 1

    def settle(self, result: SendResult) -> None:
        """Take over how a batch went."""
        self.messages = result.stop - result.start
        if result.error is not None:
            self.outcome = "unanswered"
        elif result.rejections:
            self.outcome = "rejected"


class Instruments:
    """Emits the events of one service. Providers default to OpenTelemetry's global ones."""

    def __init__(
        self,
        observer: OperationObserver | None = None,
        meter_provider: metrics.MeterProvider | None = None,
        tracer_provider: trace.TracerProvider | None = None,
    ) -> None:
        meter = metrics.get_meter(_SCOPE, meter_provider=meter_provider)
        self._observer = observer
        self._tracer = trace.get_tracer(_SCOPE, tracer_provider=tracer_provider)
        self._count = meter.create_counter(
            "customerio.messaging.operations", "{message}", "Messages by operation and outcome"
        )
        self._duration = meter.create_histogram(
            "customerio.messaging.operation.duration", "s", "Time of an operation"
        )

    @contextmanager
    def measured(self, operation: str, messages: int = 1) -> Generator[Measured]:
        """Measure what runs inside; an exception makes it `refused` if it is one of ours, else `failed`."""
        measured = Measured(messages=messages)
        started = time.perf_counter()
        error: str | None = None
        with self._tracer.start_as_current_span(
            f"customerio.{operation}", record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield measured
            except asyncio.CancelledError:
                measured.outcome = "cancelled"
                raise
            except Exception as failure:
                error = type(failure).__name__
                measured.outcome = "refused" if isinstance(failure, _REFUSALS) else "failed"
                # its text may hold what a library quotes: the kind is enough
                span.set_status(trace.Status(trace.StatusCode.ERROR, error))
                raise
            finally:
                seconds = time.perf_counter() - started
                span.set_attributes({"outcome": measured.outcome, "messages": measured.messages})
                self.emit(OperationEvent(operation, measured.outcome, seconds, measured.messages, error))

    def emit(self, event: OperationEvent) -> None:
        """Tell of one operation. An observer that raises is logged: its trouble costs no result."""
        attributes = {"operation": event.operation, "outcome": event.outcome}
        if event.error is not None:
            attributes["error.type"] = event.error
        self._count.add(event.messages, attributes)
        self._duration.record(event.seconds, attributes)
        if self._observer is not None:
            try:
                self._observer(event)
            except Exception:
                _logger.exception("the observer of messaging operations failed")
