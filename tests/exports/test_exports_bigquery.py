"""Every statement of the load as BigQuery would get it: it compiles, and BigQuery's grammar takes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cio_pipelines.exports.audit import ExportAudit
from cio_pipelines.exports.load import ExportLoad
from cio_pipelines.exports.tables import TABLES
from tests.bigquery import RecordingConnection, bigquery, check
from tests.sync.passing import PassingWarehouse

from .rig import ROWS, ExportRig


def test_every_statement_of_the_load_is_good_bigquery(tmp_path: Path) -> None:
    rig = ExportRig(tmp_path)
    for table, row in ROWS.items():
        rig.export(table, [row, dict.fromkeys(row)])
    rig.export("events", [{"event_id": 1}])
    rig.export_bytes("people", b"no parquet")
    statements: list[Any] = []
    warehouse = PassingWarehouse(rig.warehouse, lambda inner: RecordingConnection(inner, statements))

    ExportLoad(warehouse, rig.zone).run(None, "run", only_new=True)
    audit = ExportAudit(warehouse, rig.zone)
    audit.unloaded()
    audit.rows()

    texts = sorted({bigquery(statement) for statement in statements})
    assert len(texts) > 6 * len(TABLES)
    for text in texts:
        check(text)
    (metrics,) = [
        text
        for text in texts
        if text.strip().startswith("CREATE TABLE IF NOT EXISTS `customerio`.`export_metrics`")
    ]
    partition = "\nPARTITION BY TIMESTAMP_TRUNC(created_at, MONTH)"
    assert f"{partition}\nCLUSTER BY workspace_id, delivery_id, event_id OPTIONS(" in metrics
