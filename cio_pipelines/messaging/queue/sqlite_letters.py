"""Dead letters of the embedded queue."""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from typing import Any

from cio_pipelines.messaging.queue import sqlite_rows, texts
from cio_pipelines.messaging.queue.protocol import LetterFilter, QueuedLetter


def letters(connection: sqlite3.Connection, wanted: LetterFilter, limit: int) -> list[QueuedLetter]:
    """See Queue.letters."""
    where, values = _meant(wanted)
    rows = connection.execute(
        "select id, queue, line, body, enqueued_at, died_at, failures from messages"  # noqa: S608
        f" where {where} order by died_at desc, place desc limit :limit",
        {**values, "limit": limit},
    )
    return [
        QueuedLetter(message_id, queue, line, body, enqueued_at, died_at, texts.read_failures(failures))
        for message_id, queue, line, body, enqueued_at, died_at, failures in rows
    ]


def replay(connection: sqlite3.Connection, wanted: LetterFilter, limit: int, before: float) -> int:
    """Put back up to `limit` letters that died before a time, the oldest first; how many they were."""
    where, values = _meant(wanted)
    rows = connection.execute(
        f"select place, line, queue from messages where {where} and died_at <= :until"  # noqa: S608
        " order by died_at, place limit :limit",
        {**values, "until": before, "limit": limit},
    ).fetchall()
    now = time.time()
    sqlite_rows.join(connection, [(place, line, now) for place, line, _ in rows])
    sqlite_rows.count(connection, Counter(queue for *_, queue in rows))
    return len(rows)


def purge(connection: sqlite3.Connection, wanted: LetterFilter, limit: int) -> int:
    """Forget up to `limit` letters; how many they were."""
    where, values = _meant(wanted)
    return connection.execute(
        "delete from messages where place in"  # noqa: S608
        f" (select place from messages where {where} order by died_at limit :limit)",
        {**values, "limit": limit},
    ).rowcount


def _meant(wanted: LetterFilter) -> tuple[str, dict[str, Any]]:
    conditions = ["died_at is not null"]
    values: dict[str, Any] = {}
    for value, condition in (
        (wanted.queue, "queue = :queue"),
        (wanted.reason, "reason = :reason"),
        (wanted.order_key, "line = :line"),
        (wanted.before, "died_at < :before"),
        (wanted.after, "died_at > :after"),
    ):
        if value is not None:
            conditions.append(condition)
            values[condition.rpartition(":")[2]] = value
    if wanted.message_ids is not None:
        conditions.append("id in (select value from json_each(:ids))")
        values["ids"] = json.dumps(wanted.message_ids)
    return " and ".join(conditions), values
