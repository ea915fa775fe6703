"""What the receiver counts, for Prometheus. Labels take a bounded number of values, none of them personal."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

OBJECT_TYPES = ("customer", "email", "in_app", "push", "slack", "sms", "webhook", "whatsapp")
EVENT_METRICS = (
    "attempted",
    "bounced",
    "cio_subscription_preferences_changed",
    "clicked",
    "converted",
    "deferred",
    "delivered",
    "drafted",
    "dropped",
    "failed",
    "opened",
    "replied",
    "sent",
    "spammed",
    "subscribed",
    "undeliverable",
    "unsubscribed",
)
OTHER = "other"
"""Stands for every object type and metric that Customer.io's specification does not name."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_ANSWER_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0)
_WRITE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.5, 10.0)
_GROUP_EVENTS = (1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000)


class Metrics:
    """Counters of one application, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = self._counter(
            "requests", "Requests to the webhook by what became of them.", "outcome"
        )
        self._events = self._counter("events", "Events that were stored.", "object_type", "metric")
        self._keys = self._counter(
            "signature_key_matches", "Signed requests by the signing key, counted from 0.", "key"
        )
        self._handler_failures = self._counter(
            "handler_failures", "Events at which a handler failed.", "handler"
        )
        self._handler_drops = self._counter(
            "handler_drops", "Events that a handler was too slow for.", "handler"
        )
        self.consent_changes = Counter(
            "cio_consent_changes",
            "Events that say how a person may be written to.",
            ("kind",),
            registry=self.registry,
        )
        self.commit_failures = self._counter("commit_failures", "Objects that could not be written.")
        self.commits_late = self._counter("commits_late", "Groups of events that were not stored in time.")
        self._answer_seconds = self._histogram(
            "answer_seconds", "From the request to its answer.", _ANSWER_SECONDS
        )
        self._commit_seconds = self._histogram("commit_seconds", "To write an object.", _WRITE_SECONDS)
        self._commit_events = self._histogram("commit_events", "Events in an object.", _GROUP_EVENTS)

    def watch_waiting(self, events: Callable[[], int], size: Callable[[], int]) -> None:
        """Ask these for the events and bytes that wait to be stored, whenever somebody looks."""
        self._gauge("waiting_events", "Events that wait to be stored.").set_function(events)
        self._gauge("waiting_bytes", "Bytes of events that wait to be stored.").set_function(size)

    def answered(self, outcome: str, seconds: float) -> None:
        """A request has ended."""
        self._requests.labels(outcome).inc()
        self._answer_seconds.observe(seconds)

    def stored(self, object_type: str | None, metric: str | None) -> None:
        """An event is durable."""
        self._events.labels(
            object_type if object_type in OBJECT_TYPES else OTHER,
            metric if metric in EVENT_METRICS else OTHER,
        ).inc()

    def signed_by(self, key_index: int) -> None:
        """A signature was right."""
        self._keys.labels(str(key_index)).inc()

    def written(self, events: int, seconds: float) -> None:
        """An object was written."""
        self._commit_events.observe(events)
        self._commit_seconds.observe(seconds)

    def handler_failed(self, handler: str) -> None:
        """A handler raised an error, or took too long."""
        self._handler_failures.labels(handler).inc()

    def handler_dropped(self, handler: str) -> None:
        """An event was not given to a handler that has too many to do."""
        self._handler_drops.labels(handler).inc()

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self.registry)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"cio_webhook_{name}", meaning, labels, registry=self.registry)

    def _gauge(self, name: str, meaning: str) -> Gauge:
        return Gauge(f"cio_webhook_{name}", meaning, registry=self.registry)

    def _histogram(self, name: str, meaning: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"cio_webhook_{name}", meaning, buckets=buckets, registry=self.registry)
