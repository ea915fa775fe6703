"""From the HTTP call to the row: every event that the specification knows, and some that it does not."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from cio_pipelines.webhooks.objects import Landed
from cio_pipelines.webhooks.tables import webhook_events

from .conftest import event, receiving
from .event_shapes import Shapes, needs_document
from .rig_load import LoadRig

NUMBERS = ("campaign_id", "action_id", "broadcast_id", "trigger_id", "newsletter_id", "content_id")
TEXTS = ("delivery_id", "journey_id", "transactional_message_id")


def expected(sent: dict[str, Any]) -> dict[str, Any]:
    """The typed columns that an event should have; an empty text is none."""
    data = sent.get("data") or {}
    who = data.get("identifiers") or {}
    row = {name: data.get(name) for name in NUMBERS}
    row |= {name: None if data.get(name) in ("", None) else str(data[name]) for name in TEXTS}
    row["person_id"] = who.get("id") or data.get("customer_id") or None
    row["cio_id"] = who.get("cio_id") or None
    row["event_at"] = datetime.fromtimestamp(sent["timestamp"], UTC)
    return row | {name: sent[name] for name in ("event_id", "object_type", "metric")}


@needs_document
def test_every_shape_of_the_specification_goes_from_the_call_to_a_row(tmp_path: Path) -> None:
    shapes = Shapes()
    made = [one for name in shapes.names for one in shapes.events(name, seed=2)]
    for number, one in enumerate(made):
        one |= {"event_id": f"01KAT{number:021d}", "timestamp": 1_764_000_000 + number}
        # one shape does not demand it
        one["object_type"] = one.get("object_type") or "email"
    made += [json.loads(event(0, "nova", "exploded")), json.loads(event(1, "email", "teleported", more=[1]))]
    bodies = {one["event_id"]: json.dumps(one, ensure_ascii=False) for one in made}
    rig = LoadRig(tmp_path)
    with receiving(rig.folder) as service, ThreadPoolExecutor(16) as senders:
        answers = list(senders.map(service.post, [body.encode() for body in bodies.values()]))
    assert {answer.status_code for answer in answers} == {200}

    report = rig.run(*Landed(rig.zone).days)

    assert len(made) > 500
    assert rig.quarantine() == []
    assert (report.total.inserted, report.total.quarantined, report.failed) == (len(made), 0, ())
    with rig.warehouse.connect() as connection:
        rows = connection.rows(sa.select(webhook_events))
    assert {row.event_id: row.event for row in rows} == bodies
    for row in rows:
        wanted = expected(json.loads(bodies[row.event_id]))
        assert {name: getattr(row, name) for name in wanted} == wanted, row.event
