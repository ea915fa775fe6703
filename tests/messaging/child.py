"""A process that uses a queue until it is killed: `python -m tests.messaging.child URL ROLE FILE`.

It writes down what it does, a line each: a producer the numbers that were acknowledged, a worker
`try <number>` before and `done <number>` after it settled.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from pathlib import Path

from cio_pipelines.messaging.queue import open_queue
from cio_pipelines.messaging.queue.protocol import Delivered, NewMessage

LINES = 20
PUT_AT_ONCE = 7


async def put(url: str, record: Path) -> None:
    """Numbered messages, seven at a time; a number is never used twice, not even by the next producer."""
    before = record.read_text().split() if record.exists() else []
    start = (int(before[-1]) // 100_000 + 1) * 100_000 if before else 0
    with record.open("a", buffering=1) as log:
        async with open_queue(url) as queue:
            for first in itertools.count(start, PUT_AT_ONCE):
                numbers = range(first, first + PUT_AT_ONCE)
                await queue.put([NewMessage("track", line_of(n), b"%d" % n) for n in numbers])
                log.write("".join(f"{n}\n" for n in numbers))


async def work(url: str, record: Path) -> None:
    """Take and deliver with short leases."""
    with record.open("a", buffering=1) as log:
        async with open_queue(url) as queue:
            while True:
                taken = await queue.take("track", 5, 1.0)
                log.write("".join(f"try {one.body.decode()}\n" for one in taken))
                for one in taken:
                    if not await queue.settle([Delivered(one)]):
                        log.write(f"done {one.body.decode()}\n")
                if not taken:
                    await queue.wait("track", 0.1)


def line_of(number: int) -> str:
    """The line of a message."""
    return f"line:{number % LINES}"


if __name__ == "__main__":
    url, role, record = sys.argv[1:]
    asyncio.run({"put": put, "work": work}[role](url, Path(record)))
