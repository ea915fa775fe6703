"""Mixed messages through workers that are killed, a queue that is restarted and an API that fails."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import orjson
from ulid import ULID

from cio_pipelines.customerio import Ids, PersonIdentifiers, TransactionalEmail
from cio_pipelines.messaging.queue import open_queue
from cio_pipelines.messaging.queue.protocol import LetterFilter, QueuedLetter
from cio_pipelines.messaging.queued import QueuedMessagingService
from cio_pipelines.sandbox import SandboxServer

from .rig import until_settled

FAULTS = [
    # applied at once and answered late: who is killed meanwhile does not know it
    {"kind": "slow", "seconds": 0.3, "every": 3, "path": "/api/v2/batch"},
    {"kind": "status", "status": 500, "every": 20},
    {"kind": "status", "status": 429, "every": 50, "retry_after": 1},
    # always the same people: whatever is said of them is refused
    {"kind": "reject", "hash_every": 100, "field": "attributes.n"},
]
_BROADCASTS = 2
_PEOPLE_EACH = 20
"""Messages of a person, on the average."""


@dataclass(slots=True)
class Sent:
    """What was put: event ids of each person in order, the last identify of each, and mails by person."""

    events: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    last_identify: dict[str, int] = field(default_factory=dict[str, int])
    identifies: Counter[str] = field(default_factory=Counter[str])
    mails: Counter[str] = field(default_factory=Counter[str])


class Workers:
    """Processes of `cio worker`, each replaced as soon as it is killed."""

    def __init__(self, url: str, sandbox: SandboxServer, folder: Path, number: int) -> None:
        self._environment = {
            **os.environ,
            "QUEUE_URL": url,
            "CUSTOMERIO_TRACK_URL": sandbox.url,
            "CUSTOMERIO_APP_URL": sandbox.url,
            "CUSTOMERIO_REQUESTS_PER_SECOND": "10000",
            "CIO_WORKER_LEASE_SECONDS": "5",
        }
        self._log = (folder / "workers.log").open("ab")
        self._processes = [self._start() for _ in range(number)]

    def _start(self) -> subprocess.Popen[bytes]:
        command = [Path(sys.executable).with_name("cio"), "worker"]
        return subprocess.Popen(command, env=self._environment, stdout=self._log, stderr=self._log)

    def kill_one(self) -> None:
        """SIGKILL the oldest and start another."""
        victim = self._processes.pop(0)
        assert victim.poll() is None, "a worker ended by itself"
        victim.kill()
        victim.wait()
        self._processes.append(self._start())

    def stop(self) -> None:
        """End all as an operator does; they must do so cleanly."""
        for process in self._processes:
            process.terminate()
        codes = [process.wait(60) for process in self._processes]
        self._log.close()
        assert codes == [0] * len(codes)


async def put(service: QueuedMessagingService, messages: int, mails: int) -> Sent:
    """Put identifies and events of many people, mails and a few broadcasts, mixed; 1,000 callers in turn."""
    chance = random.Random(5)
    sent = Sent()
    people = [f"person-{number}" for number in range(max(1, messages // _PEOPLE_EACH))]
    for start in range(0, messages, 500):
        count = min(500, messages - start)
        calls: list[asyncio.Task[object]] = []
        for number in range(start, start + count):
            who = chance.choice(people)
            if number % 2:
                event = str(ULID())
                sent.events.setdefault(who, []).append(event)
                call = service.enqueue_track(who, f"event {number}", {"n": number}, event_id=event)
            else:
                sent.last_identify[who] = number
                sent.identifies[who] += 1
                call = service.enqueue_identify(who, {"n": number})
            calls.append(asyncio.create_task(call))
        for _ in range(mails * count // messages):
            who = chance.choice(people)
            sent.mails[who] += 1
            mail = TransactionalEmail(
                to=f"{who}@example.com",
                transactional_message_id=1,
                identifiers=PersonIdentifiers(id=who),
                message_data={"receipt": start},
            )
            calls.append(asyncio.create_task(service.enqueue_transactional(mail)))
        await asyncio.gather(*calls)
    for number in range(_BROADCASTS):
        await service.enqueue_broadcast(number + 1, Ids(people[:10], id_ignore_missing=True), {"n": number})
    return sent


async def run_storm(
    url: str,
    sandbox: SandboxServer,
    folder: Path,
    *,
    messages: int,
    mails: int,
    kills: int,
    seconds: float,
    halfway: Callable[[], None] | None = None,
) -> tuple[Sent, list[QueuedLetter]]:
    """Put and deliver under fire; returns what was put and the dead letters when all is settled.

    `kills` workers are killed within about `seconds`; `halfway` is called in the middle of it.
    """
    sandbox.set_faults(FAULTS)
    workers = Workers(url, sandbox, folder, 2)
    try:
        async with QueuedMessagingService(open_queue(url)) as service:
            putting = asyncio.create_task(put(service, messages, mails))
            for number in range(kills):
                await asyncio.sleep(seconds / kills)
                if number == kills // 2 and halfway is not None:
                    await asyncio.to_thread(halfway)
                await asyncio.to_thread(workers.kill_one)
            sent = await putting
            await until_settled(service, timeout=240)
    finally:
        workers.stop()
    async with open_queue(url) as queue:
        return sent, await queue.letters(LetterFilter(), limit=messages)


async def replay_all(url: str, sandbox: SandboxServer, folder: Path) -> int:
    """Let the API be well again and replay every dead letter; returns how many are dead after that."""
    sandbox.set_faults([])
    async with open_queue(url) as queue:
        await queue.replay(LetterFilter())
        workers = Workers(url, sandbox, folder, 1)
        try:
            await until_settled(queue, timeout=120)
        finally:
            workers.stop()
        return sum(depth.dead for depth in (await queue.depths()).values())


def check(sandbox: SandboxServer, sent: Sent, letters: list[QueuedLetter]) -> int:
    """Everything arrived, and in order; what was a dead letter came after its neighbours.

    Returns how many events arrived more than once.
    """
    arrivals = sandbox.arrivals()
    dead_events, dead_identifies = _dead(letters)
    twice = 0
    for who, events in sent.events.items():
        taken = [
            each["event_id"]
            for each in arrivals[who]
            if each["action"] == "event" and each["outcome"] != "rejected"
        ]
        first = list(dict.fromkeys(taken))
        twice += len(taken) - len(first)
        for is_dead in (False, True):
            wanted = [event for event in events if (event in dead_events) is is_dead]
            assert [event for event in first if (event in dead_events) is is_dead] == wanted, who
    people = sandbox.people()
    for who, number in sent.last_identify.items():
        each_arrived = Counter(each["action"] for each in arrivals[who] if each["outcome"] != "rejected")
        assert each_arrived["identify"] >= sent.identifies[who]
        # of two within a second the later one holds, and a replayed one is later
        if dead_identifies[who] in (0, sent.identifies[who]):
            assert people[who]["attributes"]["n"] == number, who
    deliveries = sandbox.deliveries()
    mails = Counter(each["person"] for each in deliveries if "transactional_message_id" in each["origin"])
    assert mails == sent.mails
    assert len(sandbox.triggers()) == _BROADCASTS
    return twice


def _dead(letters: list[QueuedLetter]) -> tuple[set[str], Counter[str]]:
    """Ids of events that were dead letters, and how many identifies of each person were."""
    events: set[str] = set()
    identifies: Counter[str] = Counter()
    for letter in letters:
        body = orjson.loads(letter.body)
        if letter.queue == "track":
            events.add(body["id"])
        elif letter.queue == "identify":
            identifies[body["identifiers"]["id"]] += 1
    return events, identifies
