"""One structured event per call, to the caller's observer and to OpenTelemetry metrics.

Without a configured OpenTelemetry SDK and without an observer nothing happens. Metrics:

- `customerio.client.calls` (counter) and `customerio.client.call.duration` (histogram, seconds),
- `customerio.client.attempts`, `customerio.client.operations`, `customerio.client.request.bytes` (counters),

each with the attributes `operation`, `outcome`, and where known `http.response.status_code`, `error.type`.
No attribute holds an id, so the number of series stays small.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from opentelemetry import metrics

_logger = logging.getLogger(__name__)

Outcome = Literal["accepted", "rejected", "unanswered", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class CallEvent:
    """What one call did, retries and splits included. No ids, no payloads.

    `operation` names the endpoint (`track.batch`). `outcome`: `accepted` (everything), `rejected` (some
    operations were refused), `unanswered` (some got no final answer), `failed` (the call raised),
    `cancelled`. `status` is the last HTTP status seen, `error` the class name of the error. `requests` counts
    distinct requests, `attempts` all tries of them; `bytes_sent` counts bodies, once per attempt.
    """

    operation: str
    outcome: Outcome
    seconds: float
    status: int | None
    requests: int
    attempts: int
    bytes_sent: int
    operations: int
    rejected: int = 0
    error: str | None = None


Observer = Callable[[CallEvent], None]


class Telemetry:
    """Emits the events of one client. `meter_provider` defaults to OpenTelemetry's global one."""

    def __init__(
        self, observer: Observer | None, meter_provider: metrics.MeterProvider | None = None
    ) -> None:
        meter = metrics.get_meter("cio_pipelines.customerio", meter_provider=meter_provider)
        self._observer = observer
        self._calls = meter.create_counter("customerio.client.calls", "{call}", "Calls to Customer.io")
        self._duration = meter.create_histogram(
            "customerio.client.call.duration", "s", "Time of a call with its waits and retries"
        )
        self._attempts = meter.create_counter("customerio.client.attempts", "{attempt}", "HTTP attempts")
        self._operations = meter.create_counter(
            "customerio.client.operations", "{operation}", "Operations the calls were made for"
        )
        self._bytes = meter.create_counter("customerio.client.request.bytes", "By", "Bytes of bodies sent")

    def emit(self, event: CallEvent) -> None:
        """Record one call. An observer that raises is logged: its trouble must not cost the call's result."""
        attributes: dict[str, str | int] = {"operation": event.operation, "outcome": event.outcome}
        if event.status is not None:
            attributes["http.response.status_code"] = event.status
        if event.error is not None:
            attributes["error.type"] = event.error
        self._calls.add(1, attributes)
        self._duration.record(event.seconds, attributes)
        self._attempts.add(event.attempts, attributes)
        self._operations.add(event.operations, attributes)
        self._bytes.add(event.bytes_sent, attributes)
        if self._observer is not None:
            try:
                self._observer(event)
            except Exception:
                _logger.exception("the observer of Customer.io calls failed")
