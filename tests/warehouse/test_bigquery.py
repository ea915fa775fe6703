"""What BigQuery's engine does beyond the protocol, against an emulator that the official clients talk to."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4

import grpc
import pyarrow as pa
import pytest
import sqlalchemy as sa
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.bigquery_storage import BigQueryReadClient
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

from cio_pipelines.warehouse import WarehouseError
from cio_pipelines.warehouse.bigquery import BigQueryWarehouse
from cio_pipelines.warehouse.bigquery.connection import STAGING
from cio_pipelines.warehouse.connect import parse_url
from tests.emulators import PROJECT, Emulator

ROWS = 20_000
"""More than the client keeps of an answer, so that reading them takes another request."""


class Rig:
    """A dataset of its own in the emulator."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.dataset = f"d{uuid4().hex[:12]}"
        self.pets = sa.Table(
            "pets",
            sa.MetaData(schema=self.dataset),
            sa.Column("name", sa.String),
            sa.Column("legs", sa.BigInteger),
        )
        with self.warehouse().connect() as connection:
            connection.execute(sa.schema.CreateSchema(self.dataset))
            connection.execute(sa.schema.CreateTable(self.pets))

    @contextmanager
    def client(self) -> Iterator[bigquery.Client]:
        options = {"api_endpoint": self.emulator.url}
        with bigquery.Client(PROJECT, credentials=AnonymousCredentials(), client_options=options) as client:
            yield client

    def warehouse(self, grpc_address: str | None = None, **settings: Any) -> BigQueryWarehouse:
        def read_client() -> BigQueryReadClient:
            channel = grpc.insecure_channel(grpc_address or self.emulator.grpc)
            return BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))

        place = parse_url(f"bigquery://{PROJECT}/{self.dataset}")
        return BigQueryWarehouse(place, self.client, read_client=read_client, **settings)

    def fill(self) -> None:
        rows = {"name": [f"pet {n}" for n in range(ROWS)], "legs": list(range(ROWS))}
        with self.warehouse().connect() as connection:
            connection.append(self.pets, pa.table(rows))

    def names(self) -> list[str]:
        with self.warehouse().connect() as connection:
            return [row.name for row in connection.rows(sa.select(self.pets).order_by(self.pets.c.name))]


@pytest.fixture
def rig(bigquery_emulator: Emulator) -> Rig:
    return Rig(bigquery_emulator)


def legs(warehouse: BigQueryWarehouse, pets: sa.Table) -> list[int]:
    with warehouse.connect() as connection:
        batches = list(connection.batches(sa.select(pets.c.legs), rows_per_batch=3_000))
    assert max(batch.num_rows for batch in batches) <= 3_000
    return sorted(int(value or 0) for batch in batches for value in batch.column("legs").to_pylist())


def test_large_results_are_read_over_the_storage_read_api(rig: Rig) -> None:
    rig.fill()
    assert legs(rig.warehouse(), rig.pets) == list(range(ROWS))


class _Refusing(grpc.GenericRpcHandler):
    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        def refuse(_: Any, context: grpc.ServicerContext) -> None:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "bigquery.readsessions.create denied")

        return grpc.unary_unary_rpc_method_handler(refuse)


def test_where_the_storage_read_api_is_refused_results_are_read_by_pages_and_that_is_told(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.fill()
    server = grpc.server(ThreadPoolExecutor(1), handlers=[_Refusing()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with caplog.at_level(logging.WARNING):
            assert legs(rig.warehouse(f"127.0.0.1:{port}"), rig.pets) == list(range(ROWS))
    finally:
        server.stop(None).wait()
    assert "bigquery.readsessions.create" in caplog.text


def test_jobs_bear_labels_and_are_counted(rig: Rig) -> None:
    warehouse = rig.warehouse(
        labels={"asset": "customerio/profile_diff", "run_id": "A-1", "environment": "prod"}
    )
    with warehouse.connect() as connection:
        connection.append(rig.pets, pa.table({"name": ["Rex"], "legs": [4]}))
        assert connection.scalar(sa.select(sa.func.count()).select_from(rig.pets)) == 1
    usage = warehouse.usage
    assert usage is not None
    assert usage.jobs == 2
    ids = {link.rpartition("j=bq:")[2].split(":")[1].split("&")[0] for link in usage.links}
    with rig.client() as client:
        jobs = [job for job in client.list_jobs(max_results=50) if job.job_id in ids]
        kinds = {job.job_type for job in jobs}
        labels = [client.get_job(job.job_id).labels for job in jobs]
    assert kinds == {"load", "query"}
    assert labels == [{"asset": "customerio_profile_diff", "run_id": "a-1", "environment": "prod"}] * 2


@pytest.mark.parametrize("in_session", [False, True])
def test_a_script_that_fails_leaves_nothing_and_what_follows_works(rig: Rig, in_session: bool) -> None:
    passing = sa.Table("passing", sa.MetaData(), sa.Column("name", sa.String), prefixes=["TEMPORARY"])
    with rig.warehouse().connect() as connection:
        if in_session:
            connection.execute(sa.schema.CreateTable(passing))
        with suppress(WarehouseError), connection.transaction():
            connection.append(rig.pets, pa.table({"name": ["Ada"]}))
            connection.execute(rig.pets.insert().values(name="Bob"))
            connection.execute(sa.text(f"insert into {rig.dataset}.nowhere values (1)"))
        with connection.transaction():
            connection.append(rig.pets, pa.table({"name": ["Rex"]}))
            connection.execute(rig.pets.insert().values(name="Tom"))
    assert rig.names() == ["Rex", "Tom"]


def test_nothing_is_left_of_rows_on_their_way(rig: Rig) -> None:
    with rig.warehouse().connect() as connection:
        with suppress(ZeroDivisionError), connection.transaction():
            connection.append(rig.pets, pa.table({"name": ["Ada"]}))
            raise ZeroDivisionError
        with connection.transaction():
            connection.append(rig.pets, pa.table({"name": ["Rex"]}))
    with rig.client() as client:
        assert [table.table_id for table in client.list_tables(STAGING)] == []
    assert rig.names() == ["Rex"]


def test_a_transaction_that_reads_is_refused(rig: Rig) -> None:
    with (
        rig.warehouse().connect() as connection,
        pytest.raises(RuntimeError, match="only writes"),
        connection.transaction(),
    ):
        connection.rows(sa.select(rig.pets))


def test_an_estimate_runs_nothing(rig: Rig) -> None:
    # an emulator says 0 bytes: what is shown is that a dry run is asked for and nothing is inserted
    with rig.warehouse(maximum_bytes_billed=1).connect() as connection:
        assert connection.estimate(rig.pets.insert().values(name="Rex")) is not None
    assert rig.names() == []


def test_a_missing_dataset_is_named(rig: Rig) -> None:
    nowhere = sa.Table("pets", sa.MetaData(schema="nowhere"), sa.Column("name", sa.String))
    with (
        pytest.raises(WarehouseError, match=rf"no dataset {PROJECT}:nowhere") as caught,
        rig.warehouse().connect() as connection,
    ):
        connection.rows(sa.select(nowhere))
    assert "WAREHOUSE_URL" in caught.value.remedy
    assert rig.warehouse().columns("nowhere", "pets") == {}
