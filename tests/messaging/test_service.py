"""Messages that go out now: what arrives, what an error says, and what is told of it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from cio_pipelines.customerio import (
    ConfigurationError,
    Ids,
    InvalidOperation,
    PersonIdentifiers,
    ServerError,
    TransactionalEmail,
)
from cio_pipelines.messaging.instruments import Instruments, OperationEvent
from cio_pipelines.messaging.service import MessagingService, SyncMessagingService
from cio_pipelines.sandbox import SandboxServer

from .rig import app_client, track_client

RECEIPT = TransactionalEmail(
    to="ada@example.com",
    transactional_message_id=3,
    identifiers=PersonIdentifiers(id="ada"),
    message_data={"total": 12},
)


@pytest.mark.anyio
async def test_every_operation_arrives(sandbox: SandboxServer) -> None:
    async with MessagingService(track_client(sandbox), app_client(sandbox)) as service:
        await service.identify_user("ada", {"plan": "pro"})
        event = await service.track_event("ada", "order_placed", {"amount": 12})
        sent = await service.send_transactional(RECEIPT)
        trigger = await service.trigger_broadcast(4, Ids(["ada"]), {"discount": 5})
        await service.identify_user("gone", {"plan": "free"})
        await service.delete_user("gone")
        await service.suppress_user("blocked")

    ada = sandbox.people()["ada"]["attributes"]
    assert ada["plan"] == "pro"
    assert abs(ada["last_seen_at"] - datetime.now(UTC).timestamp()) < 60
    assert sandbox.event_arrivals() == {event: 1}
    assert sent.delivery_id in {each["delivery_id"] for each in sandbox.deliveries()}
    assert [each["id"] for each in sandbox.triggers()] == [trigger]
    assert "gone" not in sandbox.people()
    assert [each["value"] for each in sandbox.suppressed()] == ["blocked"]


@pytest.mark.anyio
async def test_forms_for_many_tell_of_each(sandbox: SandboxServer) -> None:
    sandbox.set_faults([{"kind": "reject", "ids": ["b"], "field": "attributes.plan"}])
    async with MessagingService(track_client(sandbox)) as service:
        people = await service.identify_users([(who, {"plan": "pro"}) for who in "abc"])
        events = await service.track_events([("a", "seen", None), ("a", "", None)])

    assert [rejection.index for rejection in people.rejections] == [1]
    assert (people.accepted, events.accepted) == (2, 1)
    assert [(fault.index, fault.field, fault.status) for fault in events.rejections] == [(1, "name", 0)]


def test_the_blocking_form_does_the_same(sandbox: SandboxServer) -> None:
    service = MessagingService(track_client(sandbox), app_client(sandbox))
    with SyncMessagingService(service) as blocking:
        blocking.identify_user("ada", {"plan": "pro"})
        assert blocking.identify_users([("bob", {"plan": "pro"})]).accepted == 1
        assert blocking.send_transactional(RECEIPT).delivery_id
        with pytest.raises(InvalidOperation):
            blocking.track_event("ada", "")
    assert {"ada", "bob"} <= sandbox.people().keys()


@pytest.mark.anyio
async def test_an_error_says_whether_a_message_may_have_gone(sandbox: SandboxServer) -> None:
    sandbox.set_faults([{"kind": "status", "status": 500, "path": "/v1/send"}])
    async with MessagingService(track_client(sandbox), app_client(sandbox)) as service:
        with pytest.raises(ServerError) as failed:
            await service.send_transactional(RECEIPT)
    assert failed.value.was_accepted == "unknown"
    assert sandbox.stats()["answers_by_status"]["500"] == 1


@pytest.mark.anyio
async def test_what_needs_the_app_api_says_so(sandbox: SandboxServer) -> None:
    async with MessagingService(track_client(sandbox)) as service:
        with pytest.raises(ConfigurationError, match="CUSTOMERIO_APP_API_KEY"):
            await service.send_transactional(RECEIPT)


@pytest.mark.anyio
async def test_operations_are_told_and_nothing_personal_is(sandbox: SandboxServer) -> None:
    told: list[OperationEvent] = []
    reader, exporter = InMemoryMetricReader(), InMemorySpanExporter()
    tracer = TracerProvider()
    tracer.add_span_processor(SimpleSpanProcessor(exporter))
    instruments = Instruments(told.append, MeterProvider([reader]), tracer)
    sandbox.set_faults([{"kind": "status", "status": 500, "path": "/v1/send"}])
    service = MessagingService(track_client(sandbox), app_client(sandbox), instruments=instruments)
    async with service:
        await service.identify_user("person-ada", {"email": "ada@example.com"})
        with pytest.raises(InvalidOperation):
            await service.track_event("person-ada", "x" * 101)
        with pytest.raises(ServerError):
            await service.send_transactional(RECEIPT)

    assert [(event.operation, event.outcome, event.error) for event in told] == [
        ("identify_user", "accepted", None),
        ("track_event", "refused", "InvalidOperation"),
        ("send_transactional", "failed", "ServerError"),
    ]
    spans = exporter.get_finished_spans()
    assert [span.name for span in spans] == [f"customerio.{event.operation}" for event in told]
    metrics = reader.get_metrics_data()
    assert metrics is not None
    written = metrics.to_json() + "".join(span.to_json() for span in spans) + repr(told)
    assert "customerio.messaging.operation.duration" in written
    assert "person-ada" not in written
    assert "example.com" not in written


@pytest.mark.anyio
async def test_an_observer_that_fails_costs_nothing(
    sandbox: SandboxServer, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(event: OperationEvent) -> None:
        raise ValueError(event.operation)

    async with MessagingService(track_client(sandbox), instruments=Instruments(fails)) as service:
        await service.identify_user("ada", {"plan": "pro"})
    assert "ada" in sandbox.people()
    assert "observer of messaging operations failed" in caplog.text
