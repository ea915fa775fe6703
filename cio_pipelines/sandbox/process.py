"""A sandbox in a process of its own, for tests and benchmarks."""

from __future__ import annotations

import base64
import json
import os
import selectors
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self, cast
from urllib.parse import urlencode

import httpx

from cio_pipelines.sandbox.options import SandboxError, SandboxOptions
from cio_pipelines.sandbox.server import AUTHORITY, READY

_START_SECONDS = 30.0
_STOP_SECONDS = 10.0
_POLL_SECONDS = 0.05
_CALL_SECONDS = 300.0


class SandboxServer:
    """A context manager: runs `python -m cio_pipelines.sandbox`, waits until it is ready, stops it after.

    Raises SandboxError when it does not come up. The methods speak to its control endpoints; they raise
    httpx.HTTPError when it is gone and SandboxError when it refuses.
    """

    url: str
    port: int
    process: subprocess.Popen[bytes]
    ca_file: Path | None

    def __init__(self, options: SandboxOptions | None = None) -> None:
        self.options = options or SandboxOptions()
        self._client: httpx.Client | None = None

    def __enter__(self) -> Self:
        # The child finds this package wherever the parent does, installed or not.
        path = (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH"))
        self._errors = tempfile.TemporaryFile()  # closed in stop()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cio_pipelines.sandbox", "--options-from-stdin"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))},
        )
        try:
            self._connect(self._first_line())
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        value: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Ask it to end, wait for it, and kill it if it does not. Does nothing when it has ended."""
        if self._client is not None:
            self._client.close()
            self._client = None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self._errors):
            if stream is not None and not stream.closed:
                stream.close()

    def stats(self) -> dict[str, Any]:
        """Counters since the start or the last reset."""
        return self._call("GET", "stats").json()

    def reset(self) -> None:
        """Forget people, logs and counters; faults stay."""
        self._call("POST", "reset")

    def set_faults(self, faults: Sequence[Mapping[str, Any]]) -> None:
        """Replace the faults in force; an empty list ends them. See `faults.Fault`."""
        self._call("PUT", "faults", json=list(faults))

    def people(self) -> dict[str, dict[str, Any]]:
        """Everybody by id (by e-mail, phone or `cio_...` without one): attributes typed as sent, and more.

        Blocked ids without a profile are among them, with `suppressed` true and no attributes. Numbers with a
        fraction are floats; read `/_sandbox/people` to have their digits.
        """
        people = {str(record["key"]): record for record in self._lines("people")}
        for record in self._lines("suppressed"):
            if record["kind"] == "id" and record["value"] not in people:
                value = record["value"]
                people[value] = {"key": value, "id": value, "attributes": {}, "suppressed": True}
        return people

    def suppressed(self) -> list[dict[str, Any]]:
        """Blocked identifiers: kind, value, at (unix seconds)."""
        return list(self._lines("suppressed"))

    def operations(self) -> list[dict[str, Any]]:
        """Every operation received, in the order they took effect.

        Each has sequence, action, type, id, outcome (accepted, rejected, ignored), at (unix seconds), for
        what was not done reason, field and message, and for an event name and event_id.
        """
        return list(self._lines("operations"))

    def send(self, channel: str = "email", **settings: Any) -> dict[str, Any]:
        """Send messages and let everything happen to them at once. See `messages.Sending`.

        Returns deliveries, events, metrics (metric → number) and skipped (why → people).
        """
        return self._call("POST", "send", json={"channel": channel, **settings}).json()

    def deliveries(self) -> list[dict[str, Any]]:
        """Every message, oldest first.

        Each has delivery_id, channel, person (their id, or what identifies them), recipient, subject, origin,
        created_at and send_at (unix seconds), state (scheduled, or the last metric), metrics, message_data
        (for a broadcast, the trigger's and the person's) and content (what else the call sent).
        """
        return list(self._lines("deliveries"))

    def delivery_counts(self, by: str = "recipient") -> dict[str, int]:
        """How many messages there are by recipient, person, channel, subject, state or data.NAME."""
        return self._call("GET", "deliveries/counts", params={"by": by}).json()

    def set_courses(self, **settings: Any) -> None:
        """Change what becomes of messages that the App API is asked for. See `courses.CourseSettings`."""
        self._call("PUT", "courses", json=settings)

    def send_scheduled(self) -> int:
        """Send now what was scheduled for later; returns how many messages that were."""
        return self._call("POST", "scheduled/send").json()["sent"]

    def triggers(self) -> list[dict[str, Any]]:
        """Every trigger of a broadcast, as the App API shows it, with audience, state, data and errors."""
        return list(self._lines("triggers"))

    def arrivals(self, person: str | None = None) -> dict[str, list[dict[str, Any]]]:
        """What arrived for each person (or one), in the order it took effect.

        Each has sequence, action, name and event_id (empty unless it is an event), outcome.
        """
        names = ("sequence", "action", "name", "event_id", "outcome")
        query = "" if person is None else f"?{urlencode({'id': person})}"
        return {
            record["id"]: [dict(zip(names, each, strict=True)) for each in record["operations"]]
            for record in self._lines(f"operations/arrivals{query}")
        }

    def event_arrivals(self, least: int = 1) -> dict[str, int]:
        """How often each event id arrived, accepted or not; only those that did at least so often."""
        return self._call("GET", "operations/event_ids", params={"least": least}).json()

    def unsubscribe(self, person_id: str) -> bool:
        """Do what a person's click does; False when they were unsubscribed."""
        return self._call("POST", "unsubscribe", json={"id": person_id}).json()["changed"]

    def resubscribe(self, person_id: str) -> bool:
        """Do what a person's click does; False when they were subscribed."""
        return self._call("POST", "resubscribe", json={"id": person_id}).json()["changed"]

    def export(self, folder: Path, version: Literal[4, 5] = 4) -> dict[str, Any]:
        """Write what changed since the last export as parquet files. See `exports.export`."""
        wanted = {"folder": str(folder.absolute()), "version": version}
        return self._call("POST", "export", json=wanted).json()

    def emit(self, events: Sequence[Any]) -> None:
        """Report these events, whatever they are. A bytes object is taken for JSON and sent as it is."""
        texts = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in events]
        self._call("POST", "events", content=b"[%b]" % b",".join(texts))

    def generate_events(self, count: int, **settings: Any) -> None:
        """Report events of all kinds. Settings are those of `generate.Generate`: seed, people, hours."""
        self._call("POST", "events", json={"generate": count, **settings})

    def webhooks(self) -> dict[str, Any]:
        """How reporting goes. See `webhooks.Reporter.report`."""
        return self._call("GET", "webhooks").json()

    def reported_events(self) -> list[dict[str, Any]]:
        """Every event to be reported, in order, those that were signed wrongly on purpose at the end.

        Each has number, event_id, state (waiting, acknowledged, given_up, forged), answers (2xx ones),
        attempts, status (of the last answer, or a word) and event.
        """
        return list(self._lines("webhooks/events"))

    def set_webhook(self, **settings: Any) -> None:
        """Change settings of the webhook, named as the options without `webhook_`: url, clock, streams, ….

        What waits for its next attempt is tried at once.
        """
        self._call("PUT", "webhooks", json=settings)

    def wait_until_reported(self, timeout: float = 30.0) -> dict[str, Any]:
        """Wait until nothing is left to send; returns `webhooks()`.

        Raises SandboxError after `timeout` seconds, and at once when there is no URL to send to.
        """
        deadline = time.monotonic() + timeout
        while not (report := self.webhooks())["idle"]:
            if report["settings"]["url"] is None:
                raise SandboxError("events wait and there is no URL: set_webhook(url=…) first")
            if time.monotonic() > deadline:
                raise SandboxError(
                    f"{report['queued'] + report['in_flight']} events are not reported after {timeout:g} "
                    f"seconds (failing: {report['failing'] or 'none'}): see webhooks()"
                )
            time.sleep(_POLL_SECONDS)
        return report

    def activities(self) -> list[dict[str, Any]]:
        """The activity log in order, as the App API shows it."""
        return list(self._lines("activities"))

    def _call(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        if self._client is None:
            raise SandboxError("the sandbox is not running: use it as a context manager")
        answer = self._client.request(method, f"/_sandbox/{path}", **arguments)
        if answer.status_code != 200:
            raise SandboxError(
                f"the sandbox refused {method} {path} ({answer.status_code}): {answer.text[:500]}"
            )
        return answer

    def _lines(self, path: str) -> Iterator[dict[str, Any]]:
        for line in self._call("GET", path).content.splitlines():
            yield cast("dict[str, Any]", json.loads(line))

    def _first_line(self) -> str:
        stdin, stdout = cast("IO[bytes]", self.process.stdin), cast("IO[bytes]", self.process.stdout)
        settings = {k: str(v) if isinstance(v, Path) else v for k, v in asdict(self.options).items()}
        try:
            stdin.write(json.dumps(settings).encode() + b"\n")
            stdin.flush()  # and it stays open: its end tells the sandbox that this process is gone
        except BrokenPipeError:
            raise self._failed() from None
        deadline = time.monotonic() + _START_SECONDS
        line = b""
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise SandboxError(f"the sandbox did not come up within {_START_SECONDS:g} seconds")
                piece = os.read(stdout.fileno(), 4096)
                if not piece:
                    raise self._failed()
                line += piece
        return line.decode().strip()

    def _failed(self) -> SandboxError:
        self.process.wait(_STOP_SECONDS)
        self._errors.seek(0)
        told = self._errors.read().decode("utf-8", "replace").strip()
        return SandboxError(told or f"the sandbox ended with exit code {self.process.returncode}")

    def _connect(self, line: str) -> None:
        if not line.startswith(READY):
            raise SandboxError(f"the sandbox said something unexpected: {line[:200]}")
        self.url, _, authority = line.removeprefix(READY).partition(AUTHORITY)
        self.port = int(self.url.rpartition(":")[2])
        self.ca_file = Path(authority) if authority else None
        verify = ssl.create_default_context(cafile=str(self.ca_file)) if self.ca_file else False
        # Not through a proxy of the environment: the sandbox is on this machine.
        self._client = httpx.Client(base_url=self.url, verify=verify, trust_env=False, timeout=_CALL_SECONDS)

    @property
    def track_authorization(self) -> str:
        """Value of an Authorization header that the Track API accepts."""
        credentials = f"{self.options.site_id}:{self.options.track_api_key}"
        return "Basic " + base64.b64encode(credentials.encode()).decode()

    @property
    def app_authorization(self) -> str:
        """Value of an Authorization header that the App API accepts."""
        return f"Bearer {self.options.app_api_key}"
