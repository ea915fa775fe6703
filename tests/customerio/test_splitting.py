from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from cio_pipelines.customerio import BadRequest, RetryPolicy, ServerError, TrackClient

from .conftest import people
from .scripted_server import Answer, Received, ScriptedServer, errors

pytestmark = pytest.mark.anyio
Connect = Callable[..., TrackClient]


def refusing(guilty: set[str], status: int = 400) -> Callable[[Received], Answer]:
    """Refuse a whole body when one of `guilty` is in it."""

    def answer(request: Received) -> Answer:
        if guilty & {item["identifiers"]["id"] for item in request.batch}:
            entry = {"reason": "invalid", "field": "attributes.n", "message": "not a number"}
            return errors(entry, status=status)
        return Answer()

    return answer


@pytest.mark.parametrize("status", [400, 413])
@pytest.mark.parametrize("guilty", [{0}, {99}, {37}, {0, 99}, {10, 11, 12, 60}, set(range(40, 50))])
async def test_a_poisoned_body_is_split_until_exactly_the_guilty_are_found(
    server: ScriptedServer, connect: Connect, guilty: set[int], status: int
) -> None:
    server.default = refusing({f"p{i}" for i in guilty}, status)
    async with connect() as client:
        result = await client.send(people(120), 0, 100)
    assert [rejection.index for rejection in result.rejections] == sorted(guilty)
    assert {(r.status, r.reason, r.field) for r in result.rejections} == {(status, "invalid", "attributes.n")}
    assert (result.unanswered, result.error) == ((), None)
    assert result.accepted == 100 - len(guilty)
    assert result.requests == result.attempts == len(server.received)
    assert result.requests <= 1 + 2 * len(guilty) * math.ceil(math.log2(100))


async def test_splitting_sends_every_innocent_operation_exactly_once_more(
    server: ScriptedServer, connect: Connect
) -> None:
    taken: list[str] = []
    refuse = refusing({"p7"})

    def answer(request: Received) -> Answer:
        reply = refuse(request)
        if reply.status == 200:
            taken.extend(item["identifiers"]["id"] for item in request.batch)
        return reply

    server.default = answer
    async with connect() as client:
        await client.send(people(64), 0, 64)
    assert taken == [f"p{i}" for i in range(64) if i != 7]


async def test_a_single_refused_operation_is_a_rejection_without_further_requests(
    server: ScriptedServer, connect: Connect
) -> None:
    server.default = Answer(413, b"<html>Request Entity Too Large</html>")
    async with connect() as client:
        result = await client.send(people(5), 3, 4)
    (rejection,) = result.rejections
    assert (rejection.index, rejection.status, rejection.reason) == (3, 413, "too_large")
    assert rejection.message
    assert len(server.received) == 1


async def test_when_everything_is_refused_the_search_ends_and_no_row_is_blamed(
    server: ScriptedServer, connect: Connect
) -> None:
    server.default = errors({"reason": "parse", "field": "batch", "message": "malformed"}, status=400)
    async with connect() as client:
        result = await client.send(people(2000), 0, 2000)
    assert len(server.received) == 64
    assert isinstance(result.error, BadRequest)
    assert "64 requests in a row" in result.error.remedy
    assert (result.error.code, result.error.field) == ("parse", "batch")
    assert result.unanswered == ((0, 2000),)
    assert result.rejections == ()


async def test_giving_up_after_some_acceptance_keeps_what_is_known(
    server: ScriptedServer, connect: Connect
) -> None:
    server.default = refusing({f"p{i}" for i in range(64, 128)})
    policy = RetryPolicy(max_consecutive_refusals=20)
    async with connect(retry=policy) as client:
        result = await client.send(people(128), 0, 128)
    assert isinstance(result.error, BadRequest)
    found = [rejection.index for rejection in result.rejections]
    assert found
    assert found == list(range(64, 64 + len(found)))
    assert result.unanswered == ((64 + len(found), 128),)
    assert result.accepted == 64


async def test_few_operations_all_guilty_are_all_found(server: ScriptedServer, connect: Connect) -> None:
    server.default = refusing({f"p{i}" for i in range(8)})
    async with connect() as client:
        result = await client.send(people(8), 0, 8)
    assert [rejection.index for rejection in result.rejections] == list(range(8))
    assert (result.unanswered, result.error) == ((), None)


async def test_trouble_during_the_search_leaves_the_rest_unanswered(
    server: ScriptedServer, connect: Connect
) -> None:
    refuse = refusing({"p0"})

    def answer(request: Received) -> Answer:
        return Answer(503) if len(server.received) > 3 else refuse(request)

    server.default = answer
    policy = RetryPolicy(max_attempts=2, base_delay=0.001)
    async with connect(retry=policy) as client:
        result = await client.send(people(16), 0, 16)
    # 16, 8 and 4 operations were refused; what follows meets the 503.
    assert isinstance(result.error, ServerError)
    assert (result.unanswered, result.rejections, result.accepted) == (((0, 16),), (), 0)


async def test_a_207_inside_the_search_is_read_with_absolute_indexes(
    server: ScriptedServer, connect: Connect
) -> None:
    server.script = [
        errors({"reason": "invalid"}, status=400),
        errors({"batch_index": 1, "reason": "invalid", "field": "f", "message": "m"}),
        errors({"batch_index": 0, "reason": "invalid", "field": "f", "message": "m"}),
    ]
    async with connect() as client:
        result = await client.send(people(20), 10, 18)
    assert [rejection.index for rejection in result.rejections] == [11, 14]
    assert result.accepted == 6
