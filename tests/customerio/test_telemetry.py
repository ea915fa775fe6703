from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import metrics

from cio_pipelines.customerio import (
    CallEvent,
    DeletePerson,
    Forbidden,
    InvalidOperation,
    PersonIdentifiers,
    TrackClient,
)

from .conftest import people
from .scripted_server import Answer, ScriptedServer, errors

pytestmark = pytest.mark.anyio
Connect = Callable[..., TrackClient]


class Recorder(metrics.NoOpMeterProvider):
    """A metrics backend that keeps every measurement as (instrument, value, attributes)."""

    def __init__(self) -> None:
        self.measurements: list[tuple[str, float, dict[str, Any]]] = []

    def get_meter(self, name: str, *args: Any, **kwargs: Any) -> metrics.Meter:
        return _Meter(self, name)

    def total(self, name: str) -> float:
        return sum(value for instrument, value, _ in self.measurements if instrument == name)


class _Meter(metrics.NoOpMeter):
    def __init__(self, recorder: Recorder, name: str) -> None:
        super().__init__(name)
        self._recorder = recorder

    def create_counter(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return _Instrument(name, self._recorder)

    def create_histogram(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return _Instrument(name, self._recorder)


class _Instrument:
    def __init__(self, name: str, recorder: Recorder) -> None:
        self._name, self._recorder = name, recorder

    def add(self, amount: float, attributes: dict[str, Any]) -> None:
        self._recorder.measurements.append((self._name, amount, attributes))

    record = add


async def test_a_send_with_retries_is_one_event(
    server: ScriptedServer, connect: Connect, events: list[CallEvent]
) -> None:
    server.script = [Answer(503), Answer(500)]
    async with connect() as client:
        result = await client.send(people(5), 1, 4)
    (event,) = events
    assert (event.operation, event.outcome, event.error) == ("track.batch", "accepted", None)
    assert (event.status, event.requests, event.attempts, event.operations) == (200, 1, 3, 3)
    assert event.bytes_sent == result.bytes_sent == 3 * len(server.received[0].body)
    assert 0 < result.seconds <= event.seconds < 5


async def test_outcomes_tell_rejected_unanswered_and_failed_apart(
    server: ScriptedServer, connect: Connect, events: list[CallEvent]
) -> None:
    server.script = [errors({"batch_index": 0, "reason": "invalid"}), Answer(403), Answer(403)]
    async with connect() as client:
        await client.send(people(2), 0, 2)
        await client.send(people(2), 0, 2)
        with pytest.raises(Forbidden):
            await client.region()
        with pytest.raises(InvalidOperation):
            await client.entity(DeletePerson(PersonIdentifiers(id="")))
    assert [(e.operation, e.outcome, e.error, e.status, e.rejected, e.attempts) for e in events] == [
        ("track.batch", "rejected", None, 207, 1, 1),
        ("track.batch", "unanswered", "Forbidden", 403, 0, 1),
        ("track.region", "failed", "Forbidden", 403, 0, 1),
        ("track.entity", "failed", "InvalidOperation", None, 0, 0),
    ]


async def test_a_batch_of_several_bodies_is_one_event(
    server: ScriptedServer, connect: Connect, events: list[CallEvent]
) -> None:
    operations = [DeletePerson(PersonIdentifiers(id=f"{i:0150}")) for i in range(5000)]
    async with connect() as client:
        await client.batch(operations)
    (event,) = events
    assert event.requests == event.attempts == len(server.received) == 3
    assert event.operations == 5000
    assert event.bytes_sent == sum(len(request.body) for request in server.received)


async def test_a_cancelled_call_still_leaves_its_event(
    server: ScriptedServer, connect: Connect, events: list[CallEvent]
) -> None:
    server.default = Answer(delay=2)
    async with connect() as client:
        task = asyncio.create_task(client.send(people(1), 0, 1))
        while not server.received:
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [(event.outcome, event.attempts) for event in events] == [("cancelled", 1)]


async def test_metrics_count_calls_attempts_operations_and_bytes(
    server: ScriptedServer, connect: Connect
) -> None:
    recorder = Recorder()
    server.script = [Answer(500), Answer(), errors({"batch_index": 0, "reason": "invalid"})]
    async with connect(meter_provider=recorder) as client:
        await client.send(people(3), 0, 3)
        await client.send(people(3), 0, 2)
    assert recorder.total("customerio.client.calls") == 2
    assert recorder.total("customerio.client.attempts") == 3
    assert recorder.total("customerio.client.operations") == 5
    assert recorder.total("customerio.client.request.bytes") == sum(len(r.body) for r in server.received)
    durations = [
        value for name, value, _ in recorder.measurements if name == "customerio.client.call.duration"
    ]
    assert len(durations) == 2
    assert min(durations) > 0
    attributes = [labels for name, _, labels in recorder.measurements if name == "customerio.client.calls"]
    assert attributes == [
        {"operation": "track.batch", "outcome": "accepted", "http.response.status_code": 200},
        {"operation": "track.batch", "outcome": "rejected", "http.response.status_code": 207},
    ]


async def test_an_observer_that_fails_is_logged_and_costs_no_result(
    server: ScriptedServer, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    def observer(event: CallEvent) -> None:
        raise RuntimeError("observer broke")

    async with connect(observer=observer) as client:
        result = await client.send(people(1), 0, 1)
    assert result.accepted == 1
    assert "observer broke" in caplog.text
    assert [record.levelno for record in caplog.records if "observer" in record.message] == [logging.ERROR]
