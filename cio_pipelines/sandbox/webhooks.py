"""Sending events to a webhook as Customer.io does: signed, in order, again until they are acknowledged.

Within four seconds the answer must be 2xx. Anything else is tried again with growing waits for seven days,
and everything behind it waits too.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
import zlib
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from cio_pipelines.customerio.signature import SIGNATURE_HEADER, TIMESTAMP_HEADER, sign
from cio_pipelines.sandbox.connection import Connection, Target
from cio_pipelines.sandbox.options import SandboxError
from cio_pipelines.sandbox.outbox import Outbox, Reported, new_event_id
from cio_pipelines.sandbox.stats import AnswerTimes
from cio_pipelines.sandbox.webhook_settings import WebhookSettings

HOUR = 3600.0
SEVEN_DAYS = 7 * 24 * HOUR
_AFTER_AN_HOUR = frozenset(
    {"400", "401", "402", "403", "404", "405", "410", "429", "500", "502", "521", "connection", "tls"}
)
# How the waits grow is not documented.
_FIRST_WAIT = 10.0
_LONGEST_WAIT = 12 * HOUR
_MOST_DOUBLINGS = 20
_WRITE_DOWN_SECONDS = 0.2


def patience(status: str, attempt: int) -> float:
    """Seconds from a failed attempt (1 is the first) to the next, by its status or the word for it."""
    first = HOUR if status in _AFTER_AN_HOUR else _FIRST_WAIT
    return min(first * 2 ** min(attempt - 1, _MOST_DOUBLINGS), _LONGEST_WAIT)


class _Stream:
    """A queue whose head holds back the rest. `failing` is the status that it failed with last."""

    def __init__(self) -> None:
        self.queue: deque[Reported] = deque()
        self.filled = asyncio.Event()
        self.failing = ""


class Reporter:
    """Sends what the outbox holds while there is a URL.

    Args:
        settings: see `WebhookSettings`.
        outbox: whose events are sent.
        settle: writes down what was acknowledged. It may raise SandboxError, and is then called again.
    """

    def __init__(self, settings: WebhookSettings, outbox: Outbox, settle: Callable[[], None]) -> None:
        self.settings = settings
        self._outbox = outbox
        self._settle = settle
        self._random = random.Random(0)  # noqa: S311  # which events are doubled or forged is no secret
        self._streams: list[_Stream] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._write_down: asyncio.TimerHandle | None = None
        self._stopped = False
        self._in_flight = 0
        self._forget_counts()
        if settings.url is not None:
            outbox.listener = self._added

    def start(self) -> None:
        """Begin with what waits, in the running event loop. Does nothing without a URL, or when started."""
        if self._streams or self._stopped or self.settings.url is None:
            return
        target = Target(self.settings.url)
        self._streams = [_Stream() for _ in range(self.settings.streams)]
        for event in self._outbox.pending():
            self._stream_of(event).queue.append(event)
        for stream in self._streams:
            task = asyncio.get_running_loop().create_task(self._serve(stream, Connection(target)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def configure(self, settings: WebhookSettings) -> None:
        """Go on with other settings. What waits for its next attempt is tried at once."""
        self._end()
        self.settings = settings
        self._outbox.listener = self._added if settings.url is not None else None
        self.start()

    def forget(self) -> None:
        """Drop what waits, and begin to count anew."""
        self._end()
        self._outbox.clear()
        self._forget_counts()
        self.start()

    async def stop(self) -> None:
        """End for good; events that still come in stay in the outbox. Raises SandboxError, as `settle`."""
        self._stopped = True
        tasks = list(self._tasks)
        self._end()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._write_down is not None:
            self._write_down.cancel()
            self._settle()

    @property
    def queued(self) -> int:
        """Requests that are to be made: events that wait, and repetitions on purpose."""
        return sum(len(s.queue) for s in self._streams) if self._streams else self._outbox.waiting

    def failing(self) -> dict[str, int]:
        """Streams that a failing event holds back, by the status it failed with last."""
        return dict(Counter(stream.failing for stream in self._streams if stream.failing))

    def report(self) -> dict[str, Any]:
        """Everything as one JSON object; times in milliseconds, within a per cent.

        `events_per_second` is from the first attempt to the last acknowledgement. `written_down` tells
        whether the database knows of every acknowledgement, `trouble` what keeps it from that.
        """
        queued = self.queued
        span = self._last_acknowledged - self._first_attempt
        return {
            "settings": self.settings.shown(),
            "idle": not queued,
            "queued": max(queued - self._in_flight, 0),
            "in_flight": self._in_flight,
            "acknowledged": self._outbox.acknowledged,
            "given_up": self._outbox.given_up,
            "failing": self.failing(),
            "attempts": self._attempts,
            "by_status": dict(self._by_status),
            "duplicates_sent": self._duplicates,
            "bad_signatures": {"sent": sum(self._forged.values()), "by_status": dict(self._forged)},
            "answer_ms": {"2xx": self._times_ok.summary(), "all": self._times.summary()},
            "events_per_second": round(self._first_acknowledgements / span, 1) if span > 0 else 0.0,
            "written_down": self._write_down is None,
            "trouble": self._trouble,
        }

    def _forget_counts(self) -> None:
        self._attempts = 0
        self._by_status: Counter[str] = Counter()
        self._forged: Counter[str] = Counter()
        self._duplicates = 0
        self._times, self._times_ok = AnswerTimes(), AnswerTimes()
        self._first_attempt = self._last_acknowledged = 0.0
        self._first_acknowledgements = 0
        self._trouble = ""

    def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._streams = []

    def _added(self, event: Reported) -> None:
        if self._streams:
            stream = self._stream_of(event)
            stream.queue.append(event)
            stream.filled.set()
        else:
            self.start()

    def _stream_of(self, event: Reported) -> _Stream:
        """Always the same one for a person, so that their events stay in order."""
        number = len(self._streams)
        return self._streams[zlib.crc32(event.person.encode()) % number if number > 1 else 0]

    async def _serve(self, stream: _Stream, connection: Connection) -> None:
        try:
            while True:
                while not stream.queue:
                    stream.filled.clear()
                    await stream.filled.wait()
                event = stream.queue[0]
                if self._strikes(self.settings.bad_signatures):
                    await self._send_forged(event, connection)
                await self._deliver(event, stream, connection)
                stream.queue.popleft()
        finally:
            connection.close()

    async def _deliver(self, event: Reported, stream: _Stream, connection: Connection) -> None:
        """Try until it is acknowledged or seven days have passed."""
        settings, again = self.settings, event.answers > 0
        if again:
            self._duplicates += 1
        started = time.monotonic()
        self._first_attempt = self._first_attempt or started
        fields = b""
        attempt = 0
        while True:
            attempt += 1
            if settings.resign or not fields:
                fields = _signed(settings.signing_key, event.body)
            self._attempts += 1
            status = await self._attempt(event, fields, connection)
            self._by_status[status] += 1
            if status.startswith("2"):
                break
            stream.failing = status
            wait = patience(status, attempt)
            if (time.monotonic() - started) * settings.clock + wait > SEVEN_DAYS:
                if not again:
                    self._outbox.give_up(event)
                    self._changed()
                stream.failing = ""
                return
            await asyncio.sleep(wait / settings.clock)
        stream.failing = ""
        if self._outbox.acknowledge(event):
            self._first_acknowledgements += 1
            self._last_acknowledged = time.monotonic()
            self._changed()
            if self._strikes(settings.duplicates):
                stream.queue.append(event)

    async def _send_forged(self, event: Reported, connection: Connection) -> None:
        """Once, besides the event: whatever the answer, it is not repeated."""
        forged = self._outbox.forge(event, new_event_id())
        if forged is None:
            return
        fields = _signed(f"not {self.settings.signing_key}", forged.body)
        status = await self._attempt(forged, fields, connection)
        self._forged[status] += 1
        if status.startswith("2"):
            forged.answers += 1

    async def _attempt(self, event: Reported, fields: bytes, connection: Connection) -> str:
        """One request; its status, or `timeout`, `connection`, `tls` or `not_http`."""
        self._in_flight += 1
        event.attempts += 1
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self.settings.timeout):
                event.status = str(await connection.post(fields, event.body))
            taken = time.perf_counter() - started
            self._times.add(taken)
            if event.status.startswith("2"):
                self._times_ok.add(taken)
        except TimeoutError:
            event.status = "timeout"
        except ssl.SSLError:
            event.status = "tls"
        except OSError:
            event.status = "connection"
        except ValueError:
            event.status = "not_http"
        finally:
            self._in_flight -= 1
        return event.status

    def _strikes(self, share: float) -> bool:
        return share > 0 and self._random.random() < share

    def _changed(self) -> None:
        """Write down together what is acknowledged in a moment; what is lost of it is sent again."""
        if self._write_down is None:
            loop = asyncio.get_running_loop()
            self._write_down = loop.call_later(_WRITE_DOWN_SECONDS, self._written_down)

    def _written_down(self) -> None:
        self._write_down = None
        try:
            self._settle()
            self._trouble = ""
        except SandboxError as error:
            self._trouble = str(error)
            self._changed()


def _signed(key: str, body: bytes) -> bytes:
    """The header lines that tell when a body was signed, and how."""
    timestamp = int(time.time())
    text = f"{TIMESTAMP_HEADER}: {timestamp}\r\n{SIGNATURE_HEADER}: {sign(key, timestamp, body)}\r\n"
    return text.encode()
