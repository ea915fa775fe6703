from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from cio_pipelines.customerio import (
    DeadlineExceeded,
    DeletePerson,
    Forbidden,
    NotFound,
    PersonIdentifiers,
    RateLimited,
    RetryBudgetExhausted,
    RetryPolicy,
    SendResult,
    ServerError,
    Timeouts,
    TrackClient,
    TransportError,
    Unauthorized,
    UnexpectedResponse,
)
from cio_pipelines.customerio.retry import RetryBudget, retry_after_seconds

from .conftest import people
from .scripted_server import RESET, Answer, ScriptedServer

pytestmark = pytest.mark.anyio
Connect = Callable[..., TrackClient]
NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


class FakeTime:
    """A clock that sleeping moves, and a record of the sleeps."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds

    def policy(self, **settings: Any) -> RetryPolicy:
        defaults: dict[str, Any] = {
            "clock": self.clock,
            "sleep": self.sleep,
            "uniform": lambda low, high: high,
        }
        return RetryPolicy(**{**defaults, **settings})


async def send_one(client: TrackClient) -> SendResult:
    return await client.send(people(3), 0, 3)


@pytest.mark.parametrize(
    "trouble", [Answer(408), Answer(429), Answer(500), Answer(502), Answer(503), Answer(599), RESET]
)
async def test_passing_trouble_is_retried_until_accepted(
    server: ScriptedServer, connect: Connect, trouble: Answer
) -> None:
    server.script = [trouble, trouble]
    async with connect() as client:
        result = await send_one(client)
    assert (result.accepted, result.error) == (3, None)
    assert (result.requests, result.attempts) == (1, 3)
    assert result.bytes_sent == 3 * len(server.received[0].body)
    assert len({request.body for request in server.received}) == 1


async def test_an_answer_cut_short_is_retried_as_a_transport_error(
    server: ScriptedServer, connect: Connect
) -> None:
    server.script = [Answer(200, b'{"a":"long enough"}', cut=5)]
    async with connect() as client:
        result = await send_one(client)
    assert (result.accepted, result.attempts) == (3, 2)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, Unauthorized),
        (403, Forbidden),
        (404, NotFound),
        (402, UnexpectedResponse),
        (409, UnexpectedResponse),
    ],
)
async def test_lasting_trouble_is_not_retried(
    server: ScriptedServer, connect: Connect, status: int, kind: type[Exception]
) -> None:
    server.default = Answer(status, b"<html></html>")
    async with connect() as client:
        result = await send_one(client)
    assert type(result.error) is kind
    assert (result.unanswered, result.attempts, result.status) == (((0, 3),), 1, status)
    assert len(server.received) == 1


async def test_attempts_are_bounded_and_the_last_error_is_given(
    server: ScriptedServer, connect: Connect
) -> None:
    server.default = Answer(503)
    async with connect(retry=RetryPolicy(max_attempts=4, base_delay=0.001)) as client:
        result = await send_one(client)
    assert isinstance(result.error, ServerError)
    assert (result.error.attempts, result.error.status, result.error.operation) == (4, 503, "track.batch")
    assert len(server.received) == result.attempts == 4
    assert result.unanswered == ((0, 3),)


async def test_backoff_is_full_jitter_under_a_doubling_ceiling(
    server: ScriptedServer, connect: Connect
) -> None:
    fake = FakeTime()
    asked: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        asked.append((low, high))
        return high / 2

    server.script = [Answer(500)] * 5
    policy = fake.policy(uniform=uniform, base_delay=1.0, max_delay=5.0)
    async with connect(retry=policy) as client:
        result = await send_one(client)
    assert result.accepted == 3
    assert asked == [(0.0, 1.0), (0.0, 2.0), (0.0, 4.0), (0.0, 5.0), (0.0, 5.0)]
    assert fake.slept == [0.5, 1.0, 2.0, 2.5, 2.5]


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_retry_after_is_obeyed_in_both_forms(
    server: ScriptedServer, connect: Connect, form: str, status: int
) -> None:
    fake = FakeTime()
    header = "7" if form == "seconds" else format_datetime(NOW + timedelta(seconds=7), usegmt=True)
    server.script = [Answer(status, headers={"Retry-After": header})]
    async with connect(retry=fake.policy(now=lambda: NOW)) as client:
        result = await send_one(client)
    assert (result.accepted, result.attempts) == (3, 2)
    assert fake.slept == [7.0]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        ("30", 30.0),
        (" 2 ", 2.0),
        ("1.5", 1.5),
        ("Tue, 24 Nov 2026 12:01:00 GMT", 60.0),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0.0),
        ("Tuesday, 24-Nov-26 12:00:05 GMT", 5.0),
        ("Tue Nov 24 12:00:09 2026", 9.0),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("1e3", None),
        (None, None),
    ],
)
async def test_retry_after_header_is_read(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header, NOW) == seconds


async def test_a_429_pauses_the_whole_client(server: ScriptedServer, connect: Connect) -> None:
    server.script = [Answer(429, headers={"Retry-After": "0.3"})]
    async with connect() as client:
        first = asyncio.create_task(send_one(client))
        while not server.received:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        others = [asyncio.create_task(send_one(client)) for _ in range(4)]
        results = await asyncio.gather(first, *others)
    assert all(result.accepted == 3 for result in results)
    refused, *later = [request.at for request in server.received]
    assert len(later) == 5
    assert min(later) - refused >= 0.29


async def test_a_wait_that_outlasts_the_deadline_is_not_begun(
    server: ScriptedServer, connect: Connect
) -> None:
    server.default = Answer(429, headers={"Retry-After": "60"})
    began = time.monotonic()
    async with connect() as client:
        first = await send_one(client)
        second = await send_one(client)
    assert time.monotonic() - began < 1
    assert isinstance(first.error, DeadlineExceeded)
    assert isinstance(first.error.__cause__, RateLimited)
    assert first.error.__cause__.retry_after == 60
    assert (first.error.status, first.error.code) == (429, "RateLimited")
    # The pause still runs, so the second call fails without a request.
    assert isinstance(second.error, DeadlineExceeded)
    assert (second.attempts, second.unanswered) == (0, ((0, 3),))
    assert len(server.received) == 1


async def test_the_deadline_cuts_a_slow_answer(server: ScriptedServer, connect: Connect) -> None:
    server.default = Answer(delay=5)
    began = time.monotonic()
    async with connect(retry=RetryPolicy(deadline=0.2)) as client:
        result = await send_one(client)
    assert time.monotonic() - began < 1
    assert isinstance(result.error, DeadlineExceeded)
    assert (result.unanswered, result.attempts, result.status) == (((0, 3),), 1, None)


async def test_the_client_works_on_after_a_deadline(server: ScriptedServer, connect: Connect) -> None:
    server.script = [Answer(delay=2)] * 3
    async with connect(retry=RetryPolicy(deadline=0.1), max_in_flight=2) as client:
        late = await asyncio.gather(*(send_one(client) for _ in range(3)))
        server.script.clear()
        result = await send_one(client)
    assert all(isinstance(item.error, DeadlineExceeded) for item in late)
    assert result.accepted == 3


async def test_a_read_timeout_says_the_request_may_have_been_received(
    server: ScriptedServer, connect: Connect
) -> None:
    server.default = Answer(delay=5)
    policy = RetryPolicy(max_attempts=2, base_delay=0.001)
    async with connect(retry=policy, timeout=Timeouts(read=0.1)) as client:
        result = await send_one(client)
    assert isinstance(result.error, TransportError)
    assert (result.error.may_have_been_received, result.error.code) == (True, "ReadTimeout")
    assert result.attempts == 2


async def test_an_unreachable_host_says_the_request_did_not_leave(
    server: ScriptedServer, connect: Connect
) -> None:
    policy = RetryPolicy(max_attempts=3, base_delay=0.001)
    # Port 9 (discard) of loopback has no listener here.
    async with connect(base_url="http://127.0.0.1:9", retry=policy) as client:
        with pytest.raises(TransportError) as caught:
            await client.entity(DeletePerson(PersonIdentifiers(id="a")))
    error = caught.value
    assert (error.may_have_been_received, error.attempts, error.status) == (False, 3, None)
    assert error.code == "ConnectError:ECONNREFUSED"
    assert server.received == []


async def test_retries_stop_when_the_shared_budget_is_spent(server: ScriptedServer, connect: Connect) -> None:
    server.default = Answer(500)
    policy = RetryPolicy(base_delay=0.001, budget_ratio=0.1, budget_reserve=5, max_attempts=4)
    async with connect(retry=policy) as client:
        results = [await send_one(client) for _ in range(20)]
    assert isinstance(results[0].error, ServerError)
    spent = [result for result in results if isinstance(result.error, RetryBudgetExhausted)]
    assert spent
    assert all(isinstance(result.error.__cause__, ServerError) for result in spent if result.error)
    # 20 requests may be retried 5 + 10% of 20 times.
    assert len(server.received) <= 20 + 5 + 2
    assert all(result.unanswered == ((0, 3),) for result in results)


async def test_the_budget_refills_with_requests_but_never_beyond_its_reserve() -> None:
    budget = RetryBudget(RetryPolicy(budget_ratio=0.25, budget_reserve=2))
    for _ in range(1000):
        budget.earn()
    assert [budget.spend() for _ in range(3)] == [True, True, False]
    for _ in range(4):
        assert not budget.spend()
        budget.earn()
    assert budget.spend()


async def test_after_a_401_nothing_more_is_sent(server: ScriptedServer, connect: Connect) -> None:
    server.script = [Answer(401, b'{"meta":{"error":"Unauthorized request"}}')]
    async with connect() as client:
        first = await send_one(client)
        second = await send_one(client)
        with pytest.raises(Unauthorized):
            await client.region()
    assert isinstance(first.error, Unauthorized)
    assert "region" in first.error.remedy
    assert isinstance(second.error, Unauthorized)
    assert (second.attempts, second.unanswered) == (0, ((0, 3),))
    assert len(server.received) == 1


async def test_the_rate_holds_for_every_attempt(server: ScriptedServer, connect: Connect) -> None:
    server.script = [Answer(500)] * 10
    policy = RetryPolicy(base_delay=0.0)
    async with connect(requests_per_second=50, retry=policy) as client:
        await asyncio.gather(*(send_one(client) for _ in range(20)))
    moments = sorted(request.at for request in server.received)
    assert len(moments) == 30
    # 30 requests at 50 per second, of which one may go at once.
    assert moments[-1] - moments[0] >= 28 / 50
    assert moments[-1] - moments[0] < 2


async def test_no_more_requests_are_in_flight_than_allowed(server: ScriptedServer, connect: Connect) -> None:
    server.default = Answer(delay=0.02)
    async with connect(max_in_flight=2) as client:
        await asyncio.gather(*(send_one(client) for _ in range(8)))
    assert server.most_in_flight == 2
    assert server.connections == 2
