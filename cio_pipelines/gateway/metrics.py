"""What the gateway counts, for Prometheus. Labels take a bounded number of values; none names a client."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from cio_pipelines.gateway.doors import Door

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class GatewayMetrics(Collector):
    """Counters of one gateway: a collector, to be registered beside others."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "cio_gateway_requests",
            "Requests by route, scope it asks for, and status of the answer.",
            ("route", "scope", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "cio_gateway_answer_seconds",
            "From the request to its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.duplicates = Counter(
            "cio_gateway_duplicates",
            "Messages that were known by their idempotency key.",
            registry=self._registry,
        )
        self.tokens_file_valid = Gauge(
            "cio_gateway_tokens_file_valid",
            "1 while the file of tokens is as it was read.",
            registry=self._registry,
        )

    def answered(self, door: Door, status: str, seconds: float) -> None:
        """A request has ended; `status` is the HTTP status, or says that the client went away."""
        self._requests.labels(door.route, door.scope or "none", status).inc()
        self._seconds.labels(door.route).observe(seconds)

    def collect(self) -> Iterable[Metric]:
        """What Prometheus' registry asks for."""
        return self._registry.collect()
