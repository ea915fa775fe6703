"""What a producer may rely on: durable, once by key, bounded, refused before it is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from cio_pipelines.customerio import Ids, InvalidOperation, PersonIdentifiers, TransactionalEmail
from cio_pipelines.messaging.queue import open_queue
from cio_pipelines.messaging.queue.errors import IdempotencyError, QueueFull
from cio_pipelines.messaging.queue.protocol import Delivered, Receipt
from cio_pipelines.messaging.queued import (
    Options,
    QueuedMessagingService,
    SyncQueuedMessagingService,
)

from .rig import service

pytestmark = pytest.mark.anyio


def keyed(key: str) -> Options:
    return Options(idempotency_key=key)


async def waiting(queued: QueuedMessagingService) -> int:
    return sum(depth.waiting + depth.delayed for depth in (await queued.depths()).values())


async def test_a_repeated_key_is_the_same_message_though_time_has_passed(queue_url: str) -> None:
    async with service(queue_url) as queued:
        first = await queued.enqueue_track("ada", "order_placed", {"a": 1, "b": 2}, options=keyed("k"))
        await asyncio.sleep(1.1)
        again = await queued.enqueue_track("ada", "order_placed", {"b": 2, "a": 1}, options=keyed("k"))

        assert (again.message_id, again.is_duplicate) == (first.message_id, True)
        assert await waiting(queued) == 1


@pytest.mark.parametrize("change", ["person", "attributes", "operation", "time"])
async def test_a_key_with_another_message_is_refused_and_nothing_is_kept(queue_url: str, change: str) -> None:
    async with service(queue_url) as queued:
        await queued.enqueue_identify("ada", {"plan": "pro"}, options=keyed("k"))
        later = Options(idempotency_key="k", not_before=datetime.now(UTC) + timedelta(hours=1))
        others: dict[str, Callable[[], Awaitable[Receipt]]] = {
            "person": lambda: queued.enqueue_identify("bob", {"plan": "pro"}, options=keyed("k")),
            "attributes": lambda: queued.enqueue_identify("ada", {"plan": "free"}, options=keyed("k")),
            "operation": lambda: queued.enqueue_delete("ada", options=keyed("k")),
            "time": lambda: queued.enqueue_identify("ada", {"plan": "pro"}, options=later),
        }
        with pytest.raises(IdempotencyError):
            await others[change]()
        assert await waiting(queued) == 1


async def test_one_refused_key_among_many_callers_harms_no_other(queue_url: str) -> None:
    async with service(queue_url) as queued:
        await queued.enqueue_identify("ada", {"n": 0}, options=keyed("k"))
        results = await asyncio.gather(
            *(
                queued.enqueue_identify(f"p{n}", {"n": n}, options=keyed("k") if n == 7 else Options())
                for n in range(50)
            ),
            return_exceptions=True,
        )
        failures = [number for number, result in enumerate(results) if isinstance(result, BaseException)]
        assert failures == [7]
        assert isinstance(results[7], IdempotencyError)
        assert await waiting(queued) == 50


@pytest.mark.parametrize("wait", [0.0, 5.0])
async def test_a_full_queue_refuses_or_lets_the_producer_wait(queue_url: str, wait: float) -> None:
    full = open_queue(queue_url, max_messages=3)
    async with QueuedMessagingService(full, wait_seconds=wait) as queued, open_queue(queue_url) as worker:
        await queued.enqueue_identifies([(f"p{number}", {"n": number}) for number in range(3)])
        putting = asyncio.create_task(queued.enqueue_identify("late", {"n": 1}))
        await asyncio.sleep(0.5)
        if not wait:
            with pytest.raises(QueueFull):
                await putting
            return
        assert not putting.done()
        taken = await worker.take("identify", 1, 60)
        await worker.settle([Delivered(message) for message in taken])
        assert (await putting).message_id


async def test_what_customerio_would_refuse_is_told_and_not_kept(queue_url: str) -> None:
    too_many = [f"user{number}@example.com" for number in range(16)]
    async with service(queue_url) as queued:
        for putting, field in (
            (queued.enqueue_identify("", {"n": 1}), "identifiers.id"),
            (queued.enqueue_identify("ada", {"n": float("nan")}), "attributes.n"),
            (queued.enqueue_track("ada", "x" * 101), "name"),
            (queued.enqueue_track("ada", "x", event_id="no ulid"), "id"),
            (queued.enqueue_transactional(TransactionalEmail(to=",".join(too_many))), "to"),
            (queued.enqueue_broadcast(1, Ids([])), "ids"),
        ):
            with pytest.raises(InvalidOperation) as refused:
                await putting
            assert str(refused.value.field).startswith(field)
        assert await waiting(queued) == 0


async def test_the_state_of_a_message_can_be_asked_for(queue_url: str) -> None:
    async with service(queue_url) as queued:
        kept = await queued.enqueue_identify("ada", {"n": 1}, options=Options(keep_seconds=60))
        status = await queued.status(kept.message_id)
        assert status is not None
        assert (status.queue, status.state, status.attempts) == ("identify", "waiting", 0)
        assert await queued.status("01ARZ3NDEKTSV4RRFFQ69G5FAV") is None


async def test_a_caller_that_is_cancelled_takes_nobody_along(queue_url: str) -> None:
    async with service(queue_url) as queued:
        calls = [asyncio.create_task(queued.enqueue_identify(f"p{n}", {"n": n})) for n in range(20)]
        await asyncio.sleep(0)
        calls[3].cancel()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(result) for result in results].count(asyncio.CancelledError) == 1
        assert await waiting(queued) in (19, 20)


async def test_a_receipt_waits_for_a_profile_only_if_asked_to(queue_url: str) -> None:
    receipt = TransactionalEmail(
        to="ada@example.com", transactional_message_id=1, identifiers=PersonIdentifiers(id="ada")
    )
    async with service(queue_url) as queued, open_queue(queue_url) as worker:
        await queued.enqueue_identify("ada", {"n": 1})
        await queued.enqueue_transactional(receipt, after_profile=True)
        assert await worker.take("transactional", 10, 60) == []
        await queued.enqueue_transactional(receipt)
        assert len(await worker.take("transactional", 10, 60)) == 1


def test_the_blocking_form_does_the_same(queue_url: str) -> None:
    with SyncQueuedMessagingService(QueuedMessagingService(open_queue(queue_url))) as queued:
        receipt = queued.enqueue_identify("ada", {"n": 1})
        assert queued.enqueue_tracks([("ada", "a", None), ("bob", "b", {"n": 1})])
        assert receipt.message_id
        assert sum(depth.waiting for depth in queued.depths().values()) == 3
