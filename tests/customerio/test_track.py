from __future__ import annotations

from collections.abc import Callable

import orjson
import pytest

from cio_pipelines.customerio import (
    BadRequest,
    DeletePerson,
    IdentifyPerson,
    PersonIdentifiers,
    TrackClient,
    UnexpectedResponse,
)

from .conftest import API_KEY, SITE_ID, people
from .scripted_server import Answer, ScriptedServer, errors

pytestmark = pytest.mark.anyio
Connect = Callable[..., TrackClient]


async def test_an_accepted_body_leaves_every_operation_accepted(
    server: ScriptedServer, connect: Connect
) -> None:
    operations = people(5)
    async with connect() as client:
        result = await client.send(operations, 1, 4)
    assert (result.start, result.stop, result.accepted) == (1, 4, 3)
    assert result.rejections == ()
    assert result.unanswered == ()
    assert result.error is None
    assert (result.requests, result.attempts, result.status) == (1, 1, 200)
    assert result.bytes_sent == len(operations.body(1, 4))
    assert [item["identifiers"]["id"] for item in server.received[0].batch] == ["p1", "p2", "p3"]


async def test_requests_carry_credentials_type_and_name_of_the_project(
    server: ScriptedServer, connect: Connect
) -> None:
    async with connect() as client:
        await client.send(people(1), 0, 1)
    (request,) = server.received
    assert (request.method, request.path) == ("POST", "/api/v2/batch")
    assert request.credentials == f"{SITE_ID}:{API_KEY}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("cio-pipelines/")
    assert "content-encoding" not in request.headers
    assert int(request.headers["content-length"]) == len(request.body)


async def test_connections_are_reused(server: ScriptedServer, connect: Connect) -> None:
    async with connect() as client:
        for _ in range(5):
            await client.send(people(1), 0, 1)
    assert len(server.received) == 5
    assert server.connections == 1


async def test_rejections_of_a_207_have_absolute_indexes_and_merge_faults_of_one_operation(
    server: ScriptedServer, connect: Connect
) -> None:
    server.default = errors(
        {"batch_index": 2, "reason": "invalid", "field": "attributes.plan", "message": "too long"},
        {"batch_index": 0, "reason": "required", "field": "identifiers.id", "message": "missing"},
        {"batch_index": 2, "reason": "required", "field": "name", "message": "missing"},
    )
    async with connect() as client:
        result = await client.send(people(10), 4, 8)
    first, second = result.rejections
    assert (first.index, first.reason, first.field, first.message) == (
        4,
        "required",
        "identifiers.id",
        "missing",
    )
    assert (second.index, second.reason, second.field) == (6, "invalid", "attributes.plan")
    assert second.message == "attributes.plan: too long; name: missing"
    assert {first.status, second.status} == {207}
    assert result.accepted == 2
    assert result.accepted_mask().tolist() == [False, True, False, True]
    assert (result.unanswered, result.error) == ((), None)


@pytest.mark.parametrize(
    "entry",
    [
        {"batch_index": 4, "reason": "invalid"},
        {"batch_index": -1, "reason": "invalid"},
        {"batch_index": "1", "reason": "invalid"},
        {"batch_index": True, "reason": "invalid"},
        {"batch_index": 1.0, "reason": "invalid"},
        {"reason": "invalid"},
    ],
)
async def test_a_207_with_an_impossible_index_accepts_nothing(
    server: ScriptedServer, connect: Connect, entry: dict[str, object]
) -> None:
    server.default = errors({"batch_index": 0, "reason": "invalid"}, entry)
    async with connect() as client:
        result = await client.send(people(10), 2, 6)
    assert isinstance(result.error, UnexpectedResponse)
    assert result.unanswered == ((2, 6),)
    assert (result.rejections, result.accepted, result.status) == ((), 0, 207)
    assert result.attempts == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html><title>Sign in</title></html>"),
        (200, b""),
        (200, b'{"err'),
        (200, b"[]"),
        (200, b'"ok"'),
        (202, b"{}"),
        (204, b""),
        (207, b"<html></html>"),
        (207, b"{}"),
        (207, b'{"errors":[]}'),
        (207, b'{"errors":{"batch_index":0}}'),
        (207, b'{"errors":["batch_index"]}'),
    ],
)
async def test_a_success_that_cannot_be_read_is_not_acceptance(
    server: ScriptedServer, connect: Connect, status: int, body: bytes
) -> None:
    server.default = Answer(status, body)
    async with connect() as client:
        result = await client.send(people(3), 0, 3)
    assert isinstance(result.error, UnexpectedResponse)
    assert result.unanswered == ((0, 3),)
    assert result.accepted == 0
    assert len(server.received) == 1


async def test_a_200_that_names_refused_operations_is_believed(
    server: ScriptedServer, connect: Connect
) -> None:
    server.default = errors(
        {"batch_index": 1, "reason": "invalid", "field": "name", "message": "x"}, status=200
    )
    async with connect() as client:
        result = await client.send(people(3), 0, 3)
    assert [rejection.index for rejection in result.rejections] == [1]
    assert result.accepted == 2


async def test_send_refuses_ranges_that_are_no_body(connect: Connect) -> None:
    big = people(10_000)
    async with connect() as client:
        with pytest.raises(IndexError):
            await client.send(people(3), 2, 2)
        with pytest.raises(IndexError):
            await client.send(people(3), 2, 4)
        with pytest.raises(ValueError, match="pack"):
            await client.send(big, 0, len(big))


async def test_batch_sends_valid_operations_and_reports_the_others_at_their_place(
    server: ScriptedServer, connect: Connect
) -> None:
    server.default = errors({"batch_index": 1, "reason": "invalid", "field": "attributes.b", "message": "no"})
    operations = [
        IdentifyPerson(PersonIdentifiers(id="a"), {"plan": "x" * 1001}),
        IdentifyPerson(PersonIdentifiers(id="b"), {"plan": "free"}),
        DeletePerson(PersonIdentifiers(id="é" * 76)),
        IdentifyPerson(PersonIdentifiers(id="c"), {"plan": "pro"}),
        DeletePerson(PersonIdentifiers(id="d")),
    ]
    async with connect() as client:
        result = await client.batch(operations)
    assert [item["identifiers"]["id"] for item in server.received[0].batch] == ["b", "c", "d"]
    assert [(r.index, r.status, r.field, r.reason) for r in result.rejections] == [
        (0, 0, "attributes.plan", "too_long"),
        (2, 0, "identifiers.id", "too_long"),
        (3, 207, "attributes.b", "invalid"),
    ]
    assert (result.start, result.stop, result.accepted) == (0, 5, 2)
    assert result.accepted_mask().tolist() == [False, True, False, False, True]


async def test_batch_packs_into_several_bodies_in_flight_at_once(
    server: ScriptedServer, connect: Connect
) -> None:
    server.default = lambda request: Answer(delay=0.05)
    operations = [
        IdentifyPerson(PersonIdentifiers(id=f"p{i}"), {f"a{j}": "x" * 990 for j in range(20)})
        for i in range(100)
    ]
    async with connect(max_in_flight=3) as client:
        result = await client.batch(operations)
    assert result.accepted == 100
    assert result.requests == len(server.received) == 5
    assert 1 < server.most_in_flight <= 3
    assert all(len(request.body) < 500_000 for request in server.received)
    sent = sorted(item["identifiers"]["id"] for request in server.received for item in request.batch)
    assert sent == sorted(f"p{i}" for i in range(100))


async def test_batch_maps_unanswered_bodies_back_around_invalid_operations(
    server: ScriptedServer, connect: Connect
) -> None:
    server.default = Answer(403)
    good = [IdentifyPerson(PersonIdentifiers(id=f"p{i}")) for i in range(5)]
    bad = DeletePerson(PersonIdentifiers(id=""))
    async with connect() as client:
        result = await client.batch([good[0], good[1], bad, good[2], bad, good[3], good[4]])
    assert result.unanswered == ((0, 2), (3, 4), (5, 7))
    assert [rejection.index for rejection in result.rejections] == [2, 4]
    assert result.accepted == 0


async def test_batch_of_nothing_sends_nothing(server: ScriptedServer, connect: Connect) -> None:
    async with connect() as client:
        result = await client.batch([])
    assert (result.accepted, result.requests, result.error) == (0, 0, None)
    assert server.received == []


async def test_entity_sends_the_operation_itself(server: ScriptedServer, connect: Connect) -> None:
    async with connect() as client:
        await client.entity(IdentifyPerson(PersonIdentifiers(id="a"), {"plan": "pro"}))
    (request,) = server.received
    assert (request.method, request.path) == ("POST", "/api/v2/entity")
    assert orjson.loads(request.body) == {
        "type": "person",
        "action": "identify",
        "identifiers": {"id": "a"},
        "attributes": {"plan": "pro"},
    }


async def test_entity_raises_what_customerio_refuses_with_reason_and_field(
    server: ScriptedServer, connect: Connect
) -> None:
    fault = {"reason": "invalid", "field": "attributes.plan", "message": "value cannot be that long"}
    server.default = errors(fault, status=400)
    async with connect() as client:
        with pytest.raises(BadRequest) as caught:
            await client.entity(DeletePerson(PersonIdentifiers(id="a")))
    error = caught.value
    assert (error.operation, error.status, error.code, error.field, error.attempts) == (
        "track.entity",
        400,
        "invalid",
        "attributes.plan",
        1,
    )
    assert "value cannot be that long" in str(error)


@pytest.mark.parametrize(
    ("status", "body"), [(200, b"<html>"), (207, b"{}"), (200, b'{"errors":[{"reason":"x"}]}')]
)
async def test_entity_accepts_nothing_but_the_documented_answer(
    server: ScriptedServer, connect: Connect, status: int, body: bytes
) -> None:
    server.default = Answer(status, body)
    async with connect() as client:
        with pytest.raises(UnexpectedResponse) as caught:
            await client.entity(DeletePerson(PersonIdentifiers(id="a")))
    assert caught.value.status == status


async def test_region_tells_where_the_workspace_lives(server: ScriptedServer, connect: Connect) -> None:
    server.default = Answer(
        body=b'{"url":"https://track-eu.customer.io","region":"eu","environment_id":4711}'
    )
    async with connect() as client:
        account = await client.region()
    assert (account.url, account.region, account.environment_id) == (
        "https://track-eu.customer.io",
        "eu",
        4711,
    )
    (request,) = server.received
    assert (request.method, request.path, request.body) == ("GET", "/api/v1/accounts/region", b"")


@pytest.mark.parametrize("body", [b"{}", b'{"url":"u","region":"mars","environment_id":1}'])
async def test_region_does_not_guess(server: ScriptedServer, connect: Connect, body: bytes) -> None:
    server.default = Answer(body=body)
    async with connect() as client:
        with pytest.raises(UnexpectedResponse):
            await client.region()
