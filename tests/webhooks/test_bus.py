"""Handlers: what they are called for, and that they can hurt nobody."""

from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path

import pytest

from cio_pipelines.webhooks.bus import EventBus, WebhookEvent
from cio_pipelines.webhooks.handlers import HandlersError, register_handlers

from .conftest import event, eventually, landed, receiving, signed


def keys(events: list[WebhookEvent]) -> list[tuple[str | None, str | None]]:
    return [(seen.object_type, seen.metric) for seen in events]


def test_handlers_get_what_they_asked_for_once_it_is_durable(tmp_path: Path) -> None:
    bus = EventBus()
    all_, emails, sent, unsubscribed = ([] for _ in range(4))
    durable: list[bool] = []

    @bus.on()
    def everything(seen: WebhookEvent) -> None:
        durable.append(seen.body in [body for _, body in landed(tmp_path)])
        all_.append(seen)

    bus.subscribe(emails.append, object_type="email")

    @bus.on(metric="sent")
    async def of_a_metric(seen: WebhookEvent) -> None:
        await asyncio.sleep(0)
        sent.append(seen)

    bus.on(object_type="customer", metric="unsubscribed")(unsubscribed.append)

    given = [("email", "sent"), ("email", "opened"), ("customer", "unsubscribed"), ("push", "sent")]
    with receiving(tmp_path, bus=bus) as service:
        for number, (object_type, metric) in enumerate(given):
            service.post(event(number, object_type, metric))
        service.post(b"[]")
        service.post(event(9), {})
        service.post(b"{", signed(b"{"))

    assert keys(all_) == [*given, (None, None)]
    assert keys(emails) == given[:2]
    assert keys(sent) == [given[0], given[3]]
    assert keys(unsubscribed) == [given[2]]
    assert durable == [True] * 5
    assert all_[0].decoded()["data"] == {"identifiers": {"id": "ada@example.com"}}
    assert (all_[0].body, all_[0].event_id) == (event(0, *given[0]), "01E2EMRMM6TZ12TF9W00000000")


def test_what_is_not_stored_is_not_handed_over(tmp_path: Path) -> None:
    seen: list[WebhookEvent] = []
    bus = EventBus()
    bus.subscribe(seen.append)
    (tmp_path / "webhooks").write_text("a file where a folder should be")
    with receiving(tmp_path, bus=bus) as service:
        assert service.post(event()).status_code == 503
    assert seen == []


def test_a_handler_that_fails_is_counted_and_logged_without_personal_data(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bus = EventBus(handler_seconds=0.05)
    seen: list[WebhookEvent] = []

    @bus.on()
    def broken(event: WebhookEvent) -> None:
        raise ValueError(event.body.decode())

    @bus.on()
    async def never_ends(event: WebhookEvent) -> None:
        await asyncio.Event().wait()

    bus.subscribe(seen.append)
    with receiving(tmp_path, bus=bus) as service:
        for number in range(3):
            assert service.post(event(number)).status_code == 200
        for handler in (broken, never_ends):
            name = f"{__name__}.{handler.__qualname__}"
            counter = f'cio_webhook_handler_failures_total{{handler="{name}"}}'
            eventually(lambda counter=counter: service.counted(counter) == 3)

    assert len(seen) == 3
    fields = [record.__dict__["fields"] for record in caplog.records if record.levelno == logging.ERROR]
    assert sorted((field["error"], field["event_id"]) for field in fields) == [
        ("TimeoutError", "01E2EMRMM6TZ12TF9W00000000"),
        ("ValueError", "01E2EMRMM6TZ12TF9W00000000"),
    ]
    assert "ada@" not in str([record.__dict__ for record in caplog.records])


def test_a_handler_that_hangs_holds_up_nobody_and_misses_events(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bus = EventBus(queue_events=2)
    entered, release = threading.Event(), threading.Event()
    seen: list[WebhookEvent] = []

    @bus.on()
    def hangs(event: WebhookEvent) -> None:
        entered.set()
        assert release.wait(30)

    bus.subscribe(seen.append)
    with receiving(tmp_path, bus=bus) as service:
        assert service.post(event(0)).status_code == 200
        assert entered.wait(5)
        for number in range(1, 6):
            assert service.post(event(number)).status_code == 200
        eventually(lambda: len(seen) == 6)
        name = f"{__name__}.{hangs.__qualname__}"
        assert service.counted(f'cio_webhook_handler_drops_total{{handler="{name}"}}') == 3
        release.set()
    [dropped] = [record.__dict__["fields"] for record in caplog.records]
    assert dropped == {"handler": name, "dropped": 1}


def test_the_service_ends_though_a_handler_does_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cio_pipelines.webhooks.service._HANDLERS_END_SECONDS", 0.1)
    bus = EventBus()
    release = threading.Event()
    bus.subscribe(lambda _: release.wait(30))
    with receiving(tmp_path, bus=bus) as service:
        service.post(event())
    assert [record.getMessage() for record in caplog.records] == ["a handler did not end in time"]
    release.set()


def test_handlers_finish_what_waits_when_the_service_ends(tmp_path: Path) -> None:
    bus = EventBus()
    seen: list[WebhookEvent] = []

    @bus.on()
    async def slow(event: WebhookEvent) -> None:
        await asyncio.sleep(0.02)
        seen.append(event)

    with receiving(tmp_path, bus=bus) as service:
        for number in range(5):
            service.post(event(number))
    assert [one.body for one in seen] == [event(number) for number in range(5)]


def test_consent_changes_are_counted_by_kind_and_logged_by_id_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    changes = [
        ("customer", "subscribed", "subscribed"),
        ("customer", "unsubscribed", "unsubscribed"),
        ("email", "unsubscribed", "unsubscribed"),
        ("sms", "cio_subscription_preferences_changed", "preferences"),
        ("email", "spammed", "spam_report"),
    ]
    with caplog.at_level(logging.INFO, "cio_pipelines"), receiving(tmp_path) as service:
        for number, (object_type, metric, _) in enumerate(changes):
            service.post(event(number, object_type, metric))
        service.post(event(9, "email", "opened"))
        service.post(event(5, "customer", "subscribed", event_id="ada@example.com"))

        def counts() -> dict[str, float]:
            kinds = {kind for *_, kind in changes}
            return {kind: service.counted(f'cio_consent_changes_total{{kind="{kind}"}}') for kind in kinds}

        expected = {"subscribed": 2, "unsubscribed": 2, "preferences": 1, "spam_report": 1}
        eventually(lambda: counts() == expected)
    logged = [record.__dict__["fields"] for record in caplog.records]
    assert {"kind": "spam_report", "event_id": "01E2EMRMM6TZ12TF9W00000004"} in logged
    assert {"kind": "subscribed", "event_id": None} in logged
    assert "ada@" not in str([record.__dict__ for record in caplog.records])


def test_a_team_registers_its_own_handlers_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "team_handlers.py").write_text(
        "seen = []\ndef register(bus):\n    bus.subscribe(seen.append, metric='sent')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    bus = EventBus()
    register_handlers(["team_handlers:register"], bus)
    with receiving(tmp_path / "landing", bus=bus) as service:
        service.post(event())

    import team_handlers  # pyright: ignore[reportMissingImports]

    assert keys(team_handlers.seen) == [("email", "sent")]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("no_such_module:register", "'no_such_module:register' cannot be used (ModuleNotFoundError"),
        ("json:no_such_function", "'json:no_such_function' cannot be used (AttributeError"),
        ("json:loads", "'json:loads' cannot be used (TypeError"),
        ("json", "'json' does not name handlers: write module:function."),
        (":register", "':register' does not name handlers"),
    ],
)
def test_handlers_that_cannot_be_had_are_named(name: str, told: str) -> None:
    with pytest.raises(HandlersError) as raised:
        register_handlers([name], EventBus())
    assert str(raised.value).startswith(told)
