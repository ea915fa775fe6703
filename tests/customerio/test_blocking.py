from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from cio_pipelines.customerio import (
    BadRequest,
    DeletePerson,
    PersonIdentifiers,
    SyncTrackClient,
    TrackClient,
)

from .conftest import people
from .scripted_server import Answer, ScriptedServer, errors

Connect = Callable[..., TrackClient]


def test_every_method_blocks_and_gives_the_async_result(server: ScriptedServer, connect: Connect) -> None:
    region = b'{"url":"https://track.customer.io","region":"us","environment_id":1}'
    server.script = [Answer(), errors({"batch_index": 1, "reason": "invalid"}), Answer(), Answer(body=region)]
    someone = DeletePerson(PersonIdentifiers(id="a"))
    with SyncTrackClient(connect()) as client:
        assert client.send(people(2), 0, 2).accepted == 2
        assert client.batch([someone, someone]).rejections[0].index == 1
        client.entity(someone)
        assert client.region().region == "us"
    assert server.connections == 1


def test_errors_come_through_unchanged(server: ScriptedServer, connect: Connect) -> None:
    server.default = Answer(400)
    with SyncTrackClient(connect()) as client, pytest.raises(BadRequest) as caught:
        client.entity(DeletePerson(PersonIdentifiers(id="a")))
    assert caught.value.operation == "track.entity"


def test_several_threads_share_one_client(server: ScriptedServer, connect: Connect) -> None:
    server.default = Answer(delay=0.05)
    with SyncTrackClient(connect()) as client, ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: client.send(people(2), 0, 2), range(8)))
    assert all(result.accepted == 2 for result in results)
    assert server.most_in_flight > 1


def test_it_works_where_an_event_loop_already_runs(server: ScriptedServer, connect: Connect) -> None:
    async def caller() -> int:
        with SyncTrackClient(connect()) as client:
            return client.send(people(2), 0, 2).accepted

    assert asyncio.run(caller()) == 2


def test_use_outside_the_with_block_is_refused(connect: Connect) -> None:
    client = SyncTrackClient(connect())
    with pytest.raises(RuntimeError, match="with"):
        client.region()
