"""The queue between applications and Customer.io: one interface, an embedded store and Redis."""

from __future__ import annotations

from cio_pipelines.messaging.queue.opening import MAX_MESSAGES, open_queue

__all__ = ["MAX_MESSAGES", "open_queue"]
