"""Exports as parquet files in a folder, a DuckDB file, and the load between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from cio_pipelines.exports.audit import ExportAudit
from cio_pipelines.exports.load import ExportLoad
from cio_pipelines.exports.reports import ExportReport
from cio_pipelines.exports.tables import DATASETS, TABLES, export_other
from cio_pipelines.landing import LandingZone
from cio_pipelines.landing.manifest import landed_files
from cio_pipelines.warehouse import open_warehouse

WORKSPACE = 111528
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def delivery(number: int, seq_num: int = 1, **more: Any) -> dict[str, Any]:
    """A row of deliveries."""
    return {
        "workspace_id": WORKSPACE,
        "delivery_id": f"d{number}",
        "internal_customer_id": f"c{number}",
        "delivery_type": "email",
        "campaign_id": 23,
        "created_at": NOON,
        "seq_num": seq_num,
        **more,
    }


ROWS: dict[str, dict[str, Any]] = {
    "deliveries": delivery(1),
    "metrics": {"event_id": "e1", "delivery_id": "d1", "metric": "opened", "machine": True, "seq_num": 3},
    "subjects": {"subject_name": "s1", "campaign_id": 5, "started_campaign_at": NOON, "seq_num": 1},
    "outputs": {"output_id": "o1", "subject_name": "s1", "draft": False, "seq_num": 1},
    "people": {"customer_id": "u1", "internal_customer_id": "c1", "deleted": True, "updated_at": NOON},
    "attributes": {"internal_customer_id": "c1", "attribute_name": "plan", "attribute_value": "x"},
    "delivery_contents": {"delivery_id": "d1", "from": "a@example.com", "headers": {"a": "b"}},
    "campaigns": {"campaign_id": 5, "name": "Hi", "version": 2, "topic_names": ["a", "b"]},
    "broadcasts": {"broadcast_id": 5, "name": "Hi", "topic_names": []},
}
"""A row of each dataset."""


class ExportRig:
    """Writes exports and loads them."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder = folder / "exports"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.database = folder / "warehouse.duckdb"
        self.zone = LandingZone(f"file://{self.folder}")
        self.warehouse = open_warehouse(f"duckdb:///{self.database}", memory_limit="300MB")
        self.load = ExportLoad(self.warehouse, self.zone, **options)
        self.audit = ExportAudit(self.warehouse, self.zone)
        self.runs = 0
        self.number = 241_600_000_000_311_000

    def name(self, table: str, version: int = 4, workspace: int = WORKSPACE) -> str:
        """The name of the next file."""
        self.number += 1
        return f"{table}_v{version}_{workspace}_{self.number}.parquet"

    def export(self, table: str, rows: Sequence[Mapping[str, Any]], version: int = 4, **options: Any) -> str:
        """A file of rows; returns its path. Columns are those of any row."""
        names = list(dict.fromkeys(name for row in rows for name in row))
        data = pa.table({name: [row.get(name) for row in rows] for name in names})
        return self.export_table(table, data, version, **options)

    def export_table(self, table: str, data: pa.Table, version: int = 4, **options: Any) -> str:
        """A file of an Arrow table; returns its path."""
        name = self.name(table, version)
        pq.write_table(data, self.folder / name, **options)
        return name

    def export_bytes(self, table: str, data: bytes) -> str:
        """A file with these bytes; returns its path."""
        name = self.name(table)
        (self.folder / name).write_bytes(data)
        return name

    def run(self, *datasets: str, only_new: bool = True) -> ExportReport:
        """Load some datasets, or all, by a run of its own."""
        self.runs += 1
        return self.load.run(datasets or None, f"run-{self.runs}", only_new=only_new)

    def table(self, dataset: str, *names: str) -> list[tuple[Any, ...]]:
        """Columns of a table by its key; without names all that depend on the files alone."""
        table = TABLES[dataset]
        chosen = names or [column.name for column in table.columns if column.name != "loaded_at"]
        key = DATASETS[dataset].key if dataset in DATASETS else ("file", "position")
        return self.rows(
            sa.select(*(table.c[name] for name in chosen)).order_by(*(table.c[name] for name in key))
        )

    def other(self) -> list[tuple[Any, ...]]:
        """Dataset, position and content of rows without a place elsewhere."""
        return self.rows(
            sa.select(export_other.c.dataset, export_other.c.position, export_other.c.content).order_by(
                export_other.c.file, export_other.c.position
            )
        )

    def manifest(self, *names: str) -> list[tuple[Any, ...]]:
        """Columns of the manifest, by path."""
        return self.rows(sa.select(*(landed_files.c[name] for name in names)).order_by(landed_files.c.path))

    def rows(self, statement: sa.Select[Any]) -> list[tuple[Any, ...]]:
        """All rows."""
        with self.warehouse.connect() as connection:
            return [tuple(row) for row in connection.rows(statement)]
