"""What a worker promises: delivered once, in order, tried again, given up with the reason, never lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cio_pipelines.messaging.breaker import Breaker
from cio_pipelines.messaging.handlers import CredentialsRefused
from cio_pipelines.messaging.instruments import Instruments, OperationEvent
from cio_pipelines.messaging.lane import Lane
from cio_pipelines.messaging.queue import open_queue
from cio_pipelines.messaging.queue.protocol import LetterFilter, NewMessage, Settlement, Taken
from cio_pipelines.messaging.queued import Options
from cio_pipelines.sandbox import SandboxServer
from tests.customerio.scripted_server import Answer, Received, ScriptedServer

from .rig import QUICK, service, until_settled, working

pytestmark = pytest.mark.anyio


async def test_what_was_put_arrives_and_nothing_waits(queue_url: str, sandbox: SandboxServer) -> None:
    async with service(queue_url) as queued, working(queue_url, sandbox):
        await queued.enqueue_identify("ada", {"plan": "pro"})
        await queued.enqueue_track("ada", "order_placed", {"amount": 12})
        await until_settled(queued)

    ada = sandbox.people()["ada"]
    assert ada["attributes"]["plan"] == "pro"
    assert ada["attributes"]["last_seen_at"] > 1_700_000_000
    assert sandbox.stats()["operations_by_action"]["person.event"]["accepted"] == 1


async def test_messages_share_bodies(queue_url: str, sandbox: SandboxServer) -> None:
    async with service(queue_url) as queued:
        await queued.enqueue_identifies([(f"p{n}", {"n": n}) for n in range(5_000)])
        async with working(queue_url, sandbox):
            await until_settled(queued)

    assert len(sandbox.people()) == 5_000
    assert sandbox.stats()["requests_by_path"]["/api/v2/batch"] <= 10


async def test_the_order_of_a_person_holds_across_queues(queue_url: str, sandbox: SandboxServer) -> None:
    async with service(queue_url) as queued, working(queue_url, sandbox):
        for step in range(20):
            await asyncio.gather(
                *(queued.enqueue_track(f"p{who}", f"step {step}") for who in range(5)),
                *(queued.enqueue_identify(f"p{who}", {"step": step}) for who in range(5)),
            )
        await until_settled(queued)

    seen: dict[str, list[str]] = {}
    for operation in sandbox.operations():
        seen.setdefault(operation["id"], []).append(operation["action"])
    assert {who: sandbox.people()[who]["attributes"]["step"] for who in seen} == dict.fromkeys(seen, 19)
    assert all(actions == ["event", "identify"] * 20 for actions in seen.values())


async def test_a_passing_fault_delays_a_message_and_no_other_person(
    queue_url: str, sandbox: SandboxServer
) -> None:
    sandbox.set_faults([{"kind": "status", "status": 500, "count": 2, "path": "/api/v2/batch"}])
    async with service(queue_url) as queued, working(queue_url, sandbox) as worker:
        await queued.enqueue_identify("ada", {"plan": "pro"})
        await until_settled(queued)
        assert worker.counts["to be tried again"] == 2

    assert sandbox.people()["ada"]["attributes"]["plan"] == "pro"


async def test_a_refusal_is_a_dead_letter_at_once_and_its_neighbours_arrive(
    queue_url: str, sandbox: SandboxServer
) -> None:
    sandbox.set_faults(
        [{"kind": "reject", "ids": ["bad"], "count": 1, "reason": "invalid", "field": "attributes.plan"}]
    )
    async with service(queue_url) as queued:
        await queued.enqueue_identifies([("good", {"n": 1}), ("bad", {"n": 1}), ("better", {"n": 1})])
        await queued.enqueue_track("bad", "still delivered")
        async with working(queue_url, sandbox):
            await until_settled(queued)

    async with open_queue(queue_url) as queue:
        [letter] = await queue.letters(LetterFilter())
    [failure] = letter.failures
    assert (failure.reason, failure.field, failure.status) == ("invalid", "attributes.plan", 207)
    assert {"good", "better"} <= sandbox.people().keys()
    assert sandbox.stats()["operations_by_action"]["person.event"]["accepted"] == 1


async def test_after_the_last_attempt_a_message_is_a_dead_letter_with_its_history(
    queue_url: str, sandbox: SandboxServer
) -> None:
    sandbox.set_faults([{"kind": "status", "status": 500, "path": "/api/v2/batch"}])
    async with service(queue_url) as queued, working(queue_url, sandbox):
        await queued.enqueue_identify("poison", {"n": 1})
        await until_settled(queued)

    async with open_queue(queue_url) as queue:
        [letter] = await queue.letters(LetterFilter())
        assert [failure.status for failure in letter.failures] == [500, 500, 500]
        sandbox.set_faults([])
        assert await queue.replay(LetterFilter()) == 1
        assert await queue.replay(LetterFilter()) == 0
    async with service(queue_url) as queued, working(queue_url, sandbox):
        await until_settled(queued)
    assert sandbox.people().keys() == {"poison"}


async def test_while_the_api_is_down_no_attempt_counts(queue_url: str, sandbox: SandboxServer) -> None:
    sandbox.set_faults([{"kind": "status", "status": 503, "path": "/api/v2/batch"}])
    settings = replace(QUICK, concurrency={"identify": 1, "track": 1}, body_messages=1)
    async with service(queue_url) as queued:
        async with working(queue_url, sandbox, settings):
            await queued.enqueue_identifies([(f"p{n}", {"n": n}) for n in range(50)])
            await asyncio.sleep(4)
            depths = await queued.depths()
            # a handful at the start, until it was clear that no message is at fault
            assert depths["identify"].dead <= 3
            sandbox.set_faults([])
            await until_settled(queued)
        dead = (await queued.depths())["identify"].dead
    assert len(sandbox.people()) == 50 - dead


async def test_a_429_pauses_and_counts_for_nobody(queue_url: str, sandbox: SandboxServer) -> None:
    sandbox.set_faults(
        [{"kind": "status", "status": 429, "count": 2, "retry_after": 1, "path": "/api/v2/batch"}]
    )
    async with service(queue_url) as queued, working(queue_url, sandbox, replace(QUICK, max_attempts=1)):
        await queued.enqueue_identify("ada", {"n": 1})
        await until_settled(queued)

    assert sandbox.people().keys() == {"ada"}


async def test_refused_credentials_stop_the_worker_and_lose_nothing(
    queue_url: str, sandbox: SandboxServer
) -> None:
    sandbox.set_faults([{"kind": "status", "status": 401, "path": "/api/v2/batch"}])
    async with service(queue_url) as queued:
        await queued.enqueue_identify("ada", {"n": 1})
        with pytest.raises(CredentialsRefused):
            async with working(queue_url, sandbox):
                await asyncio.sleep(10)
        sandbox.set_faults([])
        async with working(queue_url, sandbox):
            await until_settled(queued)
    assert sandbox.people().keys() == {"ada"}


async def test_what_another_worker_left_is_taken_over_when_its_lease_ends(
    queue_url: str, sandbox: SandboxServer
) -> None:
    async with service(queue_url) as queued, open_queue(queue_url) as dead_worker:
        await queued.enqueue_identify("ada", {"n": 1})
        [_] = await dead_worker.take("identify", 10, 0.5)
        async with working(queue_url, sandbox):
            await until_settled(queued)
    assert sandbox.people().keys() == {"ada"}


async def test_a_message_held_back_goes_when_its_time_has_come(
    queue_url: str, sandbox: SandboxServer
) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=1.5)
    async with service(queue_url) as queued, working(queue_url, sandbox):
        await queued.enqueue_track("ada", "later", options=Options(not_before=moment))
        await queued.enqueue_track("ada", "now")
        await asyncio.sleep(0.7)
        assert [op["action"] for op in sandbox.operations()] == ["event"]
        await until_settled(queued)
    assert len(sandbox.operations()) == 2


async def test_stopping_finishes_what_is_on_its_way(queue_url: str, sandbox: SandboxServer) -> None:
    sandbox.set_faults([{"kind": "slow", "seconds": 1.0, "path": "/api/v2/batch"}])
    async with service(queue_url) as queued:
        await queued.enqueue_identifies([(f"p{n}", {"n": n}) for n in range(10)])
        async with working(queue_url, sandbox) as worker:
            await asyncio.sleep(0.5)
            worker.stop()
        depths = await queued.depths()
    assert depths["identify"].in_flight == 0
    assert worker.counts["delivered"] == 10


async def test_what_is_not_answered_in_time_goes_back(queue_url: str, sandbox: SandboxServer) -> None:
    sandbox.set_faults([{"kind": "slow", "seconds": 4.0, "path": "/api/v2/batch"}])
    async with service(queue_url) as queued:
        await queued.enqueue_identify("ada", {"n": 1})
        async with working(queue_url, sandbox, replace(QUICK, drain=0.3)) as worker:
            await asyncio.sleep(0.5)
            worker.stop()
        depths = await queued.depths()
        assert (depths["identify"].waiting, depths["identify"].in_flight) == (1, 0)
        sandbox.set_faults([])
        async with working(queue_url, sandbox):
            await until_settled(queued)
    assert sandbox.people().keys() == {"ada"}


async def test_one_operation_that_breaks_the_api_takes_no_neighbour_along(
    queue_url: str, sandbox: SandboxServer
) -> None:
    def answer(request: Received) -> Answer:
        return Answer(500 if b"poison" in request.body else 200)

    people = [(f"p{number}", {"n": number}) for number in range(200)]
    async with service(queue_url) as queued, open_queue(queue_url) as queue:
        with ScriptedServer() as api:
            api.default = answer
            await queued.enqueue_identifies([*people[:100], ("poison", {"n": 1}), *people[100:]])
            async with working(queue_url, sandbox, track_url=api.url) as worker:
                await until_settled(queued)
        [letter] = await queue.letters(LetterFilter())
    assert b"poison" in letter.body
    assert [failure.status for failure in letter.failures] == [500, 500, 500]
    assert worker.counts["delivered"] == 200


async def test_every_delivery_is_told_without_ids(queue_url: str, sandbox: SandboxServer) -> None:
    told: list[OperationEvent] = []
    async with (
        service(queue_url) as queued,
        working(queue_url, sandbox, instruments=Instruments(told.append)),
    ):
        await queued.enqueue_identify("ada", {"plan": "pro"})
        await until_settled(queued)
        await asyncio.sleep(0.05)
    assert [(event.operation, event.outcome, event.messages) for event in told] == [
        ("deliver_identify", "accepted", 1)
    ]
    assert "ada" not in repr(told)


@pytest.mark.parametrize(
    "body", [b'{"type":"person"}', b"no JSON", b"", b'{"type":"' + b"x" * 32_000 + b'"}'], ids=len
)
async def test_a_body_that_is_no_operation_is_refused_and_harms_nobody(
    queue_url: str, sandbox: SandboxServer, body: bytes
) -> None:
    async with open_queue(queue_url) as queue, service(queue_url) as queued:
        await queue.put([NewMessage("identify", "person:x", body)])
        await queued.enqueue_identify("ada", {"n": 1})
        async with working(queue_url, sandbox):
            await until_settled(queued)
        assert (await queued.depths())["identify"].dead == 1
    assert sandbox.people().keys() == {"ada"}


class Broken:
    """A handler with a defect."""

    breaker = Breaker()
    limit = 10

    def cut(self, taken: Sequence[Taken]) -> list[Sequence[Taken]]:
        return [taken]

    async def deliver(self, part: Sequence[Taken]) -> Sequence[Settlement]:
        raise ZeroDivisionError(len(part))

    def interrupted(self, part: Sequence[Taken]) -> Sequence[Settlement]:
        return []


async def test_a_defect_ends_the_lane_and_loses_nothing(queue_url: str) -> None:
    settings = replace(QUICK, lease=0.5)
    async with service(queue_url) as queued, open_queue(queue_url) as queue:
        await queued.enqueue_identify("ada", {"n": 1})
        lane = Lane(
            "identify", queue, Broken(), settings, Instruments(), lambda refused: pytest.fail(str(refused))
        )
        with pytest.raises(ZeroDivisionError):
            await lane.run()
        assert lane.held == {}
        await asyncio.sleep(0.6)
        [message] = await queue.take("identify", 1, 60)
        assert message.attempt == 2
