"""The workspace in a SQLite file: written after every request, read once at start.

A request is answered after its changes are committed, so what was acknowledged survives a kill of the
process; write-ahead logging keeps the file whole. It is not synced to disk at each commit: a power cut may
lose the last moments, never the file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import msgspec

from cio_pipelines.sandbox.options import SandboxError
from cio_pipelines.sandbox.outbox import Reported
from cio_pipelines.sandbox.records import Activity, Changes, Delivery, Gone, Logged, ObjectRecord, Person
from cio_pipelines.sandbox.shelf import KINDS
from cio_pipelines.sandbox.wire import encode
from cio_pipelines.sandbox.workspace import Workspace

_VERSION = 3
_READABLE = (0, 1, 2, _VERSION)
"""0 is a new file; 1 and 2 lack tables, which are made."""
_TABLES = (
    "people",
    "blocked",
    "objects",
    "activities",
    "operations",
    "event_ids",
    "deliveries",
    "gone",
    "reported",
    "kept",
)
_COUNTERS = (
    "last_number",
    "last_activity",
    "last_operation",
    "last_change",
    "exported_change",
    "exports",
    "last_segment",
)
"""Attributes of the workspace."""

_SCHEMA = """
create table if not exists people (cio_id text primary key, document blob not null) without rowid;
create table if not exists blocked (kind text, value text, at real, primary key (kind, value)) without rowid;
create table if not exists objects (kind text, name text, document blob not null, primary key (kind, name));
create table if not exists activities (sequence integer primary key, document blob not null);
create table if not exists operations (sequence integer primary key, document blob not null);
create table if not exists event_ids (id text primary key) without rowid;
create table if not exists deliveries (
    delivery_id text primary key, created_at integer not null, document blob not null
) without rowid;
create table if not exists gone (cio_id text primary key, document blob not null) without rowid;
create table if not exists reported (
    number integer primary key, event_id text, person text, body blob, answers integer, given_up integer
);
create table if not exists kept (
    kind text, name text, document blob not null, primary key (kind, name)
) without rowid;
create table if not exists counters (name text primary key, number integer not null) without rowid;
"""


def _reader(kind: type) -> Callable[[bytes], Any]:
    return cast("Callable[[bytes], Any]", msgspec.json.Decoder(kind, float_hook=Decimal).decode)


class Store:
    """One open file. Raises SandboxError when it is locked, no database, or of another version."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=0.2, isolation_level=None)
            # Exclusive: a second sandbox on the same file is told at once, not when it writes.
            self._connection.execute("pragma locking_mode = exclusive")
            self._connection.execute("pragma journal_mode = wal")
            self._connection.execute("pragma synchronous = normal")
            (version,) = self._connection.execute("pragma user_version").fetchone()
            if version not in _READABLE:
                self._connection.close()
                raise SandboxError(f"{path} was written by another version: delete it or name another file")
            self._connection.executescript(
                f"begin immediate; {_SCHEMA} pragma user_version = {_VERSION}; commit"
            )
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from None

    def _unusable(self, error: Exception) -> SandboxError:
        remedy = (
            "stop the sandbox that uses it" if "locked" in str(error) else "name a file that can be written"
        )
        return SandboxError(f"cannot use {self._path} as the sandbox's database ({error}): {remedy}")

    def load(self, workspace: Workspace) -> None:
        """Read everything into an empty workspace. Raises SandboxError for a file that cannot be read."""
        try:
            for row in self._rows("select document from people order by cio_id", Person):
                workspace.restore(row)
            for kind, value, at in self._connection.execute("select kind, value, at from blocked"):
                workspace.blocked[kind, value] = at
            for record in self._rows("select document from objects", ObjectRecord):
                workspace.objects[record.object_type_id, record.object_id] = record
            for activity in self._rows("select document from activities order by sequence", Activity):
                workspace.remember(activity)
            for entry in self._rows("select document from operations order by sequence", Logged):
                workspace.remember_operation(entry)
            workspace.event_ids = {row[0] for row in self._connection.execute("select id from event_ids")}
            for delivery in self._rows("select document from deliveries order by created_at", Delivery):
                workspace.restore_delivery(delivery)
            for gone in self._rows("select document from gone", Gone):
                workspace.gone[gone.cio_id] = gone
            for kind, record_type in KINDS.items():
                for record in self._rows("select document from kept where kind = ?", record_type, kind):
                    workspace.shelf.restore(record)
            rows = self._connection.execute("select * from reported order by number")
            for *known, answers, given_up in rows:
                workspace.outbox.restore(Reported(*known, answers=answers, given_up=bool(given_up)))
            numbers = dict(self._connection.execute("select name, number from counters").fetchall())
        except (sqlite3.Error, msgspec.MsgspecError) as error:
            raise self._unusable(error) from None
        for name in _COUNTERS:
            setattr(workspace, name, numbers.get(name, 0))

    def _rows(self, sql: str, kind: type, *bound: str) -> list[Any]:
        read = _reader(kind)
        return [read(document) for (document,) in self._connection.execute(sql, bound)]

    def write(self, workspace: Workspace) -> None:
        """Commit what has changed, in one transaction. After a SandboxError the next call tries again."""
        changes = workspace.changes
        if changes is None or changes.empty:
            return
        try:
            with _transaction(self._connection):
                self._write(workspace, changes)
        except sqlite3.Error as error:
            raise SandboxError(
                f"cannot write {self._path} ({error}): make room, then send it again"
            ) from None
        workspace.changes = Changes()

    def _write(self, workspace: Workspace, changes: Changes) -> None:
        run = self._connection.executemany
        here = [workspace.people[key] for key in changes.people if key in workspace.people]
        run(
            "delete from people where cio_id = ?", [(k,) for k in changes.people if k not in workspace.people]
        )
        run("replace into people values (?, ?)", [(person.cio_id, encode(person)) for person in here])
        for kind, value in changes.blocked:
            at = workspace.blocked.get((kind, value))
            if at is None:
                run("delete from blocked where kind = ? and value = ?", [(kind, value)])
            else:
                run("replace into blocked values (?, ?, ?)", [(kind, value, at)])
        for key in changes.objects:
            record = workspace.objects.get(key)
            if record is None:
                run("delete from objects where kind = ? and name = ?", [key])
            else:
                run("replace into objects values (?, ?, ?)", [(*key, encode(record))])
        run("replace into activities values (?, ?)", [(a.sequence, encode(a)) for a in changes.activities])
        run("delete from activities where sequence = ?", [(sequence,) for sequence in changes.forgotten])
        run("replace into operations values (?, ?)", [(e.sequence, encode(e)) for e in changes.logged])
        run(
            "delete from operations where sequence <= ?",
            [(workspace.last_operation - workspace.options.log_limit,)],
        )
        run("replace into event_ids values (?)", [(event_id,) for event_id in changes.event_ids])
        for key in changes.deliveries:
            delivery = workspace.deliveries.get(key)
            if delivery is None:
                run("delete from deliveries where delivery_id = ?", [(key,)])
            else:
                row = (key, delivery.created_at, encode(delivery))
                run("replace into deliveries values (?, ?, ?)", [row])
        for key in changes.gone:
            gone = workspace.gone.get(key)
            if gone is None:
                run("delete from gone where cio_id = ?", [(key,)])
            else:
                run("replace into gone values (?, ?)", [(key, encode(gone))])
        for key, record in changes.kept.items():
            if record is None:
                run("delete from kept where kind = ? and name = ?", [key])
            else:
                run("replace into kept values (?, ?, ?)", [(*key, encode(record))])
        self._write_reported(workspace, changes)
        run("replace into counters values (?, ?)", [(name, getattr(workspace, name)) for name in _COUNTERS])

    def _write_reported(self, workspace: Workspace, changes: Changes) -> None:
        events = changes.reported.values()
        rows = [(e.number, e.event_id, e.person, e.body, e.answers, e.given_up) for e in events]
        self._connection.executemany("replace into reported values (?, ?, ?, ?, ?, ?)", rows)
        oldest = next(iter(workspace.outbox.events), None)
        if rows and oldest is not None:
            self._connection.execute("delete from reported where number < ?", (oldest,))

    def clear(self) -> None:
        """Empty the file."""
        with _transaction(self._connection):
            for table in (*_TABLES, "counters"):
                self._connection.execute(f"delete from {table}")  # noqa: S608  # names from above

    def close(self) -> None:
        """Fold the log into the file and release it."""
        self._connection.close()


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Generator[None]:
    connection.execute("begin immediate")
    try:
        yield
    except BaseException:
        if connection.in_transaction:  # a full disk ends the transaction by itself
            connection.execute("rollback")
        raise
    connection.execute("commit")
