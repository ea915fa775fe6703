"""`dbt build` as a step of a run, on PostgreSQL."""

from __future__ import annotations

import importlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest

from cio_pipelines.dbt import dbt_resource
from cio_pipelines.demo import seed
from cio_pipelines.warehouse import open_warehouse
from cio_pipelines.webhooks.tables import prepare_webhooks
from tests.dagster.conftest import MART, failure
from tests.dbt.engines import PostgreSQLTarget

NOW = datetime(2026, 5, 20, 9, 30, tzinfo=UTC)


@pytest.mark.slow
def test_a_run_on_postgresql_tells_what_it_made_and_quotes_nobody(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    database = tmp_path / "warehouse.duckdb"
    seed(database, people=50, now=NOW)
    with open_warehouse(f"duckdb:///{database}").connect() as connection:
        prepare_webhooks(connection)
    PostgreSQLTarget(postgres_url).take(database)
    monkeypatch.setenv("WAREHOUSE_URL", postgres_url)
    monkeypatch.setenv("DBT_TARGET_PATH", str(tmp_path / "dbt"))
    # the assets are the same on every engine, whichever they were loaded for
    models = importlib.import_module("cio_pipelines.defs.dbt_models").dbt_models

    def run() -> dg.ExecuteInProcessResult:
        with dg.DagsterInstance.ephemeral() as instance:
            return dg.materialize(
                [models], resources={"dbt": dbt_resource()}, instance=instance, raise_on_error=False
            )

    built = run()

    assert built.success
    [mart] = [event for event in built.get_asset_materialization_events() if event.asset_key == MART]
    metadata: dict[str, Any] = dict(mart.materialization.metadata)
    assert metadata["dagster/row_count"].value == 50
    assert metadata["dagster/storage_kind"].value == "postgres"
    columns = {column.name: column.type for column in metadata["dagster/column_schema"].value.columns}
    assert (columns["lifetime_value"], columns["plan"]) == ("NUMERIC(38, 9)", "TEXT")
    lineage = metadata["dagster/column_lineage"].value.deps_by_column["plan"]
    assert [dep.asset_key for dep in lineage] == [dg.AssetKey(["analytics", "stg_app__users"])]

    with psycopg.connect(postgres_url) as connection:
        connection.execute("drop table app.users cascade")
        connection.execute(
            "create table app.users as select * from (values ('u1', 'ada@example.com')) u (user_id, email)"
        )
    assert "lacks app.users.first_name" in failure(run())

    PostgreSQLTarget(postgres_url).take(database)
    with psycopg.connect(postgres_url) as connection:
        connection.execute("alter table app.users alter marketing_opt_in type text")
        connection.execute(
            "update app.users set marketing_opt_in = 'ada@example.com' where user_id = 'u0000001'"
        )
    capfd.readouterr()
    broken = run()

    assert "snapshot app_consent_history" in failure(broken)
    said = capfd.readouterr()
    assert "ada@example.com" not in str(list(broken.all_events)) + said.out + said.err
    assert "is not shown" in said.out
