"""The event bus: code that is called when Customer.io has reported something.

    def register(bus: EventBus) -> None:
        @bus.on(object_type="customer", metric="unsubscribed")
        def tell_support(event: WebhookEvent) -> None: ...

Handlers are called after the event is durable and answered, at most once: an event is dropped when its
handler is behind by a whole queue, and those that wait are lost with the process. An event that Customer.io
sends twice is handed over twice. What must not miss an event reads the warehouse, which has every one once.

Each handler has a thread of its own, and an asynchronous one a loop of its own: one that fails, is slow or
hangs hurts neither the receiver nor other handlers.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from queue import SimpleQueue
from typing import Any, Protocol

import msgspec

from cio_pipelines.webhooks.seldom import Seldom

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """An event as handlers get it.

    `object_type`, `metric` and `event_id` are None where the event has no such text. `received_at` is UTC,
    `body` the JSON as it came.
    """

    object_type: str | None
    metric: str | None
    event_id: str | None
    received_at: datetime
    body: bytes

    def decoded(self) -> Any:
        """The event as Python values. Raises msgspec.DecodeError for what is odd though JSON."""
        return msgspec.json.decode(self.body)


Handler = Callable[[WebhookEvent], Awaitable[object] | object]


class Observer(Protocol):
    """Is told by the name of a handler what went wrong; called from several threads."""

    def handler_failed(self, handler: str) -> None: ...

    def handler_dropped(self, handler: str) -> None: ...


class EventBus:
    """Hands events to handlers.

    Args:
        queue_events: how many events may wait for a handler.
        handler_seconds: how long an asynchronous handler may take for one event.
    """

    def __init__(self, *, queue_events: int = 10_000, handler_seconds: float = 30) -> None:
        self._queue_events = queue_events
        self._handler_seconds = handler_seconds
        self._subscribers: list[_Subscriber] = []

    def on(
        self, *, object_type: str | None = None, metric: str | None = None
    ) -> Callable[[Handler], Handler]:
        """Decorate a handler: `subscribe` it and leave it as it is."""

        def decorated(handler: Handler) -> Handler:
            self.subscribe(handler, object_type=object_type, metric=metric)
            return handler

        return decorated

    def subscribe(
        self, handler: Handler, *, object_type: str | None = None, metric: str | None = None
    ) -> None:
        """Call a handler for events of a type, a metric, both, or (without either) for all.

        Has to be done before the bus is started.
        """
        self._subscribers.append(
            _Subscriber(handler, object_type, metric, self._queue_events, self._handler_seconds)
        )

    def start(self, observer: Observer) -> None:
        """Start the threads of the handlers."""
        for subscriber in self._subscribers:
            subscriber.start(observer)

    def publish(self, event: WebhookEvent) -> None:
        """Queue an event for its handlers. Never waits, never fails."""
        for subscriber in self._subscribers:
            if subscriber.wants(event):
                subscriber.give(event)

    def close(self, seconds: float) -> None:
        """Let handlers finish what waits for them, for so many seconds in all; what is left is dropped."""
        deadline = time.monotonic() + seconds
        for subscriber in self._subscribers:
            subscriber.finish()
        for subscriber in self._subscribers:
            subscriber.join(max(0.0, deadline - time.monotonic()))


class _Subscriber:
    """A handler with its queue and its thread."""

    def __init__(
        self,
        handler: Handler,
        object_type: str | None,
        metric: str | None,
        queue_events: int,
        handler_seconds: float,
    ) -> None:
        named = handler if hasattr(handler, "__qualname__") else type(handler)
        self.name = f"{named.__module__}.{named.__qualname__}"
        self._handler = handler
        self._object_type = object_type
        self._metric = metric
        self._limit = queue_events
        self._seconds = handler_seconds
        self._queue: SimpleQueue[WebhookEvent | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"handler {self.name}", daemon=True)
        self._failures, self._drops = Seldom(), Seldom()

    def start(self, observer: Observer) -> None:
        self._observer = observer
        self._thread.start()

    def wants(self, event: WebhookEvent) -> bool:
        return self._object_type in (None, event.object_type) and self._metric in (None, event.metric)

    def give(self, event: WebhookEvent) -> None:
        if self._queue.qsize() < self._limit:
            self._queue.put(event)
            return
        self._observer.handler_dropped(self.name)
        if dropped := self._drops.happened():
            fields = {"handler": self.name, "dropped": dropped}
            _log.error("a handler is too slow, and misses events", extra={"fields": fields})

    def finish(self) -> None:
        self._queue.put(None)

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)
        if self._thread.is_alive():
            fields = {"handler": self.name, "dropped": self._queue.qsize()}
            _log.error("a handler did not end in time", extra={"fields": fields})

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            while (event := self._queue.get()) is not None:
                self._handle(event, runner)

    def _handle(self, event: WebhookEvent, runner: asyncio.Runner) -> None:
        try:
            result = self._handler(event)
            if inspect.isawaitable(result):
                runner.run(asyncio.wait_for(result, self._seconds))
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  # a team's own code
            self._observer.handler_failed(self.name)
            if failures := self._failures.happened():
                fields = {
                    "handler": self.name,
                    "error": type(error).__name__,
                    "event_id": event.event_id,
                    "failures": failures,
                }
                _log.error("a handler failed", extra={"fields": fields})
