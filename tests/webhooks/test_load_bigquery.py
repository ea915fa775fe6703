"""Every statement of the load as BigQuery would get it: it compiles, and BigQuery's grammar takes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cio_pipelines.webhooks.audit import EventAudit
from cio_pipelines.webhooks.load import EventLoad
from tests.bigquery import RecordingConnection, bigquery, check
from tests.sync.passing import PassingWarehouse

from .rig_load import MONDAY, LoadRig, event


def test_every_statement_of_the_load_is_good_bigquery(tmp_path: Path) -> None:
    rig = LoadRig(tmp_path)
    rig.land([event(1), event(1)])
    rig.land_raw(b"{")
    rig.land_object(b"no gzip")
    statements: list[Any] = []
    warehouse = PassingWarehouse(rig.warehouse, lambda inner: RecordingConnection(inner, statements))

    EventLoad(warehouse, rig.zone).run([MONDAY], "run", only_new=True)
    EventLoad(warehouse, rig.zone).run([MONDAY], "run", only_new=False)
    audit = EventAudit(warehouse, rig.zone)
    audit.unloaded()
    audit.loaded()
    audit.events()
    audit.duplicates()
    audit.newest_receipt(MONDAY)

    texts = sorted({bigquery(statement) for statement in statements})
    assert len(texts) > 20
    for text in texts:
        check(text)
    (events,) = [
        text
        for text in texts
        if text.strip().startswith("CREATE TABLE IF NOT EXISTS `customerio`.`webhook_events`")
    ]
    assert "\nPARTITION BY event_date\nCLUSTER BY loaded_at, object_type OPTIONS(" in events
