"""From `WAREHOUSE_URL` to a warehouse."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from cio_pipelines.warehouse.duckdb import DuckDBWarehouse
from cio_pipelines.warehouse.errors import WarehouseUnavailable
from cio_pipelines.warehouse.protocol import Warehouse

if TYPE_CHECKING:
    from google.cloud import bigquery  # pyright: ignore[reportMissingTypeStubs]

Engine = Literal["duckdb", "postgresql", "bigquery"]

_FORMS = (
    "Set it to duckdb:///path/to/file.duckdb (four slashes for an absolute path), "
    "postgresql://user:password@host/database or bigquery://project/dataset."
)


ClientFactory = Callable[[], "AbstractContextManager[bigquery.Client]"]
"""Opens a client of BigQuery."""


@dataclass(frozen=True, slots=True)
class WarehouseUrl:
    """A `WAREHOUSE_URL`, understood.

    Attributes:
        engine: which database it is of.
        url: as SQLAlchemy reads it; its repr hides the password.
        path: DuckDB: the file, absolute.
        project, dataset: BigQuery: the project, and the dataset that dbt builds its models in.
        location: BigQuery: where datasets are made and jobs run, such as EU; None for where the data is.
        storage_api: BigQuery: whether large results may be read over the Storage Read API (gRPC).
    """

    engine: Engine
    url: sa.URL = field(repr=False)
    path: Path = Path()
    project: str = ""
    dataset: str = ""
    location: str | None = None
    storage_api: bool = True


def parse_url(url: str) -> WarehouseUrl:
    """Understand a URL.

    Args:
        url: `duckdb:///relative.duckdb`, `duckdb:////absolute.duckdb`, `postgresql://user@host/database` or
            `bigquery://project/dataset?location=EU&storage_api=false`.

    Raises:
        WarehouseUnavailable: it names no database that this release can open. The URL is not quoted: it may
            hold a password.
    """
    try:
        parsed = sa.make_url(url)
    except (ArgumentError, ValueError):
        raise WarehouseUnavailable("WAREHOUSE_URL is no URL.", _FORMS) from None
    kind = parsed.get_backend_name()
    if kind == "duckdb" and parsed.database not in (None, "", ":memory:"):
        return WarehouseUrl("duckdb", parsed, path=Path(str(parsed.database)).expanduser().absolute())
    if kind == "postgresql" and parsed.database:
        return WarehouseUrl("postgresql", parsed.set(drivername="postgresql+psycopg"))
    if kind == "bigquery":
        return _bigquery_url(parsed)
    raise WarehouseUnavailable(f"WAREHOUSE_URL names no database that this release can open: {kind}.", _FORMS)


def _bigquery_url(parsed: sa.URL) -> WarehouseUrl:
    project, dataset = parsed.host or "", parsed.database or ""
    options = {name: str(value) for name, value in parsed.query.items()}
    unknown = options.keys() - {"location", "storage_api"}
    if not re.fullmatch(r"[a-z0-9:.-]+", project) or not re.fullmatch(r"\w+", dataset):
        raise WarehouseUnavailable("WAREHOUSE_URL names no project and dataset.", _FORMS)
    if unknown or options.get("storage_api", "true") not in ("true", "false"):
        raise WarehouseUnavailable(
            f"WAREHOUSE_URL has an option that BigQuery does not take here: {', '.join(sorted(options))}.",
            "There are location=… and storage_api=true or false.",
        )
    return WarehouseUrl(
        "bigquery",
        parsed,
        project=project,
        dataset=dataset,
        location=options.get("location"),
        storage_api=options.get("storage_api") != "false",
    )


def open_warehouse(
    url: str,
    *,
    memory_limit: str | None = None,
    threads: int | None = None,
    maximum_bytes_billed: int | None = None,
    labels: Mapping[str, str] | None = None,
    bigquery_client: ClientFactory | None = None,
) -> Warehouse:
    """The warehouse that a URL names; nothing is opened yet.

    Args:
        url: see `parse_url`.
        memory_limit: DuckDB's memory limit, such as "600MB".
        threads: DuckDB's worker threads; None takes one per core.
        maximum_bytes_billed: BigQuery: a query that would read more is refused.
        labels: BigQuery: put on every job, to tell later who caused it.
        bigquery_client: BigQuery: opens clients; None takes application default credentials.

    Raises:
        WarehouseUnavailable: the URL names no engine that this release has, or no file.
    """
    parsed = parse_url(url)
    if parsed.engine == "bigquery":
        # two seconds of imports that only BigQuery's users shall wait for
        from cio_pipelines.warehouse.bigquery import BigQueryWarehouse, default_client

        return BigQueryWarehouse(
            parsed,
            bigquery_client or default_client(parsed),
            labels=labels or {},
            maximum_bytes_billed=maximum_bytes_billed,
        )
    if parsed.engine == "postgresql":
        from cio_pipelines.warehouse.postgresql import PostgreSQLWarehouse

        return PostgreSQLWarehouse(parsed.url)
    return DuckDBWarehouse(parsed.path, memory_limit=memory_limit, threads=threads)
