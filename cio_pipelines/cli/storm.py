"""A receiver under load and under attack: events from the sandbox, kills, and a landing zone that fails.

What is measured by `cio bench webhooks` is shown by a test too, with fewer events.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from cio_pipelines.cli.receiver import ReceiverProcess
from cio_pipelines.landing import LandingZone
from cio_pipelines.sandbox import SandboxOptions, SandboxServer
from cio_pipelines.warehouse import open_warehouse
from cio_pipelines.webhooks.audit import EventAudit
from cio_pipelines.webhooks.load import EventLoad
from cio_pipelines.webhooks.objects import Landed
from cio_pipelines.webhooks.tables import webhook_events

_KEY = "storm-signing-key"
_DUPLICATES, _BAD_SIGNATURES = 0.05, 0.01


@dataclass(frozen=True, slots=True)
class Storm:
    """How a storm ended. Everything in `wrong` should be 0.

    `reporting` is the sandbox's own report: attempts by status, answer times, events per second.
    """

    events: int
    seconds: float
    kills: int
    outage_seconds: float
    loaded: int
    load_seconds: float
    files: int
    reporting: Mapping[str, Any]
    wrong: Mapping[str, int] = field(default_factory=dict[str, int])


def storm(
    folder: Path, events: int, *, kills: int = 0, outage_seconds: float = 0.0, streams: int = 64
) -> Storm:
    """Send generated events to a receiver, load what it landed, and compare with what was sent.

    5% of the events are sent twice, and 1% as many more come with a wrong signature. The sandbox waits by a
    clock of 3,600 times the speed: an hour is a second.

    Args:
        folder: empty; landing zone and warehouse are made in it.
        events: how many.
        kills: how often the receiver is killed (SIGKILL) and started again, spread over the events.
        outage_seconds: how long, from about the middle on, the landing zone cannot be written.
        streams: connections that send at once.
    """
    zone = folder / "landing"
    zone.mkdir()
    environment = {
        **os.environ,
        "LANDING_URL": f"file://{zone}",
        "CUSTOMERIO_WEBHOOK_SIGNING_KEY": _KEY,
    }
    options = SandboxOptions(
        webhook_signing_key=_KEY,
        webhook_streams=streams,
        webhook_clock=3_600.0,
        webhook_duplicates=_DUPLICATES,
        webhook_bad_signatures=_BAD_SIGNATURES,
    )
    with SandboxServer(options) as sandbox, ReceiverProcess(environment) as receiver:
        sandbox.generate_events(events, people=10_000)
        started = time.monotonic()
        sandbox.set_webhook(url=receiver.url)
        for number in range(kills):
            _wait_for(sandbox, events * (number + 1) // (kills + 2))
            receiver.kill()
            receiver.start()
        if outage_seconds:
            _wait_for(sandbox, events * (kills + 1) // (kills + 2))
            with _unwritable(zone):
                time.sleep(outage_seconds)
        reporting = sandbox.wait_until_reported(timeout=600)
        seconds = time.monotonic() - started
        sent = sandbox.reported_events()
    return _compared(folder, zone, sent, reporting, seconds, kills, outage_seconds)


def _compared(
    folder: Path,
    zone: Path,
    sent: list[dict[str, Any]],
    reporting: Mapping[str, Any],
    seconds: float,
    kills: int,
    outage_seconds: float,
) -> Storm:
    landed = LandingZone(f"file://{zone}")
    warehouse = open_warehouse(f"duckdb:///{folder / 'warehouse.duckdb'}", memory_limit="500MB")
    report = EventLoad(warehouse, landed).run(Landed(landed).days, "storm", only_new=True)
    audit = EventAudit(warehouse, landed)
    with warehouse.connect() as connection:
        rows = connection.rows(sa.select(webhook_events.c.event_id, webhook_events.c.event))
    loaded = {row.event_id: row.event for row in rows}
    forged = {item["event_id"] for item in sent if item["state"] == "forged"}
    true = {item["event_id"]: item for item in sent if item["state"] != "forged"}
    unloaded = audit.unloaded()
    wrong = {
        "acknowledged and not in the warehouse": sum(
            1 for name, item in true.items() if item["state"] == "acknowledged" and name not in loaded
        ),
        "never acknowledged": sum(1 for item in true.values() if item["state"] != "acknowledged"),
        "in the warehouse more than once": audit.duplicates(),
        "in the warehouse and never sent": len(loaded.keys() - true.keys()),
        "wrongly signed and in the warehouse": len(loaded.keys() & forged),
        "quarantined lines": report.total.quarantined,
        "objects not loaded": len(unloaded.unread) + len(unloaded.failed),
    }
    return Storm(
        events=len(true),
        seconds=seconds,
        kills=kills,
        outage_seconds=outage_seconds,
        loaded=len(loaded),
        load_seconds=report.seconds,
        files=report.total.files,
        reporting=reporting,
        wrong=wrong,
    )


@contextmanager
def _unwritable(zone: Path) -> Generator[None]:
    """A file stands in the place of the folder: nobody can write there, not even root."""
    aside = zone.with_name(f"{zone.name}-aside")
    zone.rename(aside)
    zone.touch()
    try:
        yield
    finally:
        zone.unlink()
        aside.rename(zone)


def _wait_for(sandbox: SandboxServer, acknowledged: int) -> None:
    while (report := sandbox.webhooks())["acknowledged"] < acknowledged and not report["idle"]:
        time.sleep(0.02)
