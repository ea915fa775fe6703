"""What can be seen of the embedded queue without changing it."""

from __future__ import annotations

import sqlite3
import time
from typing import Final

from cio_pipelines.messaging.queue import sqlite_rows, texts
from cio_pipelines.messaging.queue.protocol import QUEUES, Depth, MessageStatus, QueueName, State
from cio_pipelines.messaging.queue.sqlite_schema import DEAD, DELIVERED, HEAD, IN_FLIGHT, QUEUED, SCHEDULED

_STATES: Final[dict[int, State]] = {
    SCHEDULED: "waiting",
    QUEUED: "waiting",
    HEAD: "waiting",
    IN_FLIGHT: "in_flight",
    DELIVERED: "delivered",
    DEAD: "dead",
}


def may_take(connection: sqlite3.Connection, queue: QueueName) -> bool:
    """Whether a `take` now would probably find something."""
    found = connection.execute(
        "select exists (select 1 from messages where queue = :queue and takeable_at <= :now)"
        " or exists (select 1 from messages where due_at <= :now)",
        {"queue": queue, "now": time.time()},
    ).fetchone()
    return bool(found[0])


def status(connection: sqlite3.Connection, message_id: str) -> MessageStatus | None:
    """See Queue.status."""
    now = time.time()
    row = connection.execute(
        "select queue, state, takeable_at, attempts, enqueued_at, not_before, result, failures"
        " from messages where id = ? and (forget_at is null or forget_at > ?)",
        (message_id, now),
    ).fetchone()
    if row is None:
        return None
    queue, state, takeable_at, attempts, enqueued_at, not_before, result, failures = row
    # somebody else may take it now
    known = "waiting" if state == IN_FLIGHT and takeable_at <= now else _STATES[state]
    history = texts.read_failures(failures)
    return MessageStatus(message_id, queue, known, attempts, enqueued_at, not_before, result, history)


def depths(connection: sqlite3.Connection) -> dict[QueueName, Depth]:
    """See Queue.depths."""
    now = time.time()
    live = sqlite_rows.live(connection)
    return {queue: _depth(connection, queue, live[queue], now) for queue in QUEUES}


def _depth(connection: sqlite3.Connection, queue: QueueName, live: int, now: float) -> Depth:
    in_flight, delayed, oldest = connection.execute(
        f"select count(*) filter (where state = {IN_FLIGHT} and takeable_at > :now),"  # noqa: S608
        f" count(*) filter (where state = {HEAD} and takeable_at > :now), min(takeable_at)"
        " from messages where queue = :queue and takeable_at is not null",
        {"queue": queue, "now": now},
    ).fetchone()
    # those that are due and have not joined their lines yet wait all the same
    scheduled, due = connection.execute(
        "select count(*) filter (where due_at > :now), min(due_at) from messages"
        " where queue = :queue and due_at is not null",
        {"queue": queue, "now": now},
    ).fetchone()
    dead, oldest_dead = connection.execute(
        "select count(*), min(died_at) from messages where queue = ? and died_at is not null", (queue,)
    ).fetchone()
    first = min([at for at in (oldest, due) if at is not None], default=now)
    return Depth(
        waiting=live - in_flight - delayed - scheduled,
        delayed=delayed + scheduled,
        in_flight=in_flight,
        dead=dead,
        oldest_seconds=max(0.0, now - first),
        oldest_dead_seconds=max(0.0, now - oldest_dead) if dead else 0.0,
    )
