"""BigQuery behind the `Warehouse` protocol: the datasets of a project, over the official client."""

# the client and its dialect carry few types
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from google.api_core.exceptions import NotFound
from google.cloud import bigquery, bigquery_storage
from sqlalchemy.exc import NoSuchTableError, SAWarning
from sqlalchemy.pool import NullPool

from cio_pipelines.warehouse.bigquery.connection import BigQueryConnection
from cio_pipelines.warehouse.bigquery.errors import translate_errors
from cio_pipelines.warehouse.bigquery.usage import Meter, labelled
from cio_pipelines.warehouse.connect import ClientFactory, WarehouseUrl
from cio_pipelines.warehouse.protocol import Usage

log = logging.getLogger(__name__)

ReadClientFactory = Callable[[], bigquery_storage.BigQueryReadClient]


def default_client(place: WarehouseUrl) -> ClientFactory:
    """Opens clients with application default credentials."""

    @contextmanager
    def client() -> Generator[bigquery.Client]:
        with bigquery.Client(project=place.project, location=place.location) as opened:
            yield opened

    return client


class BigQueryWarehouse:
    """The datasets of a project.

    Args:
        place: the URL, understood. Its dataset stands for the schema `analytics`; other schemas are
            datasets of their own names.
        client: opens a client.
        labels: put on every job; characters that BigQuery does not take are replaced.
        maximum_bytes_billed: a query that would bill more is refused by BigQuery, and costs nothing.
        read_client: makes the client of the Storage Read API; None for the official one's defaults.
    """

    def __init__(
        self,
        place: WarehouseUrl,
        client: ClientFactory,
        *,
        labels: Mapping[str, str] | None = None,
        maximum_bytes_billed: int | None = None,
        read_client: ReadClientFactory | None = None,
    ) -> None:
        self._place = place
        self._client = client
        self._read_client = read_client
        self._maximum = maximum_bytes_billed
        self.labels = labelled(labels or {})
        self._schemas: dict[str | None, str | None] = {"analytics": place.dataset}
        self.location = place.location
        self.has_staging = False
        self.meter = Meter()
        # compiles statements only: connections bring clients of their own
        self._dialect = sa.create_engine(
            f"bigquery://{place.project}?user_supplied_client=True", poolclass=NullPool
        ).dialect

    @property
    def name(self) -> str:
        return f"BigQuery project {self._place.project}"

    @property
    def dialect(self) -> sa.Dialect:
        return self._dialect

    @property
    def usage(self) -> Usage | None:
        return self.meter.usage

    @contextmanager
    def session(self) -> Generator[None]:
        yield  # there is nothing to keep open

    @contextmanager
    def connect(self) -> Generator[BigQueryConnection]:
        with translate_errors(self.name), self._open() as (client, connection):
            opened = BigQueryConnection(self, client, connection)
            try:
                yield opened
            finally:
                opened.end_session()

    def columns(self, schema: str, table: str) -> dict[str, sa.types.TypeEngine[Any]]:
        with translate_errors(self.name), self._open() as (client, connection), warnings.catch_warnings():
            # of JSON, which the dialect does not know
            warnings.simplefilter("ignore", SAWarning)
            try:
                found = sa.inspect(connection).get_columns(table, schema=self.dataset(schema))
                fields = client.get_table(f"{self._place.project}.{self.dataset(schema)}.{table}").schema
            except (NoSuchTableError, NotFound):
                return {}
            documents = {field.name for field in fields if field.field_type == "JSON"}
            # members of structs are listed too, with a dot in their names
            return {
                column["name"]: sa.JSON() if column["name"] in documents else column["type"]
                for column in found
                if "." not in column["name"]
            }

    def dataset(self, schema: str | None) -> str:
        """The dataset that a schema is."""
        return str(self._schemas.get(schema, schema))

    @contextmanager
    def _open(self) -> Generator[tuple[bigquery.Client, sa.Connection]]:
        with self._client() as client:
            client.default_query_job_config = self.job_config()
            engine = sa.create_engine(
                f"bigquery://{self._place.project}?user_supplied_client=True",
                poolclass=NullPool,
                # small results; large ones are read by `batches`
                connect_args={"client": client, "prefer_bqstorage_client": False},
                execution_options={"schema_translate_map": self._schemas},
            )
            with engine.connect() as connection:
                yield client, connection

    def job_config(
        self, session: Sequence[bigquery.ConnectionProperty] = (), *, ceiling: bool = True
    ) -> bigquery.QueryJobConfig:
        """What all queries of a connection have in common."""
        config = bigquery.QueryJobConfig(labels=self.labels)
        if ceiling and self._maximum is not None:
            config.maximum_bytes_billed = self._maximum
        if session:
            config.connection_properties = list(session)
        return config

    def read_client(self) -> bigquery_storage.BigQueryReadClient | None:
        """A client of the Storage Read API, None when it shall not be used."""
        if not self._place.storage_api:
            return None
        return self._read_client() if self._read_client else bigquery_storage.BigQueryReadClient()
