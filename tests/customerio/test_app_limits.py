"""The three limits of the App API, as they are by default, on a clock that waiting moves."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any, TypeVar

import httpx
import pytest

from cio_pipelines.customerio import (
    AppClient,
    PersonIdentifiers,
    RateLimited,
    RetryPolicy,
    TransactionalInApp,
)

Result = TypeVar("Result")
MESSAGE = TransactionalInApp(transactional_message_id=1, identifiers=PersonIdentifiers(id="1"))


class JumpingSelector(selectors.DefaultSelector):
    """Waits for nothing: its clock jumps to when the loop has something to do, and never stands still."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += max(timeout or 0.0, 1e-7)
        return super().select(0)


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop on that clock. There must be no real network on it: nobody would wait for an answer."""

    def __init__(self) -> None:
        self.jumping = JumpingSelector()
        super().__init__(self.jumping)

    def time(self) -> float:
        return self.jumping.now


class Network(httpx.AsyncBaseTransport):
    """Answers at once, and notes when each request came by the loop's clock."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, float]] = []
        self.refusals: list[httpx.Response] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.seen.append((request.url.path, asyncio.get_running_loop().time()))
        if self.refusals:
            return self.refusals.pop()
        return httpx.Response(200, json={"delivery_id": "d", "id": 1, "segments": []})

    def times(self, within: str) -> list[float]:
        return [moment for path, moment in self.seen if within in path]


def run(work: Callable[[AppClient], Awaitable[Result]], network: Network, **settings: Any) -> Result:
    async def main() -> Result:
        loop = asyncio.get_running_loop()
        policy = RetryPolicy(clock=loop.time, deadline=1_000)
        async with AppClient(api_key="k", retry=policy, transport=network, **settings) as client:
            return await work(client)

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(main())


async def many(count: int, call: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(call())  # pyright: ignore[reportArgumentType]


def test_a_broadcast_is_triggered_every_ten_seconds_and_no_sooner() -> None:
    network = Network()
    run(lambda client: many(4, lambda: client.trigger_broadcast(1)), network)
    assert network.times("/triggers") == pytest.approx([0, 10, 20, 30], abs=0.01)


def test_ten_requests_a_second_for_everything_else() -> None:
    network = Network()
    run(lambda client: many(41, client.segments), network)
    times = network.times("/segments")
    assert times[-1] - times[0] == pytest.approx(4.0, abs=0.11)
    assert max(most_in_a_second(times)) <= 11


def test_a_hundred_transactional_messages_a_second() -> None:
    network = Network()
    run(lambda client: many(401, lambda: client.send(MESSAGE)), network)
    times = network.times("/send/")
    assert times[-1] - times[0] == pytest.approx(4.0, abs=0.05)
    assert max(most_in_a_second(times)) <= 102


def test_limits_are_kept_apart() -> None:
    network = Network()

    async def all_at_once(client: AppClient) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(many(3, lambda: client.trigger_broadcast(1)))
            group.create_task(many(11, client.segments))
            group.create_task(many(101, lambda: client.send(MESSAGE)))

    run(all_at_once, network)
    ends = [network.times(path)[-1] for path in ("/triggers", "/segments", "/send/")]
    assert ends == pytest.approx([20, 1, 1], abs=0.11)


@pytest.mark.parametrize(
    ("paused", "path"), [("send", "/send/"), ("broadcast", "/triggers"), ("look", "/seg")]
)
def test_the_pause_that_a_429_asks_for_holds_up_its_own_limit_only(paused: str, path: str) -> None:
    network = Network()
    calls: dict[str, Callable[[AppClient], Awaitable[object]]] = {
        "send": lambda client: client.send(MESSAGE),
        "broadcast": lambda client: client.trigger_broadcast(1),
        "look": lambda client: client.segments(),
    }

    async def work(client: AppClient) -> None:
        network.refusals = [httpx.Response(429, headers={"Retry-After": "300"})]
        held = asyncio.ensure_future(calls[paused](client))
        await asyncio.sleep(0.2)
        assert len(network.seen) == 1
        for name, call in calls.items():
            if name != paused:
                await call(client)
        await held

    run(work, network)
    assert network.times(path) == pytest.approx([0, 300], abs=0.01)
    others = [moment for seen, moment in network.seen if path not in seen]
    assert len(others) == 2
    assert max(others) < 1


def test_a_second_attempt_of_a_trigger_waits_its_turn_too() -> None:
    network = Network()
    network.refusals = [httpx.Response(429)]
    run(lambda client: client.trigger_broadcast(1), network)
    assert network.times("/triggers") == pytest.approx([0, 10], abs=0.01)


def test_limits_can_be_set() -> None:
    network = Network()

    async def work(client: AppClient) -> None:
        await many(3, lambda: client.trigger_broadcast(1))
        await many(3, client.segments)
        await many(3, lambda: client.send(MESSAGE))

    run(work, network, seconds_per_broadcast=60, requests_per_second=0.5, transactional_per_second=0.25)
    paths = ("/triggers", "/segments", "/send/")
    gaps = [later - earlier for path in paths for earlier, later in pairwise(network.times(path))]
    assert gaps == pytest.approx([60, 60, 2, 2, 4, 4], abs=0.01)


def test_a_client_that_tries_once_leaves_repetition_to_its_caller() -> None:
    network = Network()
    network.refusals = [httpx.Response(429)]

    async def work() -> None:
        once = RetryPolicy(max_attempts=1)
        async with AppClient(api_key="k", retry=once, transport=network) as client:
            await client.send(MESSAGE)

    with pytest.raises(RateLimited), asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(work())
    assert len(network.seen) == 1


def most_in_a_second(times: list[float]) -> list[int]:
    return [sum(1 for other in times if moment <= other < moment + 0.999) for moment in times]
