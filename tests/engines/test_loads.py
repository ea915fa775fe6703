"""Landed webhook events into the warehouse, the same on every engine: each once, each line accounted for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from cio_pipelines.warehouse.functions import UtcTimestamp
from cio_pipelines.webhooks.reports import LoadReport
from cio_pipelines.webhooks.tables import webhook_events
from tests.webhooks.rig_load import MONDAY, NOON, LoadRig, event

from .rig import EngineRig

DEEP = 20_000
WIDE = 3_000

STRANGE = {
    "zero": event(10, data={"customer_id": "u10", "subject": "a\0b"}),
    "scripts": event(12, data={"customer_id": "𠮷野家 👩🏽‍🚀", "delivery_id": 'say "so" \\ '}),
    "numbers": event(13, data={"customer_id": "7", "campaign_id": 9_007_199_254_740_993, "journey_id": 5}),
    "no numbers": event(
        14, data={"customer_id": "u14", "campaign_id": 1.5, "action_id": "0x10", "content_id": None}
    ),
    "wide": event(15, data={"customer_id": "u15", "items": [{"tags": [1]}] * WIDE}),
    "no person": event(16, data={"delivery_id": ""}),
    "other metric": event(17, metric="a_new_one", object_type="a_new_kind"),
}
"""Events that are loaded, whatever is in them."""

HARD = {
    30: event(30, data={}).replace(b'"data":{}', b'"data":' + b"[" * DEEP + b"]" * DEEP),
    31: event(31, data={"customer_id": "u31"}).replace(b'"u31"', b'"u31","s":"\\ud800 \\\\ud800 \\ude00"'),
}
"""JSON by its grammar, which some engines cannot read: 20,000 levels, and halves of characters."""

BAD = {
    "the line is not JSON": b"{nope",
    "the line has no body": b'{"received_at": "2026-11-23T12:00:00+00:00"}',
    "the line has no received_at": json.dumps({"received_at": "now", "body": event(1).decode()}).encode(),
}
BAD_BODIES = {
    "the body is not a JSON object": b"[1]",
    "the event has no event_id": event(20, event_id=None),
    "the event has no metric": event(21, metric=None),
    "the event has no timestamp in whole seconds": event(22, timestamp=1.5),
    "the event's timestamp is not in seconds since 1970": event(23, timestamp=1_764_000_000_000),
}


@dataclass
class Loaded:
    """What three loads did: new objects, nothing new, and everything again."""

    rig: LoadRig
    reports: list[LoadReport]
    events: list[list[tuple[Any, ...]]]
    quarantine: list[list[tuple[Any, ...]]]
    paths: dict[str, str]


@pytest.fixture(scope="module")
def loaded(engine_rig: EngineRig, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    rig = LoadRig(tmp_path_factory.mktemp("landing"), warehouse=engine_rig.warehouse)
    paths = {
        "late": rig.land([event(1, metric="opened"), event(4)], at=NOON + timedelta(hours=1)),
        "plain": rig.land([event(1), event(2), event(3), event(2, metric="clicked")]),
        "strange": rig.land(STRANGE.values()),
        "hard": rig.land(HARD.values()),
        "bad bodies": rig.land(BAD_BODIES.values()),
        "bad": rig.land_raw(b"\n".join(BAD.values()) + b"\n"),
        "broken": rig.land_object(b"no gzip"),
    }
    loaded = Loaded(rig, [], [], [], paths)
    for only_new in (True, True, False):
        loaded.reports.append(rig.run(MONDAY, only_new=only_new))
        loaded.events.append(rig.events())
        loaded.quarantine.append(rig.quarantine())
    return loaded


def test_each_event_is_there_once_as_it_was_received_first(loaded: Loaded) -> None:
    found = {row[0]: row[1:] for row in loaded.rig.events("event_id", "metric", "file", "event")}
    assert len(found) == len(loaded.events[0])
    one, two = (f"01KAT{number:021d}" for number in (1, 2))
    assert found[one] == ("sent", loaded.paths["plain"], event(1).decode())
    assert found[two] == ("sent", loaded.paths["plain"], event(2).decode())


def test_members_become_columns_of_their_types(loaded: Loaded) -> None:
    columns = (
        "event_id",
        "person_id",
        "cio_id",
        "delivery_id",
        "campaign_id",
        "action_id",
        "event_at",
        "event_date",
    )
    [row] = [row for row in loaded.rig.events(*columns) if row[0].endswith("03")]
    at = datetime.fromtimestamp(1_764_000_003, UTC)
    assert row[1:] == ("u3", "c3", "d3", 23, 42, at, at.date())
    [received] = loaded.rig.rows(
        sa.select(webhook_events.c.received_at).where(webhook_events.c.event_id == row[0])
    )
    assert received == (NOON + timedelta(seconds=2),)
    assert isinstance(webhook_events.c.received_at.type, UtcTimestamp)


@pytest.mark.parametrize("name", STRANGE)
def test_a_strange_event_is_loaded_with_its_text_as_it_was_received(loaded: Loaded, name: str) -> None:
    event_id = json.loads(STRANGE[name])["event_id"]
    texts = dict(loaded.rig.events("event_id", "event"))
    assert texts[event_id] == STRANGE[name].decode()


def test_what_strange_events_say_is_read(loaded: Loaded) -> None:
    columns = ("event_id", "person_id", "delivery_id", "campaign_id", "action_id", "content_id", "journey_id")
    found = {row[0][-2:]: row[1:] for row in loaded.rig.events(*columns)}
    nothing = (None, None, None, None)
    assert found["10"] == ("u10", None, *nothing)
    assert found["12"] == ("𠮷野家 👩🏽‍🚀", 'say "so" \\ ', *nothing)
    assert found["13"] == ("7", None, 9_007_199_254_740_993, None, None, "5")
    assert found["14"] == ("u14", None, *nothing)
    assert found["15"] == ("u15", None, *nothing)
    assert found["16"] == (None, None, *nothing)


def test_lines_that_are_no_event_are_quarantined_with_the_reason(loaded: Loaded) -> None:
    found = [(path, reason, text) for path, _, reason, text in loaded.quarantine[0]]
    bad = {reason: text for path, reason, text in found if path == loaded.paths["bad"]}
    assert bad == {reason: f"{line.decode()}\n" for reason, line in BAD.items()}
    bodies = {reason for path, reason, _ in found if path == loaded.paths["bad bodies"]}
    assert bodies == set(BAD_BODIES)


@pytest.mark.parametrize("number", HARD)
def test_what_an_engine_cannot_read_stops_no_load(loaded: Loaded, number: int) -> None:
    found = dict(loaded.rig.events("event_id", "event")).get(f"01KAT{number:021d}")
    quarantined = [text for path, _, _, text in loaded.quarantine[0] if path == loaded.paths["hard"]]
    is_quarantined = any(f"01KAT{number:021d}" in text for text in quarantined)
    assert is_quarantined == (found is None)
    assert found in (None, HARD[number].decode())


def test_every_line_is_in_the_manifest_and_what_cannot_be_read_is_said(loaded: Loaded) -> None:
    columns = ("path", "status", "rows", "inserted", "repeated", "quarantined")
    entries = {row[0]: row[1:] for row in loaded.rig.manifest(*columns)}
    by_name = {name: entries[path] for name, path in loaded.paths.items()}
    assert by_name["plain"] == ("loaded", 4, 3, 1, 0)
    assert by_name["late"] == ("loaded", 2, 1, 1, 0)
    assert by_name["strange"] == ("loaded", len(STRANGE), len(STRANGE), 0, 0)
    assert by_name["bad"] == ("loaded", len(BAD), 0, 0, len(BAD))
    assert by_name["bad bodies"] == ("loaded", len(BAD_BODIES), 0, 0, len(BAD_BODIES))
    assert by_name["broken"] == ("failed", None, None, None, None)
    assert [failed.path for failed in loaded.reports[0].failed] == [loaded.paths["broken"]]


def test_loading_again_changes_nothing(loaded: Loaded) -> None:
    assert loaded.reports[0].days[MONDAY].inserted == len(loaded.events[0])
    assert loaded.reports[1].days[MONDAY].inserted == 0
    assert loaded.reports[2].days[MONDAY].inserted == 0
    assert loaded.events[0] == loaded.events[1] == loaded.events[2]
    assert loaded.quarantine[0] == loaded.quarantine[1] == loaded.quarantine[2]
