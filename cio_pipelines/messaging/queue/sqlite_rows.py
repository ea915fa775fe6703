"""What happens to rows of the embedded queue: statements, and functions that run them in a transaction."""

# ruff: noqa: S608  # statements are put together from constants of this package only

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from cio_pipelines.messaging.queue import texts
from cio_pipelines.messaging.queue.protocol import Buried, Delivered, NewMessage, Retried, Settlement
from cio_pipelines.messaging.queue.sqlite_schema import (
    DEAD,
    DELIVERED,
    HEAD,
    IN_FLIGHT,
    IN_LINE,
    QUEUED,
    SCHEDULED,
)

_PORTION: Final = 1_000
"""How many rows a call moves or forgets besides what it was called for."""

INSERT: Final = f"""
insert into messages (id, queue, line, body, enqueued_at, not_before, waits_since, keep_seconds,
                      key_hash, fingerprint, due_at, state, takeable_at)
select :id, :queue, :line, :body, :now, :not_before, :now, :keep_seconds, :key_hash, :fingerprint, :due_at,
       state, case when state = {HEAD} then :now end
from (select case when :due_at is not null then {SCHEDULED}
                  when exists (select 1 from messages where line = :line and {IN_LINE}) then {QUEUED}
                  else {HEAD} end as state)
"""

_JOIN: Final = f"""
update messages
set place = (select max(place) + 1 from messages), state = {QUEUED}, waits_since = :since, attempts = 0,
    due_at = null, died_at = null, reason = null
where place = :place
"""
"""A row goes to the end of its line; `PROMOTE` then makes it the head if it is alone there."""

PROMOTE: Final = f"""
update messages set state = {HEAD}, takeable_at = waits_since
where state = {QUEUED}
  and place = (select place from messages where line = ? and {IN_LINE} order by place limit 1)
"""

HELD: Final = f"id = :id and lease = :lease and state = {IN_FLIGHT}"

_ADD_FAILURE: Final = f"""
    failures = case when length(failures) + length(:failure) > {texts.FAILURES_BYTES}
                    then substr(failures, instr(failures, char(10)) + 1) else failures end || :failure
"""

TAKE: Final = f"""
update messages
set state = {IN_FLIGHT}, attempts = attempts + 1, lease = :lease, takeable_at = :until, {_ADD_FAILURE}
where place = :place
"""

_FORGET_DELIVERED: Final = f"delete from messages where {HELD} and keep_seconds <= 0"
# who it was for and what it said is forgotten at once
_KEEP_DELIVERED: Final = f"""
update messages
set state = {DELIVERED}, line = '', body = x'', lease = null, result = :result, takeable_at = null,
    forget_at = :now + keep_seconds
where {HELD}
"""
_RETRY: Final = f"""
update messages
set state = {HEAD}, lease = null, takeable_at = :at, attempts = attempts - :uncounted, {_ADD_FAILURE}
where {HELD}
"""
_BURY: Final = f"""
update messages
set state = {DEAD}, lease = null, takeable_at = null, died_at = :now, reason = :reason, {_ADD_FAILURE}
where {HELD}
"""

EXTEND: Final = f"update messages set takeable_at = :until where {HELD}"


def row(
    message: NewMessage, message_id: str, now: float, key_hash: str | None, fingerprint: str | None
) -> dict[str, Any]:
    """The values for `INSERT`."""
    is_later = message.not_before is not None and message.not_before > now
    return {
        "id": message_id,
        "queue": message.queue,
        "line": message.order_key,
        "body": message.body,
        "now": now,
        "not_before": message.not_before,
        "keep_seconds": message.keep_seconds,
        "key_hash": key_hash,
        "fingerprint": fingerprint,
        "due_at": message.not_before if is_later else None,
    }


def forget(connection: sqlite3.Connection, now: float) -> None:
    """Delete a portion of what was to be remembered until now."""
    connection.execute(
        "delete from messages where place in"
        " (select place from messages where forget_at <= ? order by forget_at limit ?)",
        (now, _PORTION),
    )


def join_due(connection: sqlite3.Connection, now: float) -> None:
    """Put scheduled rows that are due at the end of their lines, a portion of them."""
    due = connection.execute(
        "select place, line, due_at from messages where due_at <= ? order by due_at, place limit ?",
        (now, _PORTION),
    ).fetchall()
    join(connection, due)


def join(connection: sqlite3.Connection, rows: Iterable[tuple[int, str, float]]) -> None:
    """Put rows (place, line, the time since when they wait) at the end of their lines, in this order."""
    for place, line, since in rows:
        connection.execute(_JOIN, {"place": place, "since": since})
        connection.execute(PROMOTE, (line,))


def known_keys(
    connection: sqlite3.Connection, hashes: Sequence[str], now: float
) -> dict[str | None, tuple[str, str]]:
    """By key: id and fingerprint of its message; what is to be forgotten is."""
    known: dict[str | None, tuple[str, str]] = {}
    for key in hashes:
        connection.execute("delete from messages where key_hash = ? and forget_at <= ?", (key, now))
        found = connection.execute(
            "select id, fingerprint from messages where key_hash = ?", (key,)
        ).fetchone()
        if found is not None:
            known[key] = found
    return known


def live(connection: sqlite3.Connection) -> Counter[str]:
    """How many messages of each queue are waiting, delayed or in flight."""
    return Counter(dict(connection.execute("select queue, count from live")))


def count(connection: sqlite3.Connection, changes: Mapping[str, int]) -> None:
    """So many more messages, by queue, are waiting, delayed or in flight."""
    connection.executemany(
        "insert into live values (:queue, :change) on conflict (queue) do update set count = count + :change",
        [{"queue": queue, "change": change} for queue, change in changes.items() if change],
    )


def deliver(connection: sqlite3.Connection, settlements: Iterable[Settlement], now: float) -> int:
    """How many of the deliveries among the settlements were of leases still held; they are recorded."""
    rows = [
        {"id": s.taken.message_id, "lease": s.taken.lease, "result": s.result, "now": now}
        for s in settlements
        if isinstance(s, Delivered)
    ]
    return many(connection, _FORGET_DELIVERED, rows) + many(connection, _KEEP_DELIVERED, rows)


def retry(connection: sqlite3.Connection, settlements: Iterable[Settlement]) -> int:
    """As `deliver`, for those to be tried again."""
    rows = [
        {
            "id": s.taken.message_id,
            "lease": s.taken.lease,
            "at": s.at,
            "uncounted": int(not s.counts),
            "failure": texts.write_failure(s.failure) if s.failure else "",
        }
        for s in settlements
        if isinstance(s, Retried)
    ]
    return many(connection, _RETRY, rows)


def bury(connection: sqlite3.Connection, settlements: Iterable[Settlement], now: float) -> int:
    """As `deliver`, for dead letters."""
    rows = [
        {
            "id": s.taken.message_id,
            "lease": s.taken.lease,
            "now": now,
            "reason": s.failure.reason,
            "failure": texts.write_failure(s.failure),
        }
        for s in settlements
        if isinstance(s, Buried)
    ]
    return many(connection, _BURY, rows)


def many(connection: sqlite3.Connection, statement: str, rows: Sequence[dict[str, Any]]) -> int:
    """How many rows a statement changed, for all the values it was run with."""
    return connection.executemany(statement, rows).rowcount if rows else 0
