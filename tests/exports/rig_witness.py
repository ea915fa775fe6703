"""A snapshot and the tables of an export, filled row by row, and the comparison of the two."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from cio_pipelines.exports.tables import DATASETS, prepare_exports
from cio_pipelines.sync.state import prepare_state, sync_runs, synced_people
from cio_pipelines.sync.witness import compare_with_export
from cio_pipelines.sync.witness_reports import WitnessReport
from cio_pipelines.warehouse import open_warehouse

WORKSPACE_ID = 111528
SYNCED = datetime(2026, 11, 23, 12, tzinfo=UTC)
EXPORTED = SYNCED + timedelta(hours=2)
EARLIER = SYNCED - timedelta(minutes=1)
LATER = SYNCED + timedelta(minutes=1)


class WitnessRig:
    """What was accepted of people, and what the export has of them."""

    def __init__(self, folder: Path) -> None:
        self.warehouse = open_warehouse(f"duckdb:///{folder / 'warehouse.duckdb'}", memory_limit="300MB")
        with self.warehouse.connect() as connection:
            prepare_state(connection)
            prepare_exports(connection)

    def mapping(self, *names: str) -> None:
        """The attributes of the sync."""
        document = json.dumps({"canonical": 1, "attributes": dict.fromkeys(names, "text")})
        self._add(sync_runs, workspace="w", sync="people", run_id="r", mapping=document, extracted_at=SYNCED)

    def accepted(
        self,
        person: str,
        attributes: Mapping[str, Any] | None = None,
        *,
        state: str = "identified",
        at: datetime = SYNCED,
    ) -> None:
        """A person of the snapshot."""
        text = json.dumps(attributes or {}, separators=(",", ":"), ensure_ascii=False)
        key = {"workspace": "w", "sync": "people", "person_id": person}
        self._add(synced_people, **key, state=state, attributes=text, synced_at=at)

    def there(self, person: str | None, at: datetime = EARLIER, **columns: Any) -> None:
        """A person of the export, as `c-<id>`."""
        defaults = {
            "workspace_id": WORKSPACE_ID,
            "customer_id": person,
            "internal_customer_id": f"c-{person}",
            "updated_at": at,
            "loaded_at": EXPORTED,
        }
        self._add(DATASETS["people"].table, **{**defaults, **columns})

    def attribute(self, person: str, name: str, value: str | None, at: datetime = EARLIER) -> None:
        """An attribute of the export."""
        self._add(
            DATASETS["attributes"].table,
            workspace_id=WORKSPACE_ID,
            internal_customer_id=f"c-{person}",
            attribute_name=name,
            attribute_value=value,
            timestamp=at,
            loaded_at=EXPORTED,
        )

    def exported(self, at: datetime = EXPORTED) -> None:
        """Make the export know of what happened until `at`, by a person unknown to us."""
        self.there("stranger", at)

    def pair(self, person: str, name: str, accepted: Any, found: str | None, at: datetime = EARLIER) -> None:
        """A person with one attribute here and there. None is an attribute that is not there."""
        self.accepted(person, {} if accepted is None else {name: accepted})
        self.there(person)
        if found is not None:
            self.attribute(person, name, found, at)

    def compare(self, **options: Any) -> WitnessReport:
        return compare_with_export(self.warehouse, "w", "people", **options)

    def _add(self, table: sa.Table, **values: Any) -> None:
        plain = {
            name: value.replace(tzinfo=None) if isinstance(value, datetime) else value
            for name, value in values.items()
        }
        with self.warehouse.connect() as connection:
            connection.append(table, pa.Table.from_pylist([plain]))
