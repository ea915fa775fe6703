"""Entries into the manifest, in the transaction that brings the rows of their objects into the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime

import pyarrow as pa
import sqlalchemy as sa

from cio_pipelines.landing.manifest import Entry, landed_files
from cio_pipelines.warehouse import WarehouseConnection
from cio_pipelines.warehouse.merge import Merge
from cio_pipelines.warehouse.pruning import on_days

staged_entries = sa.Table(
    "staged_entries",
    sa.MetaData(),
    *(sa.Column(column.name, column.type) for column in landed_files.columns),
    prefixes=["TEMPORARY"],
)

_ARROW = pa.schema(
    [
        *((name, pa.string()) for name in ("path", "source", "dataset", "status", "checksum")),
        *((name, pa.int64()) for name in ("bytes", "rows", "inserted", "repeated", "quarantined")),
        *((name, pa.string()) for name in ("reason", "run_id")),
        ("received_date", pa.date32()),
        ("attempts", pa.int32()),
        ("loaded_at", pa.timestamp("us")),
        ("generation", pa.int64()),
        ("newest_receipt", pa.timestamp("us")),
    ]
)


def stage_entries(connection: WarehouseConnection, entries: Sequence[Entry]) -> None:
    """Put entries into `staged_entries`, in the place of those of the last portion."""
    connection.execute(staged_entries.delete())
    connection.append(staged_entries, pa.Table.from_pylist([_row(entry) for entry in entries], schema=_ARROW))


def record_staged(days: Sequence[date] | None) -> Merge:
    """Staged entries in the place of those that the manifest has of the same objects.

    Args:
        days: the days of receipt of all of them; None for objects without one.
    """
    received = landed_files.c.received_date
    scope = received.is_(None) if days is None else on_days(received, days)
    return Merge(landed_files, sa.select(staged_entries), ["path"], scope=scope)


def _row(entry: Entry) -> Mapping[str, object]:
    moments = {"loaded_at": _utc(entry.loaded_at), "newest_receipt": _utc(entry.newest_receipt)}
    return entry._asdict() | moments


def _utc(moment: datetime | None) -> datetime | None:
    return moment.astimezone(UTC).replace(tzinfo=None) if moment is not None else None
