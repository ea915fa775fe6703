"""The embedded queue's changes, each one transaction. Used by one thread."""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cio_pipelines.messaging.queue import sqlite_letters, sqlite_rows, sqlite_views, texts
from cio_pipelines.messaging.queue.protocol import (
    Depth,
    LetterFilter,
    MessageStatus,
    NewMessage,
    QueuedLetter,
    QueueName,
    Receipt,
    Settlement,
    Taken,
)
from cio_pipelines.messaging.queue.sqlite_schema import IN_FLIGHT, connect, unavailable


class SqliteStore:
    """An open file. Every method raises QueueUnavailable when the file cannot be used."""

    def __init__(self, path: Path, max_messages: int) -> None:
        """Open the file. Raises QueueUnavailable, QueueVersionError."""
        self._path = path
        self._max_messages = max_messages
        self._connection = connect(path)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    @contextmanager
    def _reading(self) -> Generator[sqlite3.Connection]:
        """One state of the file for all that is read in the block."""
        try:
            self._connection.execute("begin")
            try:
                yield self._connection
            finally:
                self._connection.execute("rollback")
        except sqlite3.Error as error:
            raise unavailable(self._path, error) from None

    @contextmanager
    def _writing(self) -> Generator[sqlite3.Connection]:
        """A transaction: all of the block or nothing of it, durable after it."""
        try:
            self._connection.execute("begin immediate")
            try:
                yield self._connection
                self._connection.execute("commit")
            finally:
                # an error on the way; some of SQLite's own have ended the transaction already
                if self._connection.in_transaction:
                    self._connection.execute("rollback")
        except sqlite3.Error as error:
            raise unavailable(self._path, error) from None

    def put(self, messages: Sequence[NewMessage]) -> list[Receipt]:
        """See Queue.put."""
        hashes = [m.idempotency_key and texts.hash_of(m.idempotency_key) for m in messages]
        fingerprints = [texts.fingerprint_of(m) if m.idempotency_key else None for m in messages]
        firsts = texts.first_uses(hashes)
        ids = texts.new_ids(len(messages))
        receipts: list[Receipt] = []
        new: list[dict[str, Any]] = []
        with self._writing() as connection:
            now = time.time()
            sqlite_rows.forget(connection, now)
            sqlite_rows.join_due(connection, now)
            known = sqlite_rows.known_keys(connection, [key for key in hashes if key], now)
            for position, message in enumerate(messages):
                key, fingerprint, first = hashes[position], fingerprints[position], firsts[position]
                earlier = known.get(key) if key else None
                if earlier is None and first != position:
                    earlier = receipts[first].message_id, fingerprints[first]
                if earlier is not None:
                    if earlier[1] != fingerprint:
                        raise texts.key_was_used(position)
                    receipts.append(Receipt(earlier[0], is_duplicate=True))
                    continue
                receipts.append(Receipt(ids[position]))
                new.append(sqlite_rows.row(message, ids[position], now, key or None, fingerprint))
            live = sqlite_rows.live(connection).total()
            if new and live + len(new) > self._max_messages:
                raise texts.full(live, len(new), self._max_messages)
            connection.executemany(sqlite_rows.INSERT, new)
            sqlite_rows.count(connection, Counter(one["queue"] for one in new))
        return receipts

    def take(self, queue: QueueName, limit: int, lease_seconds: float) -> list[Taken]:
        """See Queue.take."""
        with self._writing() as connection:
            now = time.time()
            sqlite_rows.join_due(connection, now)
            found = connection.execute(
                "select place, id, line, body, attempts, enqueued_at, state, takeable_at from messages"
                " where queue = ? and takeable_at <= ? order by takeable_at, place limit ?",
                (queue, now, limit),
            ).fetchall()
            lease, until = secrets.token_hex(8), now + lease_seconds
            changes = [
                {
                    "place": place,
                    "lease": lease,
                    "until": until,
                    "failure": texts.expired(takeable_at) if state == IN_FLIGHT else "",
                }
                for place, *_, state, takeable_at in found
            ]
            connection.executemany(sqlite_rows.TAKE, changes)
        return [
            Taken(message_id, queue, line, body, attempts + 1, enqueued_at, lease, until)
            for _, message_id, line, body, attempts, enqueued_at, *_ in found
        ]

    def settle(self, settlements: Sequence[Settlement]) -> int:
        """See Queue.settle."""
        by_queue: defaultdict[QueueName, list[Settlement]] = defaultdict(list)
        for settlement in settlements:
            by_queue[settlement.taken.queue].append(settlement)
        ended: Counter[str] = Counter()
        retried = 0
        with self._writing() as connection:
            now = time.time()
            for queue, some in by_queue.items():
                retried += sqlite_rows.retry(connection, some)
                ended[queue] = sqlite_rows.deliver(connection, some, now) + sqlite_rows.bury(
                    connection, some, now
                )
            lines = {settlement.taken.order_key for settlement in settlements}
            connection.executemany(sqlite_rows.PROMOTE, [(line,) for line in lines])
            sqlite_rows.count(connection, {queue: -number for queue, number in ended.items()})
            sqlite_rows.forget(connection, now)
        return len(settlements) - retried - ended.total()

    def extend(self, taken: Sequence[Taken], lease_seconds: float) -> int:
        """See Queue.extend."""
        with self._writing() as connection:
            until = time.time() + lease_seconds
            leases = [{"id": one.message_id, "lease": one.lease, "until": until} for one in taken]
            return len(taken) - sqlite_rows.many(connection, sqlite_rows.EXTEND, leases)

    def may_take(self, queue: QueueName) -> bool:
        """Whether a `take` now would probably find something."""
        with self._reading() as connection:
            return sqlite_views.may_take(connection, queue)

    def status(self, message_id: str) -> MessageStatus | None:
        """See Queue.status."""
        with self._reading() as connection:
            return sqlite_views.status(connection, message_id)

    def depths(self) -> dict[QueueName, Depth]:
        """See Queue.depths."""
        with self._reading() as connection:
            return sqlite_views.depths(connection)

    def letters(self, wanted: LetterFilter, limit: int) -> list[QueuedLetter]:
        """See Queue.letters."""
        with self._reading() as connection:
            return sqlite_letters.letters(connection, wanted, limit)

    def replay(self, wanted: LetterFilter, limit: int, before: float) -> int:
        """Put back up to `limit` dead letters that died before a time; how many they were."""
        with self._writing() as connection:
            return sqlite_letters.replay(connection, wanted, limit, before)

    def purge(self, wanted: LetterFilter, limit: int) -> int:
        """Forget up to `limit` dead letters; how many they were."""
        with self._writing() as connection:
            return sqlite_letters.purge(connection, wanted, limit)
