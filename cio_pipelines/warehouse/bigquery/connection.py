"""A connection to BigQuery.

Each statement is a job. A transaction is one script, so that a process that is killed leaves it done or not
done and never open: an open one would hold up whoever writes the same tables next. Temporary tables need a
session, which is begun with the first of them. Rows come in by load jobs and leave by the Storage Read API.
"""

# the client and its dialect carry few types
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import io
import logging
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa
from google.api_core.exceptions import BadRequest, Forbidden, GoogleAPICallError, NotFound, PermissionDenied
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery
from sqlalchemy import event

from cio_pipelines.warehouse.bigquery.errors import translate_errors
from cio_pipelines.warehouse.bigquery.lines import as_lines, refused
from cio_pipelines.warehouse.bigquery.rows import is_temporary, schema_of, typed
from cio_pipelines.warehouse.bigquery.statements import Captured, script
from cio_pipelines.warehouse.errors import WarehouseError
from cio_pipelines.warehouse.sql import SqlConnection

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from cio_pipelines.warehouse.bigquery.warehouse import BigQueryWarehouse

STAGING = "customerio_staging"
"""Dataset of tables that rows pass through on their way in; what a killed process leaves there expires."""

_STAGED_FOR = timedelta(hours=6)


class BigQueryConnection(SqlConnection):
    """One client of BigQuery and, once there are temporary tables, one session."""

    def __init__(
        self, warehouse: BigQueryWarehouse, client: bigquery.Client, connection: sa.Connection
    ) -> None:
        super().__init__(connection, warehouse.name, translate_errors)
        self._warehouse = warehouse
        self._client = client
        self._session: list[bigquery.ConnectionProperty] = []
        self._script: list[Captured] = []
        self._staged: list[bigquery.TableReference] = []
        self._capturing: list[Captured] | None = None
        event.listen(connection.engine, "do_execute", self._hold_back)
        event.listen(connection.engine, "after_cursor_execute", self._count)

    def _driver_errors(self) -> tuple[type[Exception], ...]:
        return (GoogleAPICallError, GoogleAuthError)

    def execute(self, statement: sa.Executable, parameters: Mapping[str, Any] | None = None) -> int:
        if isinstance(statement, sa.schema.CreateTable) and is_temporary(statement.element):
            self._begin_session()
        return super().execute(statement, parameters)

    def estimate(self, statement: sa.Executable, parameters: Mapping[str, Any] | None = None) -> int | None:
        with self._errors(), self._without_ceiling():
            query, bound = self._captured(statement, parameters).query()
            config = bigquery.QueryJobConfig(dry_run=True, use_query_cache=False, query_parameters=bound)
            return self._client.query(query, job_config=config).total_bytes_processed

    def batches(
        self,
        statement: sa.Executable,
        parameters: Mapping[str, Any] | None = None,
        *,
        rows_per_batch: int = 50_000,
    ) -> Iterator[pa.RecordBatch]:
        with self._warehouse.connect() as other:
            yield from other.stream(statement, parameters, rows_per_batch)

    def stream(
        self, statement: sa.Executable, parameters: Mapping[str, Any] | None, rows_per_batch: int
    ) -> Iterator[pa.RecordBatch]:
        """As `batches`, on this connection itself."""
        with self._errors():
            query, bound = self._captured(statement, parameters).query()
            job = self._client.query(query, job_config=bigquery.QueryJobConfig(query_parameters=bound))
            job.result()
            self._warehouse.meter.add(job)
            for batch in self._read(job):
                for start in range(0, batch.num_rows, rows_per_batch):
                    yield batch.slice(start, rows_per_batch)

    def _read(self, job: bigquery.QueryJob) -> Iterator[pa.RecordBatch]:
        reader = self._warehouse.read_client()
        if reader is not None:
            batches = job.result().to_arrow_iterable(bqstorage_client=reader, max_queue_size=4)
            try:
                first = next(batches, None)
            except (PermissionDenied, Forbidden) as error:
                log.warning(
                    "Results are read by pages, which is slow: the Storage Read API refused (%s). Grant "
                    "bigquery.readsessions.create, or add storage_api=false to WAREHOUSE_URL.",
                    type(error).__name__,
                )
            else:
                if first is not None:
                    yield first
                yield from batches
                return
        yield from job.result().to_arrow_iterable()

    # rows that come in

    def append(self, table: sa.Table, rows: pa.Table) -> None:
        if not rows.num_rows:
            return
        file = io.BytesIO()
        pq.write_table(typed(table, rows), file)
        with self._into(table, rows.column_names) as (destination, config):
            config.source_format = bigquery.SourceFormat.PARQUET
            self._end(self._client.load_table_from_file(file, destination, rewind=True, job_config=config))

    def load_lines(self, table: sa.Table, uris: Sequence[str]) -> int:
        with self._into(table, [column.name for column in table.columns]) as (destination, config):
            as_lines(config)
            job = self._client.load_table_from_uri(list(uris), destination, job_config=config)
            try:
                self._end(job)
            except (BadRequest, NotFound) as error:
                raise refused(self._warehouse.name, error) from None
            return int(job.output_rows or 0)

    @contextmanager
    def _into(
        self, table: sa.Table, names: Sequence[str]
    ) -> Generator[tuple[bigquery.TableReference, bigquery.LoadJobConfig]]:
        """Where a load job puts rows of `names`: the table, or one on the way when that must be.

        Load jobs are no part of a transaction and do not see temporary tables.
        """
        config = bigquery.LoadJobConfig()
        config.labels = self._warehouse.labels
        config.write_disposition = bigquery.WriteDisposition.WRITE_APPEND
        config.create_disposition = bigquery.CreateDisposition.CREATE_NEVER
        config.schema = schema_of(table, names, self._warehouse.dialect)
        with self._errors():
            if not self._in_transaction and not is_temporary(table):
                dataset = self._warehouse.dataset(table.schema)
                yield (
                    bigquery.TableReference.from_string(
                        f"{dataset}.{table.name}", default_project=self._client.project
                    ),
                    config,
                )
                return
            staged = self._stage(config.schema)
            try:
                yield staged.reference, config
                source = sa.table(
                    staged.table_id, *(sa.column(name) for name in names), schema=staged.dataset_id
                )
                self.execute(table.insert().from_select(list(names), sa.select(source)))
            finally:
                if self._in_transaction:
                    self._staged.append(staged.reference)
                else:
                    self._client.delete_table(staged.reference, not_found_ok=True)

    def _stage(self, schema: Sequence[bigquery.SchemaField]) -> bigquery.Table:
        dataset = bigquery.Dataset(f"{self._client.project}.{STAGING}")
        dataset.location = self._warehouse.location
        if not self._warehouse.has_staging:
            self._client.create_dataset(dataset, exists_ok=True)
            self._warehouse.has_staging = True
        staged = bigquery.Table(dataset.reference.table(f"rows_{uuid4().hex}"), schema=list(schema))
        staged.expires = datetime.now(UTC) + _STAGED_FOR
        return self._client.create_table(staged)

    def _end(self, job: bigquery.LoadJob) -> None:
        job.result()
        self._warehouse.meter.add(job)

    # transactions and sessions

    def _commit(self) -> None:
        held, self._script = self._script, []
        try:
            if held:
                query, bound = script(held, in_session=bool(self._session))
                job = self._client.query(query, job_config=bigquery.QueryJobConfig(query_parameters=bound))
                job.result()
                self._warehouse.meter.add(job)
        finally:
            self._drop_staged()

    def _roll_back(self) -> None:
        self._script = []
        self._drop_staged()
        super()._roll_back()

    def _drop_staged(self) -> None:
        staged, self._staged = self._staged, []
        for table in staged:
            # if this fails they expire
            with suppress(GoogleAPICallError, GoogleAuthError):
                self._client.delete_table(table, not_found_ok=True)

    def _begin_session(self) -> None:
        if self._session:
            return
        with self._errors():
            job = self._client.query("SELECT 1", job_config=bigquery.QueryJobConfig(create_session=True))
            job.result()
            session = job.session_info
            if session is None or session.session_id is None:
                raise WarehouseError(f"{self._warehouse.name} began no session.", "Run again.")
            self._session = [bigquery.ConnectionProperty("session_id", session.session_id)]
            self._client.default_query_job_config = self._warehouse.job_config(self._session)

    def end_session(self) -> None:
        """End the session, and with it the temporary tables."""
        if self._session:
            # an idle one ends by itself
            with suppress(GoogleAPICallError, GoogleAuthError):
                self._client.query("CALL BQ.ABORT_SESSION()").result()
            self._session = []

    # what SQLAlchemy hands to the driver

    def _hold_back(self, _: Any, statement: str, parameters: Any, context: Any) -> bool | None:
        held = self._capturing
        if held is None and self._in_transaction:
            held = self._script
        if held is None:
            return None
        held.append(Captured(statement, dict(parameters or {})))
        return True  # SQLAlchemy takes it for executed

    def _captured(self, statement: sa.Executable, parameters: Mapping[str, Any] | None) -> Captured:
        self._capturing = held = []
        try:
            self._connection.execute(statement, dict(parameters or {})).close()
        finally:
            self._capturing = None
        return held[0]

    def _count(self, _: Any, cursor: Any, *__: Any) -> None:
        job = cursor.query_job
        if job is not None:
            self._warehouse.meter.add(job)

    @contextmanager
    def _without_ceiling(self) -> Generator[None]:
        """Over the ceiling a dry run would be an error and no answer."""
        before = self._client.default_query_job_config
        self._client.default_query_job_config = self._warehouse.job_config(self._session, ceiling=False)
        try:
            yield
        finally:
            self._client.default_query_job_config = before
