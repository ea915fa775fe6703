"""Processes and servers that are killed, and what they leave."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from cio_pipelines.messaging.queue import open_queue
from tests.messaging import child
from tests.messaging.queues import deliver_all
from tests.redis import RedisServer

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]


def start(url: str, role: str, record: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "tests.messaging.child", url, role, str(record)], cwd=ROOT)


async def wait_for(processes: list[subprocess.Popen[bytes]], count: Callable[[], int], more: int) -> None:
    """Wait until the processes, which have to live on, did so much more."""
    deadline = time.monotonic() + 30
    before = count()
    while count() < before + more:
        assert all(process.poll() is None for process in processes)
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def kill_at_some_moment(process: subprocess.Popen[bytes], record: Path, least: int) -> None:
    """Kill -9 when it has done something; the moment within its work is chance."""
    await wait_for([process], lambda: len(lines(record)), least)
    await asyncio.sleep(random.random() * 0.05)
    process.kill()
    assert process.wait() == -9


def lines(record: Path) -> list[str]:
    return record.read_text().splitlines() if record.exists() else []


async def test_nothing_is_lost_or_half_kept_when_processes_are_killed(queue_url: str, tmp_path: Path) -> None:
    puts, works = tmp_path / "puts", tmp_path / "works"
    for _ in range(3):
        await kill_at_some_moment(start(queue_url, "put", puts), puts, 50)
        await kill_at_some_moment(start(queue_url, "work", works), works, 40)
    await check_books(queue_url, puts, works)


async def test_nothing_is_lost_when_redis_is_killed_while_processes_use_it(
    own_server: RedisServer, tmp_path: Path
) -> None:
    puts, works = tmp_path / "puts", tmp_path / "works"
    processes = [start(own_server.url, "put", puts), start(own_server.url, "work", works)]
    try:
        for _ in range(3):
            await wait_for(processes, lambda: len(lines(works)), 40)
            await asyncio.to_thread(own_server.restart)
        await wait_for(processes, lambda: len(lines(works)), 40)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    tried = [line for line in lines(works) if line.startswith("try")]
    # not even a take or a settlement whose answer was lost is done again
    assert len(tried) == len(set(tried))
    await check_books(own_server.url, puts, works)


async def check_books(queue_url: str, puts: Path, works: Path) -> None:
    """What was acknowledged was delivered or is there, once and in order; the rest are whole puts."""
    words = [line.split() for line in lines(works)]
    tried = [int(number) for word, number in words if word == "try"]
    done = {int(number) for word, number in words if word == "done"}
    async with open_queue(queue_url) as queue:
        await asyncio.sleep(1.1)  # the leases of the killed end
        left = [int(body) for body in await deliver_all(queue, "track")]
        depths = await queue.depths()
    assert all(depth.waiting + depth.delayed + depth.in_flight == 0 for depth in depths.values())

    assert not done & set(left)
    acknowledged = {int(line) for line in lines(puts)}
    kept = set(tried) | set(left)
    assert acknowledged <= kept
    # a killed producer may have kept a put that it did not hear of, but all of it
    unheard = Counter(number // 100_000 for number in kept - acknowledged)
    assert set(unheard.values()) <= {child.PUT_AT_ONCE}
    for name in {child.line_of(number) for number in kept}:
        order = [number for number in dict.fromkeys(tried + left) if child.line_of(number) == name]
        assert order == sorted(order)


async def test_a_file_is_shared_by_processes_at_the_same_time(tmp_path: Path) -> None:
    url = f"sqlite://{tmp_path}/queue.sqlite"
    puts, works = tmp_path / "puts", [tmp_path / f"works-{n}" for n in range(2)]
    processes = [start(url, "put", puts), *(start(url, "work", record) for record in works)]
    try:
        await wait_for(processes, lambda: len(lines(puts)), 300)
        await wait_for(processes, lambda: min(len(lines(record)) for record in works), 50)
    finally:
        for process in processes:
            process.kill()
            process.wait()
