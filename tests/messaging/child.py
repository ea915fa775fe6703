"""A process that uses a queue until it is killed: `python -m tests.messaging.child URL ROLE FILE`.

What it knows to be done it appends to the file, a line each: ids that were put, or bodies that were settled.
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
    """Numbered messages, seven at a time, the numbers of a put next to each other."""
    with record.open("a", buffering=1) as log:
        async with open_queue(url) as queue:
            for first in itertools.count(0, PUT_AT_ONCE):
                numbers = range(first, first + PUT_AT_ONCE)
                await queue.put([NewMessage("track", f"line:{n % LINES}", b"%d" % n) for n in numbers])
                log.write("".join(f"{n}\n" for n in numbers))


async def work(url: str, record: Path) -> None:
    """Take and deliver with short leases."""
    with record.open("a", buffering=1) as log:
        async with open_queue(url) as queue:
            while True:
                taken = await queue.take("track", 5, 0.3)
                lost = await queue.settle([Delivered(one) for one in taken])
                if not lost:
                    log.write("".join(f"{one.order_key} {one.body.decode()}\n" for one in taken))
                if not taken:
                    await queue.wait("track", 0.1)


if __name__ == "__main__":
    url, role, record = sys.argv[1:]
    asyncio.run({"put": put, "work": work}[role](url, Path(record)))
