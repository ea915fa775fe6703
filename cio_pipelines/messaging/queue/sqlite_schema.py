"""The tables of the embedded queue, and opening a file that has them."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final

from cio_pipelines.messaging.queue.errors import QueueError, QueueUnavailable, QueueVersionError

VERSION: Final = 1
BUSY_SECONDS: Final = 10.0
"""How long a process waits for another one's write: those take milliseconds."""

SCHEDULED, QUEUED, HEAD, IN_FLIGHT, DELIVERED, DEAD = range(6)
"""States of a row. Of the rows of a line (QUEUED, HEAD, IN_FLIGHT) only that with the lowest `place` may be
HEAD or IN_FLIGHT, and it is never QUEUED."""

IN_LINE: Final = f"state in ({QUEUED}, {HEAD}, {IN_FLIGHT})"

_SCHEMA: Final = f"""
create table messages (
    place integer primary key,  -- in the line: the order of joining it
    id text not null unique,
    queue text not null,
    line text not null,
    body blob not null,
    state integer not null,
    attempts integer not null default 0,
    failures text not null default '',
    enqueued_at real not null,
    not_before real,
    waits_since real not null,  -- when it joined its line
    keep_seconds real not null,
    key_hash text,
    fingerprint text,
    lease text,
    result text not null default '',
    reason text,  -- of a dead letter: that of its last failure
    due_at real,  -- SCHEDULED: when it joins its line
    takeable_at real,  -- HEAD: when it may go; IN_FLIGHT: when its lease ends
    died_at real,
    forget_at real  -- DELIVERED
);
create unique index messages_key on messages (key_hash) where key_hash is not null;
create index messages_line on messages (line, place) where {IN_LINE};
create index messages_due on messages (due_at, place, queue) where due_at is not null;
create index messages_takeable on messages (queue, takeable_at, place, state) where takeable_at is not null;
create index messages_dead on messages (died_at, place) where died_at is not null;
create index messages_dead_of_queue on messages (queue, died_at) where died_at is not null;
create index messages_forget on messages (forget_at) where forget_at is not null;
create table live (queue text primary key, count integer not null) without rowid;
"""


def connect(path: Path) -> sqlite3.Connection:
    """Open a file, and make it when it is not there. The connection is in autocommit mode.

    Raises QueueUnavailable for a file that cannot be used, QueueVersionError for another release's.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # what is in it is personal data; the files beside it get the same permissions
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    except (OSError, sqlite3.Error) as error:
        raise unavailable(path, error) from None
    try:
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")
        connection.execute("pragma journal_size_limit = 67108864")
        connection.execute("begin immediate")
        _prepare(connection, path)
        connection.execute("commit")
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.Error):
            raise unavailable(path, error) from None
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("pragma user_version").fetchone()
    if version == VERSION:
        return
    (tables,) = connection.execute("select count(*) from sqlite_schema").fetchone()
    if version or tables:
        what = f"has layout {version}" if version else "is a database of something else"
        raise QueueVersionError(
            f"{path} {what}; this release knows layout {VERSION} of the queue.",
            "Use the release that wrote it, or name another file in QUEUE_URL.",
        )
    for statement in _SCHEMA.split(";\n"):
        if statement.strip():
            connection.execute(statement)
    connection.execute(f"pragma user_version = {VERSION}")


def unavailable(path: Path, error: Exception) -> QueueError:
    """What to raise for an error of the file system or of SQLite; neither quotes a message."""
    text = str(error)
    remedy = (
        "Another process held it for too long: see what it does."
        if "locked" in text or "busy" in text
        else "Name a file in QUEUE_URL that can be written, on a disk with room."
    )
    return QueueUnavailable(f"The queue in {path} cannot be used ({text}).", remedy)
