"""The statements of the event sync as BigQuery would get them: good ones, which leave partitions out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cio_pipelines.sync.windows import FULL, Window
from tests.bigquery import BilledWarehouse, RecordingConnection, bigquery, check
from tests.golden import assert_golden
from tests.pruning import read_whole

from .rig import EventRig, event

GOLDEN = Path(__file__).with_name("golden")
PARTITIONED = {
    "analytics.customerio_events": "occurred_at",
    "customerio_sync.accepted_events": "occurred_on",
    "customerio_sync.sync_plan": "run_date",
    "customerio_sync.sync_acks": "run_date",
    "customerio_sync.sync_log": "run_date",
}
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def recorded(rig: EventRig, *windows: Window) -> list[str]:
    """All distinct statements of runs over these windows, in each of which something is new or refused."""
    rig.run()  # makes the tables
    statements: list[Any] = []
    warehouse = BilledWarehouse(rig.warehouse, lambda inner: RecordingConnection(inner, statements))
    rig.refuse("bob")
    for number, window in enumerate(windows):
        moment = TODAY + timedelta(minutes=number)
        rig.add(event(f"new {number}", occurred_at=moment))
        rig.add(event(f"refused {number}", occurred_at=moment, person_id="bob"))
        rig.run(window, warehouse=warehouse)
    engine = rig.engine(warehouse=warehouse)
    engine.replay(["refused 0"])
    engine.letters(3)
    rig.refuse()
    return sorted({bigquery(statement) for statement in statements})


@pytest.fixture
def scheduled(rig: EventRig) -> list[str]:
    """Four runs over the running day."""
    return recorded(rig, *[Window(TODAY, TODAY + timedelta(days=1))] * 4)


def test_every_statement_is_good_bigquery(rig: EventRig) -> None:
    found = recorded(rig, FULL, Window(TODAY, TODAY + timedelta(days=1)))

    assert len(found) > 25
    for text in found:
        check(text)


def test_the_plan_is_this(scheduled: list[str]) -> None:
    plans = [text for text in scheduled if text.startswith("INSERT INTO `customerio_sync`.`sync_plan`")]

    assert_golden(GOLDEN / "plan.sql", min(plans, key=len))  # nothing was left open


def test_what_is_remembered_is_this(scheduled: list[str]) -> None:
    [remembered] = [
        text for text in scheduled if text.startswith("INSERT INTO `customerio_sync`.`accepted_events`")
    ]

    assert_golden(GOLDEN / "remember.sql", remembered)


def test_a_scheduled_run_reads_only_the_partitions_that_it_is_about(scheduled: list[str]) -> None:
    whole = {text: read for text in scheduled if (read := read_whole(text, PARTITIONED))}
    # What is new or open is looked up by the id, by which both are clustered: its day may be another by now.
    mart, accepted = {"analytics.customerio_events"}, {"customerio_sync.accepted_events"}
    named = {
        text
        for text, read in whole.items()
        if (read == mart and "IN UNNEST" in text)
        or (read == accepted and "`accepted_events`.`event_id` IN UNNEST" in text)
    }

    assert len(scheduled) > 25
    assert whole.keys() == named, "\n\n".join(whole.keys() - named)
    assert sum(read == accepted for read in whole.values()) == 1
