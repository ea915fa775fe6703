"""Every statement of the load as BigQuery would get it: its grammar takes it, and no table is read whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from cio_pipelines.landing.manifest import landed_files
from cio_pipelines.webhooks import native
from cio_pipelines.webhooks.audit import EventAudit
from cio_pipelines.webhooks.load import EventLoad
from cio_pipelines.webhooks.tables import webhook_events
from tests.bigquery import RecordingConnection, bigquery, check
from tests.golden import assert_golden
from tests.pruning import read_whole
from tests.sync.passing import PassingWarehouse

from .rig_load import MONDAY, LoadRig, event

GOLDEN = Path(__file__).with_name("golden")
PARTITIONED = {
    "customerio.webhook_events": webhook_events.info["partition_by"],
    "customerio.landed_files": landed_files.info["partition_by"],
    "analytics.deliveries": "first_event_at",
}


class Recording:
    """A rig whose statements are kept, as BigQuery's dialect writes them."""

    def __init__(self, rig: LoadRig) -> None:
        self.rig = rig
        self.statements: list[Any] = []
        self.warehouse = PassingWarehouse(
            rig.warehouse, lambda inner: RecordingConnection(inner, self.statements)
        )
        self.load = EventLoad(self.warehouse, rig.zone)
        self.audit = EventAudit(self.warehouse, rig.zone)

    def texts(self) -> list[str]:
        return sorted({bigquery(statement) for statement in self.statements})


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    rig = LoadRig(tmp_path)
    rig.land([event(1), event(1)])
    rig.land_raw(b"{")
    rig.land_object(b"no gzip")
    with rig.warehouse.connect() as connection:
        for statement in (
            "create schema analytics",
            "create table analytics.deliveries (person_id varchar, first_event_at timestamp)",
            "create table analytics.customerio_people (person_id varchar)",
        ):
            connection.execute(sa.text(statement))
    return Recording(rig)


def test_every_statement_of_the_load_is_good_bigquery(recording: Recording) -> None:
    recording.load.run([MONDAY], "run", only_new=True)
    recording.load.run([MONDAY], "run", only_new=False)
    audit = recording.audit
    audit.unloaded()
    audit.loaded()
    audit.events()
    audit.duplicates()
    audit.newest_receipt(MONDAY)
    audit.strangers()

    texts = recording.texts()
    assert len(texts) > 20
    for text in texts:
        check(text)
    for table, clauses in {
        "webhook_events": "PARTITION BY event_date\nCLUSTER BY loaded_at, object_type",
        "landed_files": "PARTITION BY received_date\nCLUSTER BY path",
    }.items():
        begin = f"CREATE TABLE IF NOT EXISTS `customerio`.`{table}`"
        [created] = [text for text in texts if text.strip().startswith(begin)]
        assert f"\n{clauses} OPTIONS(" in created


@pytest.mark.parametrize("only_new", [True, False], ids=["new", "again"])
def test_a_run_reads_only_the_partitions_that_it_is_about(recording: Recording, only_new: bool) -> None:
    recording.load.run([MONDAY], "first", only_new=True)  # makes the tables
    recording.rig.land([event(2), event(1), event(3, timestamp=1_700_000_000)])
    recording.statements.clear()

    recording.load.run([MONDAY], "run", only_new=only_new)
    # and the checks of a scheduled run
    audit = recording.audit
    audit.unloaded([MONDAY])
    audit.loaded([MONDAY])
    audit.events()
    audit.duplicates([MONDAY])
    audit.newest_receipt(MONDAY)
    audit.strangers([MONDAY])

    texts = recording.texts()
    assert sum("`webhook_events`" in text for text in texts) >= 4
    assert sum("`landed_files`" in text for text in texts) >= 4
    assert sum("`deliveries`" in text for text in texts) >= 1
    whole = {text: read for text in texts if (read := read_whole(text, PARTITIONED))}
    assert whole == {}


def test_a_check_of_everything_reads_everything(recording: Recording) -> None:
    recording.load.run([MONDAY], "first", only_new=True)
    recording.statements.clear()

    recording.audit.duplicates()

    [counted] = [text for text in recording.texts() if "webhook_events" in text and "DISTINCT" in text]
    assert read_whole(counted, PARTITIONED) == {"customerio.webhook_events"}


def test_the_load_of_events_is_this(recording: Recording) -> None:
    recording.load.run([MONDAY], "run", only_new=True)

    def only(*words: str) -> str:
        [found] = [text for text in recording.texts() if all(word in text for word in words)]
        return found

    assert_golden(GOLDEN / "find_new.sql", only("INSERT INTO `new_events`"))
    assert_golden(GOLDEN / "insert_new.sql", only("MERGE", "`webhook_events`"))
    assert_golden(GOLDEN / "record.sql", only("MERGE", "`landed_files`"))


def test_native_statements_are_these() -> None:
    statements: Sequence[Any] = (native.attribute(), native.attributions(10_001))

    for statement, name in zip(statements, ("attribute", "attributions"), strict=True):
        check(bigquery(statement))
        assert_golden(GOLDEN / f"{name}.sql", bigquery(statement))


def test_attributions_count_what_texts_say(tmp_path: Path) -> None:
    rig = LoadRig(tmp_path)
    texts = [
        '{"object":"a","line":1,"lines":2}',
        '{"object":"a","line":2,"lines":2}',
        '{"object":"b","line":2,"lines":3}',
        "{",
        '{"line":1}',
    ]
    with rig.warehouse.connect() as connection:
        connection.execute(sa.schema.CreateTable(native.landed_texts))
        connection.append(native.landed_texts, pa.table({"text": texts}))
        found = {row.file: tuple(row[1:]) for row in connection.rows(native.attributions(9))}

    assert found == {"a": (2, 2, 1, 2, 2, 2), "b": (1, 1, 2, 2, 3, 3), None: (2, 1, 1, 1, None, None)}
