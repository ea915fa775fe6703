"""Both queues against a plain model: whatever is called in whatever order, they do what the model does."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from cio_pipelines.messaging.queue import open_queue
from cio_pipelines.messaging.queue.errors import IdempotencyError, QueueFull
from cio_pipelines.messaging.queue.protocol import (
    QUEUES,
    Buried,
    Delivered,
    LetterFilter,
    NewMessage,
    Queue,
    QueueName,
    Retried,
    Settlement,
    Taken,
)
from tests.messaging.queues import FAILED, LONG
from tests.redis import RedisServer

pytestmark = pytest.mark.slow

MOST = 12
T = TypeVar("T")

_queues = st.sampled_from(QUEUES[:2])
_new = st.builds(
    NewMessage,
    queue=_queues,
    order_key=st.sampled_from(["a", "b", "c"]),
    body=st.sampled_from([b"1", b"2"]),
    idempotency_key=st.sampled_from([None, None, "k", "l"]),
    not_before=st.sampled_from([None, None, 1.0, 3e9]),
    keep_seconds=st.sampled_from([0.0, LONG]),
)


@dataclass
class Known:
    """A message as the model knows it. `state` is live, delivered or dead; `hands` who holds it."""

    new: NewMessage
    state: str = "live"
    attempts: int = 0
    hands: Taken | None = None
    is_expired: bool = False
    is_delayed: bool = False
    failures: list[str] = field(default_factory=list)


class Model(RuleBasedStateMachine):
    """Times are in the far past, in the far future, or of a lease that ended before the next call."""

    url: str

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.queue: Queue = open_queue(self.url, max_messages=MOST)
        self.run(self.queue.__aenter__())
        self.known: dict[str, Known] = {}
        self.lines: dict[str, list[str]] = {}
        self.keys: dict[str, str] = {}
        self.dead: dict[str, int] = {}
        """By id of a letter: the number of the call that buried it. Of one call all died at the same time."""
        self.calls = 0
        self.settled: list[Taken] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def teardown(self) -> None:
        self.run(self.queue.__aexit__())
        self.runner.close()

    def live(self) -> list[Known]:
        return [one for one in self.known.values() if one.state == "live"]

    def held(self) -> list[str]:
        return [name for name, one in self.known.items() if one.hands is not None]

    def forget(self, name: str) -> None:
        key = self.known.pop(name).new.idempotency_key
        if key is not None:
            del self.keys[key]

    @rule(batch=st.lists(_new, min_size=1, max_size=4))
    def put(self, batch: list[NewMessage]) -> None:
        keys = {key: self.known[name].new for key, name in self.keys.items()}
        duplicates: list[bool] = []
        refused: int | None = None
        for position, new in enumerate(batch):
            key = new.idempotency_key
            earlier = keys.get(key) if key is not None else None
            duplicates.append(earlier is not None)
            if earlier is not None and replace(earlier, keep_seconds=new.keep_seconds) != new:
                refused = position
                break
            if key is not None:
                keys.setdefault(key, new)
        if refused is not None:
            with pytest.raises(IdempotencyError) as caught:
                self.run(self.queue.put(batch))
            assert caught.value.position == refused
            return
        if not all(duplicates) and len(self.live()) + duplicates.count(False) > MOST:
            with pytest.raises(QueueFull):
                self.run(self.queue.put(batch))
            return
        receipts = self.run(self.queue.put(batch))
        assert [receipt.is_duplicate for receipt in receipts] == duplicates
        for new, receipt in zip(batch, receipts, strict=True):
            if receipt.is_duplicate:
                assert new.idempotency_key is not None
                assert self.keys[new.idempotency_key] == receipt.message_id
                continue
            assert receipt.message_id not in self.known
            is_later = new.not_before == 3e9
            self.known[receipt.message_id] = Known(new, is_delayed=is_later)
            if not is_later:
                self.lines.setdefault(new.order_key, []).append(receipt.message_id)
            if new.idempotency_key is not None:
                self.keys[new.idempotency_key] = receipt.message_id

    @rule(name=_queues, limit=st.integers(1, 5), lasts=st.booleans())
    def take(self, name: QueueName, limit: int, lasts: bool) -> None:
        taken = self.run(self.queue.take(name, limit, LONG if lasts else 0.001))
        may_go = {
            line[0]
            for line in self.lines.values()
            if line and self.known[line[0]].new.queue == name and self.may_go(self.known[line[0]])
        }
        assert len(taken) == min(limit, len(may_go))
        for one in taken:
            assert one.message_id in may_go
            may_go.remove(one.message_id)
            known = self.known[one.message_id]
            if known.hands is not None:
                known.failures.append("lease_expired")
                self.settled.append(known.hands)
            known.attempts += 1
            known.hands, known.is_expired = one, not lasts
            assert (one.queue, one.order_key, one.body) == (
                known.new.queue,
                known.new.order_key,
                known.new.body,
            )
            assert one.attempt == known.attempts
        if not lasts:
            time.sleep(0.003)

    def may_go(self, known: Known) -> bool:
        return known.is_expired if known.hands is not None else not known.is_delayed

    @precondition(lambda self: self.held())
    @rule(data=st.data(), kind=st.sampled_from("DDRLUB"))
    def settle(self, data: st.DataObject, kind: str) -> None:
        names = data.draw(st.lists(st.sampled_from(self.held()), min_size=1, max_size=3, unique=True))
        settlements: list[Settlement] = []
        self.calls += 1
        for name in names:
            known = self.known[name]
            taken = known.hands
            assert taken is not None
            known.hands, known.is_expired = None, False
            self.settled.append(taken)
            if kind == "D":
                settlements.append(Delivered(taken, "result"))
            elif kind == "B":
                settlements.append(Buried(taken, FAILED))
            else:
                failure = None if kind == "U" else FAILED
                settlements.append(Retried(taken, 3e9 if kind == "L" else 1.0, failure, kind != "U"))
                known.is_delayed = kind == "L"
                known.attempts -= kind == "U"
            if kind in "RLB":
                known.failures.append(FAILED.reason)
            if kind in "DB":
                assert self.lines[known.new.order_key].pop(0) == name
                known.state = "dead" if kind == "B" else "delivered"
            if kind == "B":
                self.dead[name] = self.calls
            if kind == "D" and known.new.keep_seconds == 0:
                self.forget(name)
        assert self.run(self.queue.settle(settlements)) == 0

    @precondition(lambda self: self.settled)
    @rule(data=st.data())
    def settle_again(self, data: st.DataObject) -> None:
        taken = data.draw(st.sampled_from(self.settled))
        late = [Delivered(taken), Buried(taken, FAILED), Retried(taken, 1.0)]
        assert self.run(self.queue.settle([data.draw(st.sampled_from(late))])) == 1
        assert self.run(self.queue.extend([taken], LONG)) == 1

    @precondition(lambda self: self.held())
    @rule(data=st.data())
    def extend(self, data: st.DataObject) -> None:
        known = self.known[data.draw(st.sampled_from(self.held()))]
        assert known.hands is not None
        assert self.run(self.queue.extend([known.hands], LONG)) == 0
        known.is_expired = False

    @precondition(lambda self: self.dead)
    @rule(data=st.data(), purge=st.booleans())
    def replay_or_purge(self, data: st.DataObject, purge: bool) -> None:
        some = data.draw(st.lists(st.sampled_from(list(self.dead)), unique=True))
        wanted = LetterFilter(message_ids=tuple(some))
        if purge:
            assert self.run(self.queue.purge(wanted)) == len(some)
        else:
            assert self.run(self.queue.replay(wanted)) == len(some)
        for name in [name for name in self.dead if name in some]:
            del self.dead[name]
            known = self.known[name]
            if purge:
                self.forget(name)
                continue
            known.state, known.attempts, known.is_delayed = "live", 0, False
            self.lines.setdefault(known.new.order_key, []).append(name)

    @invariant()
    def states_are_those_of_the_model(self) -> None:
        for name, known in self.known.items():
            status = self.run(self.queue.status(name))
            assert status is not None
            in_hands = known.hands is not None and not known.is_expired
            state = ("in_flight" if in_hands else "waiting") if known.state == "live" else known.state
            assert (status.queue, status.state, status.attempts) == (known.new.queue, state, known.attempts)
            assert [failure.reason for failure in status.failures] == known.failures

    @invariant()
    def depths_are_those_of_the_model(self) -> None:
        depths = self.run(self.queue.depths())
        for name, depth in depths.items():
            mine = [one for one in self.live() if one.new.queue == name]
            in_flight = sum(one.hands is not None and not one.is_expired for one in mine)
            delayed = sum(one.hands is None and one.is_delayed for one in mine)
            assert (depth.in_flight, depth.delayed) == (in_flight, delayed)
            assert depth.waiting == len(mine) - in_flight - delayed
            assert depth.dead == sum(self.known[one].new.queue == name for one in self.dead)

    @invariant()
    def letters_are_those_of_the_model(self) -> None:
        letters = self.run(self.queue.letters(LetterFilter()))
        assert {letter.message_id for letter in letters} == set(self.dead)
        calls = [self.dead[letter.message_id] for letter in letters]
        assert calls == sorted(calls, reverse=True)


def check(url: Callable[[], str]) -> None:
    class Checked(Model):
        def __init__(self) -> None:
            self.url = url()
            super().__init__()

    run_state_machine_as_test(
        Checked,
        settings=settings(
            max_examples=40,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )


def test_the_embedded_queue_does_what_the_model_does() -> None:
    with tempfile.TemporaryDirectory(prefix="queue-") as folder:
        numbers = iter(range(1_000_000))
        check(lambda: f"sqlite://{folder}/{next(numbers)}.sqlite")


def test_redis_does_what_the_model_does(redis_server: RedisServer) -> None:
    def empty() -> str:
        redis_server.empty()
        return redis_server.url

    check(empty)
