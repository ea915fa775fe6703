"""What is to be reported: every event in order, which are acknowledged, which still wait."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Literal

import msgspec
from ulid import ULID

State = Literal["waiting", "acknowledged", "given_up", "forged"]
"""`forged` is a request that was signed wrongly on purpose."""


class Reported(msgspec.Struct):
    """One event. `person` is what decides its stream, `body` the event's JSON as it is sent.

    `answers` counts 2xx answers, `attempts` requests; `status` is that of the last answer, or a word.
    """

    number: int
    event_id: str
    person: str
    body: bytes
    answers: int = 0
    attempts: int = 0
    status: str = ""
    given_up: bool = False
    forged: bool = False

    @property
    def state(self) -> State:
        """What has become of it."""
        if self.forged:
            return "forged"
        return "acknowledged" if self.answers else "given_up" if self.given_up else "waiting"

    @property
    def done(self) -> bool:
        """Whether it need not be sent (any more)."""
        return self.answers > 0 or self.given_up


class Outbox:
    """Events by number.

    Args:
        limit: most events that are remembered; the oldest are forgotten first, but those that are being sent
            only once they are done.
        note: called with each event that is new or has changed, to write it down.
    """

    def __init__(self, limit: int, note: Callable[[Reported], None]) -> None:
        self._limit = limit
        self._note = note
        self.listener: Callable[[Reported], None] | None = None
        self.last_number = 0
        self.clear()

    def clear(self) -> None:
        """Forget everything; numbers go on, so that none names two events."""
        self.events: dict[int, Reported] = {}
        self.forged: deque[Reported] = deque(maxlen=self._limit)
        self.waiting = 0
        self.acknowledged = 0
        self.given_up = 0

    def add(self, person: str, event_id: str, body: bytes) -> None:
        """Put an event at the end; it is on its way when somebody listens."""
        self.last_number += 1
        event = Reported(self.last_number, event_id, person, body)
        self.events[event.number] = event
        self.waiting += 1
        self._note(event)
        if self.listener is not None:
            self.listener(event)
        if len(self.events) > self._limit:
            self._forget_oldest()

    def acknowledge(self, event: Reported) -> bool:
        """Count a 2xx answer; whether it was the first."""
        event.answers += 1
        if event.answers > 1:
            return False
        self.waiting -= 1
        self.acknowledged += 1
        self._note(event)
        return True

    def give_up(self, event: Reported) -> None:
        """Say that an event is not tried again."""
        event.given_up = True
        self.waiting -= 1
        self.given_up += 1
        self._note(event)

    def forge(self, event: Reported, event_id: str) -> Reported | None:
        """A copy under another id, never to be signed correctly; None when its own id is not to be found."""
        present = b'"%b"' % event.event_id.encode()
        if not event.event_id or present not in event.body:
            return None
        body = event.body.replace(present, b'"%b"' % event_id.encode(), 1)
        forged = Reported(event.number, event_id, event.person, body, forged=True)
        self.forged.append(forged)
        return forged

    def restore(self, event: Reported) -> None:
        """Put back an event read from the database."""
        self.events[event.number] = event
        self.last_number = max(self.last_number, event.number)
        if event.answers:
            self.acknowledged += 1
        elif event.given_up:
            self.given_up += 1
        else:
            self.waiting += 1

    def pending(self) -> list[Reported]:
        """Events that wait, in order."""
        return [event for event in self.events.values() if not event.done] if self.waiting else []

    def records(self) -> Iterator[dict[str, Any]]:
        """Every event with its state, forged ones at the end."""
        for event in [*self.events.values(), *self.forged]:
            yield {
                "number": event.number,
                "event_id": event.event_id,
                "state": event.state,
                "answers": event.answers,
                "attempts": event.attempts,
                "status": event.status,
                "event": msgspec.Raw(event.body),
            }

    def _forget_oldest(self) -> None:
        number, event = next(iter(self.events.items()))
        if not event.done:
            if self.listener is not None:
                return
            self.waiting -= 1
        del self.events[number]


def new_event_id(timestamp: float | None = None) -> str:
    """A ULID of a moment in unix seconds (now without one); of one moment, later ids sort after earlier."""
    return str(ULID.from_timestamp(time.time() if timestamp is None else float(timestamp)))
