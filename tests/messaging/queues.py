"""What the tests of queues share."""

from __future__ import annotations

from collections.abc import Sequence

from cio_pipelines.messaging.queue.protocol import Delivered, Failure, NewMessage, Queue, QueueName, Taken

LONG = 600.0
"""A lease that does not end during a test, seconds."""
FAILED = Failure(at=1.0, reason="refused", field="email", message="not an address", status=400)


def message(line: str = "person:1", body: str = "{}", queue: QueueName = "identify") -> NewMessage:
    return NewMessage(queue, line, body.encode())


def messages(lines: int, each: int = 1, queue: QueueName = "identify") -> list[NewMessage]:
    """`each` messages in each of so many lines; bodies are `<line>.<number>`."""
    return [message(f"person:{n}", f"{n}.{k}", queue) for k in range(each) for n in range(lines)]


def bodies(taken: Sequence[Taken]) -> list[str]:
    return [one.body.decode() for one in taken]


async def take_one(queue: Queue, name: QueueName = "identify", lease_seconds: float = LONG) -> Taken:
    [taken] = await queue.take(name, 10, lease_seconds)
    return taken


async def deliver_all(queue: Queue, name: QueueName = "identify", limit: int = 100) -> list[str]:
    """Deliver what can be taken until nothing can; the bodies in the order they were taken."""
    seen: list[str] = []
    while taken := await queue.take(name, limit, LONG):
        seen += bodies(taken)
        assert await queue.settle([Delivered(one) for one in taken]) == 0
    return seen
