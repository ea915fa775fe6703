"""From `WAREHOUSE_URL` to a warehouse."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from cio_pipelines.warehouse.duckdb import DuckDBWarehouse
from cio_pipelines.warehouse.errors import WarehouseUnavailable
from cio_pipelines.warehouse.protocol import Warehouse


def open_warehouse(url: str, *, memory_limit: str | None = None, threads: int | None = None) -> Warehouse:
    """The warehouse that a URL names.

    Args:
        url: `duckdb:///relative.duckdb` or `duckdb:////absolute.duckdb`.
        memory_limit: DuckDB's memory limit, such as "600MB".
        threads: DuckDB's worker threads; None takes one per core.

    Raises:
        WarehouseUnavailable: the URL names no engine that this release has, or no file.
    """
    return DuckDBWarehouse(duckdb_path(url), memory_limit=memory_limit, threads=threads)


def duckdb_path(url: str) -> Path:
    """The file of a `duckdb:///…` URL, absolute.

    Raises:
        WarehouseUnavailable: it is no such URL.
    """
    try:
        parsed = sa.make_url(url)
    except ArgumentError:
        parsed = None
    if parsed is None or parsed.get_backend_name() != "duckdb" or parsed.database in (None, "", ":memory:"):
        kind = parsed.get_backend_name() if parsed is not None else "no"
        raise WarehouseUnavailable(
            f"WAREHOUSE_URL names {kind} database file that this release can open.",
            "Set it to duckdb:///path/to/file.duckdb (four slashes for an absolute path).",
        )
    return Path(str(parsed.database)).expanduser().absolute()
