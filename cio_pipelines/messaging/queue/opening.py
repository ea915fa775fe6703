"""Which store a URL names."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from cio_pipelines.messaging.queue.errors import QueueError
from cio_pipelines.messaging.queue.protocol import Queue
from cio_pipelines.messaging.queue.redis import RedisQueue
from cio_pipelines.messaging.queue.sqlite import SqliteQueue

MAX_MESSAGES = 1_000_000
"""How many messages may wait, be delayed or be in flight, of all queues together."""

_FORMS = "Give sqlite:////absolute/path, redis://host:6379/0 or rediss://user:password@host:6379/0."


def open_queue(url: str, *, max_messages: int = MAX_MESSAGES) -> Queue:
    """The queue that `url` names, not yet connected: enter it (`async with`).

    `sqlite:///path` is a file; the path is absolute, with three slashes or four. Raises QueueError for a URL
    of another form; the message does not quote it, for it may hold a password.
    """
    if max_messages < 1:
        raise QueueError(f"A queue of at most {max_messages} messages keeps nothing.", "Allow one or more.")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise QueueError("The URL of the queue cannot be read.", _FORMS) from None
    if parts.scheme == "sqlite":
        path = unquote(parts.path)
        if parts.netloc or parts.query or parts.fragment or not path.strip("/") or path.endswith("/"):
            raise QueueError("The URL of the queue names no file.", _FORMS)
        return SqliteQueue(Path("/" + path.lstrip("/")), max_messages=max_messages)
    if parts.scheme in {"redis", "rediss"} and parts.hostname:
        return RedisQueue(url, max_messages=max_messages)
    raise QueueError("The URL of the queue is of no known kind.", _FORMS)
