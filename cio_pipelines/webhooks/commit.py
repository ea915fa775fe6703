"""Group commit: events that arrive together are written together, and answered when they are durable.

Each folder of the landing zone (an object type, a UTC day of receipt) gathers by itself. A group is written
when its window has passed, or earlier when nobody sends any more: senders that wait for their answers are not
kept waiting for others. While groups are written the next one gathers.

A group that is not durable in time is answered as such. Its write may still succeed: the events are then
sent again, and the load removes the repetition. Until the write has ended, the events count as waiting, so
that a landing zone that hangs costs a bounded amount of memory.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import time
from dataclasses import dataclass
from datetime import date
from enum import Enum, auto
from functools import partial

from cio_pipelines.landing import LandingError, LandingZone, ObjectExists
from cio_pipelines.webhooks.layout import Received, lines, new_path
from cio_pipelines.webhooks.metrics import Metrics
from cio_pipelines.webhooks.seldom import Seldom
from cio_pipelines.webhooks.workers import Workers

_log = logging.getLogger(__name__)

_WRITES_PER_FOLDER = 2
"""So that one write that takes long does not hold up the events behind it."""

_GROUP_BYTES = 8_000_000
"""A group of so many bytes is written without waiting for the end of its window."""

_LOOKS = 10
"""How often within a window it is seen whether events still arrive.

With 64 senders that each wait for their answer, on two cores shared with them, 1,100 events a second were
taken with one look, 2,200 with five and 3,000 and more with ten; twenty write twice as many objects.
"""

_GZIP_LEVEL = 1


class Outcome(Enum):
    """What became of an event that was handed in."""

    DURABLE = auto()
    """It is in the landing zone."""

    FAILED = auto()
    """It could not be written."""

    LATE = auto()
    """It is not known to be written, and whoever waits can wait no longer."""


@dataclass(frozen=True, slots=True)
class CommitLimits:
    """How long events are gathered and waited for (seconds), and how much may wait (events, bytes)."""

    window_seconds: float = 0.05
    answer_seconds: float = 3.5
    waiting_events: int = 20_000
    waiting_bytes: int = 64_000_000


class _Folder:
    """One object type and day: the group that gathers, and how many are being written."""

    def __init__(self, object_type: str, day: date) -> None:
        self.object_type = object_type
        self.day = day
        self.gathering: _Group | None = None
        self.is_due = False
        self.writes = 0


class _Group:
    """Events of one folder that are written as one object, and who waits for that."""

    def __init__(self, folder: _Folder, gathered_until: float) -> None:
        self.folder = folder
        self.events: list[Received] = []
        self.waiting: list[asyncio.Future[Outcome]] = []
        self.bytes = 0
        self.seen = 1
        self.gathered_until = gathered_until
        self.overdue = False
        self.look: asyncio.TimerHandle | None = None
        self.timeout: asyncio.TimerHandle | None = None

    def answer(self, outcome: Outcome) -> None:
        for future in self.waiting:
            if not future.done():
                future.set_result(outcome)


class GroupCommit:
    """Takes events in the event loop and writes them in threads.

    Args:
        zone: where they are written to.
        limits: see CommitLimits.
        workers: the threads that write.
        metrics: what is told of every write.
    """

    def __init__(self, zone: LandingZone, limits: CommitLimits, workers: Workers, metrics: Metrics) -> None:
        self._zone = zone
        self._limits = limits
        self._workers = workers
        self._metrics = metrics
        self._folders: dict[tuple[str, date], _Folder] = {}
        self._troubles: dict[str, Seldom] = {}
        self.waiting_events = 0
        self.waiting_bytes = 0

    def has_room(self, size: int) -> bool:
        """Whether one more event, of so many bytes, may wait."""
        limits = self._limits
        return (
            self.waiting_events < limits.waiting_events and self.waiting_bytes + size <= limits.waiting_bytes
        )

    def submit(self, object_type: str, event: Received) -> asyncio.Future[Outcome]:
        """Hand in an event; the future tells what became of it, within `answer_seconds`.

        Args:
            object_type: as part of a path, see `layout.folder_name`.
            event: what is to be kept.
        """
        loop = asyncio.get_running_loop()
        day = event.received_at.date()
        folder = self._folders.get((object_type, day))
        if folder is None:
            folder = self._folders[object_type, day] = _Folder(object_type, day)
        group = folder.gathering
        if group is None:
            window = self._limits.window_seconds
            group = folder.gathering = _Group(folder, loop.time() + window)
            group.look = loop.call_later(window / _LOOKS, self._look, group)
            group.timeout = loop.call_later(self._limits.answer_seconds, self._give_up, group)
        future: asyncio.Future[Outcome] = loop.create_future()
        group.events.append(event)
        group.waiting.append(future)
        group.bytes += len(event.body)
        self.waiting_events += 1
        self.waiting_bytes += len(event.body)
        if group.bytes >= _GROUP_BYTES:
            self._write_when_free(folder)
        return future

    def _look(self, group: _Group) -> None:
        """Write a group whose window has passed, or that has not grown since the last look."""
        loop = asyncio.get_running_loop()
        if len(group.events) == group.seen or loop.time() >= group.gathered_until:
            self._write_when_free(group.folder)
            return
        group.seen = len(group.events)
        group.look = loop.call_later(self._limits.window_seconds / _LOOKS, self._look, group)

    def _write_when_free(self, folder: _Folder) -> None:
        group = folder.gathering
        if group is None:
            return
        if group.look is not None:
            group.look.cancel()
        folder.is_due = folder.writes >= _WRITES_PER_FOLDER
        if folder.is_due:
            return
        folder.gathering = None
        folder.writes += 1
        self._workers.submit(partial(self._write, group)).add_done_callback(partial(self._written, group))

    def _write(self, group: _Group) -> float:
        """In a thread: make an object of the group. Returns seconds; raises LandingError."""
        if group.overdue:
            raise _NotStarted
        started = time.monotonic()
        path = new_path(group.folder.object_type, group.folder.day)
        data = gzip.compress(lines(path, group.events), _GZIP_LEVEL)
        try:
            self._zone.write(path, data)
        except ObjectExists:
            # nobody else makes this name: the client wrote it, lost the answer and tried once more
            _log.info("an object was written by a try whose answer was lost")
        return time.monotonic() - started

    def _written(self, group: _Group, done: asyncio.Future[float]) -> None:
        self._release(group)
        error = done.exception()
        if error is None:
            self._metrics.written(len(group.events), done.result())
            if self._troubles.pop(group.folder.object_type, None) is not None:
                fields = {"object_type": group.folder.object_type}
                _log.warning("events are stored again", extra={"fields": fields})
        elif not isinstance(error, _NotStarted):
            self._metrics.commit_failures.inc()
            # other errors than our own may quote what was being written
            reason = str(error) if isinstance(error, LandingError) else type(error).__name__
            self._complain(group.folder, reason)
        group.answer(Outcome.DURABLE if error is None else Outcome.FAILED)
        if not group.overdue:
            group.folder.writes -= 1
            self._go_on(group.folder)

    def _give_up(self, group: _Group) -> None:
        """Answer a group that is late, and let the next one of its folder be written beside it."""
        group.overdue = True
        group.answer(Outcome.LATE)
        self._metrics.commits_late.inc()
        folder = group.folder
        self._complain(folder, f"The landing zone took more than {self._limits.answer_seconds:g} s.")
        if folder.gathering is group:
            folder.gathering = None
            folder.is_due = False
            self._release(group)
        else:
            folder.writes -= 1
        self._go_on(folder)

    def _complain(self, folder: _Folder, reason: str) -> None:
        if failed := self._troubles.setdefault(folder.object_type, Seldom()).happened():
            fields = {"object_type": folder.object_type, "reason": reason, "failed_writes": failed}
            _log.error("events cannot be stored, and are answered 503", extra={"fields": fields})

    def _go_on(self, folder: _Folder) -> None:
        if folder.is_due:
            self._write_when_free(folder)
        elif folder.gathering is None and folder.writes == 0:
            self._folders.pop((folder.object_type, folder.day), None)

    def _release(self, group: _Group) -> None:
        for timer in (group.look, group.timeout):
            if timer is not None:
                timer.cancel()
        self.waiting_events -= len(group.events)
        self.waiting_bytes -= group.bytes


class _NotStarted(Exception):
    """The write was not begun: whoever waited for it was answered before."""
