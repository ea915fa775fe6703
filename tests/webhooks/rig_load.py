"""A landing zone in a folder, a DuckDB file, and the load between them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from cio_pipelines.landing import LandingZone
from cio_pipelines.landing.manifest import landed_files
from cio_pipelines.warehouse import Warehouse, open_warehouse
from cio_pipelines.webhooks.audit import EventAudit
from cio_pipelines.webhooks.layout import Received, folder, lines, new_path
from cio_pipelines.webhooks.load import EventLoad
from cio_pipelines.webhooks.reports import LoadReport
from cio_pipelines.webhooks.tables import webhook_events, webhook_quarantine

MONDAY = date(2026, 11, 23)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def event(number: int, **members: Any) -> bytes:
    """The event of a number as Customer.io sends it; a member that is None is left out."""
    whole: dict[str, Any] = {
        "data": {
            "action_id": 42,
            "campaign_id": 23,
            "customer_id": f"u{number}",
            "delivery_id": f"d{number}",
            "identifiers": {"cio_id": f"c{number}", "email": f"u{number}@example.com", "id": f"u{number}"},
            "recipient": f"u{number}@example.com",
        },
        "event_id": f"01KAT{number:021d}",
        "metric": "sent",
        "object_type": "email",
        "timestamp": 1_764_000_000 + number,
    }
    whole |= members
    return json.dumps({k: v for k, v in whole.items() if v is not None}, separators=(",", ":")).encode()


class LoadRig:
    """Lands events and loads them."""

    def __init__(
        self,
        folder: Path,
        *,
        zone: LandingZone | None = None,
        warehouse: Warehouse | None = None,
        **options: Any,
    ) -> None:
        self.folder = folder / "zone"
        self.database = folder / "warehouse.duckdb"
        self.zone = zone or LandingZone(f"file://{self.folder}")
        self.warehouse = warehouse or open_warehouse(f"duckdb:///{self.database}", memory_limit="300MB")
        self.load = EventLoad(self.warehouse, self.zone, **options)
        self.audit = EventAudit(self.warehouse, self.zone)
        self.runs = 0

    def land(
        self,
        bodies: Iterable[bytes],
        *,
        day: date = MONDAY,
        at: datetime | None = None,
        object_type: str = "email",
    ) -> str:
        """One object of events; returns its path. They are received from noon on, a second apart."""
        at = at or datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        received = [Received(at + timedelta(seconds=n), body) for n, body in enumerate(bodies)]
        path = new_path(object_type, day)
        self.zone.write(path, gzip.compress(lines(path, received), 1))
        return path

    def land_raw(self, text: bytes, *, day: date = MONDAY, object_type: str = "email") -> str:
        """One object with these lines, whatever they are."""
        return self.land_object(gzip.compress(text, 1), day=day, object_type=object_type)

    def land_object(self, data: bytes, *, day: date = MONDAY, object_type: str = "email") -> str:
        """One object with these bytes."""
        path = new_path(object_type, day)
        assert path.startswith(folder(object_type, day))
        self.zone.write(path, data)
        return path

    def run(self, *days: date, only_new: bool = True) -> LoadReport:
        """Load, by a run of its own."""
        self.runs += 1
        return self.load.run(days or [MONDAY], f"run-{self.runs}", only_new=only_new)

    def events(self, *names: str) -> list[tuple[Any, ...]]:
        """The events, in the order of their ids; all columns that depend on what was landed alone."""
        run = ("loaded_at", "run_id")
        columns = [webhook_events.c[name] for name in names] or [
            column for column in webhook_events.columns if column.name not in run
        ]
        return self.rows(sa.select(*columns).order_by(webhook_events.c.event_id))

    def quarantine(self) -> list[tuple[Any, ...]]:
        """File, line, reason and text of the quarantine."""
        table = webhook_quarantine
        columns = (table.c.file, table.c.line, table.c.reason, table.c.text)
        return self.rows(sa.select(*columns).order_by(table.c.file, table.c.line))

    def manifest(self, *names: str) -> list[tuple[Any, ...]]:
        """Columns of the manifest, by path."""
        return self.rows(sa.select(*(landed_files.c[name] for name in names)).order_by(landed_files.c.path))

    def rows(self, statement: sa.Select[Any]) -> list[tuple[Any, ...]]:
        """All rows."""
        with self.warehouse.connect() as connection:
            return [tuple(row) for row in connection.rows(statement)]
