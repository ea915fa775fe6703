"""The whole loop on BigQuery's stand-ins, by configuration alone, with Google's own clients.

The sync and the load of reports run on local-bigquery, which reads the bucket of fake-gcs-server by load jobs
of its own; dbt's models are built in bqemulator. What is made in one is carried into the other.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import pyarrow as pa
import pytest
import sqlalchemy as sa
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from cio_pipelines.cli.receiver import ReceiverProcess
from cio_pipelines.landing import LandingZone
from cio_pipelines.landing.manifest import landed_files
from cio_pipelines.sandbox import SandboxServer
from cio_pipelines.webhooks.tables import webhook_events, webhook_quarantine
from tests import emulators
from tests.dbt.engines import BigQueryTarget, comparable, run_dbt
from tests.dbt.test_engines import BUILD, without_contracts
from tests.emulators import Emulator
from tests.landing.conftest import BUCKET
from tests.people.project import today
from tests.webhooks.rig_load import LoadRig, event

from .commands import (
    WarehouseCli,
    environment,
    profiles,
    subscriber,
    times_sent,
    told,
    wait_for_bodies,
)
from .conftest import OnDuckDB

PROJECT = "loop"
URL = f"bigquery://{PROJECT}/analytics?storage_api=false"

UNSHOWN = {
    "dbt's models as a part of the sync's own run": (
        "no emulator runs both: local-bigquery tells no destination of CREATE TABLE AS, which dbt-bigquery "
        "asks for, and bqemulator makes tables through SQLAlchemy that cannot be seen afterwards"
    ),
    "a contract enforced while dbt builds": (
        "bqemulator does not create a table by a list of columns and a query at once"
    ),
    "the Storage Read API by configuration alone": (
        "Google's client takes no address of an emulator from the environment; tests/warehouse/"
        "test_bigquery.py reads over it with a client of its own"
    ),
    "bytes billed, slot time and estimates that are not 0": "local-bigquery reports 0 for each of them",
}
"""Links of the loop that only BigQuery can show."""


@pytest.mark.parametrize("link", UNSHOWN)
def test_what_no_emulator_can_show(link: str) -> None:
    pytest.skip(UNSHOWN[link])


@pytest.fixture(scope="module")
def lake(gcs_folder: Path) -> Iterator[Emulator]:
    """A BigQuery that reads what `gcs` holds, from its folder: over HTTP it would want an extension."""
    if reason := emulators.missing("local-bigquery") or emulators.missing("dbt-bigquery"):
        pytest.skip(reason)
    with emulators.local_bigquery(gcs_folder) as emulator:
        yield emulator


@pytest.fixture
def cli(
    tmp_path: Path,
    lake: Emulator,
    gcs: str,
    google_credentials: Path,
    sandbox: SandboxServer,
    on_duckdb: OnDuckDB,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> WarehouseCli:
    """A dataset with the company's tables and mart, of which nothing was synced; an empty bucket."""
    for name, value in {**lake.environment(google_credentials), "STORAGE_EMULATOR_HOST": gcs}.items():
        monkeypatch.setenv(name, value)
    cli = WarehouseCli(on_duckdb.company, environment(tmp_path, URL, sandbox))
    cli.environment |= {
        "DAGSTER_HOME": str(home),
        "LANDING_URL": f"gs://{BUCKET}/{uuid4()}",
        "CUSTOMERIO_WORKSPACE": f"workspace-{uuid4().hex[:8]}",
    }
    cli.take()
    cli.take_mart(on_duckdb.marts[0])
    forget_events(cli)
    return cli


def forget_events(cli: WarehouseCli) -> None:
    """As if nothing had ever been loaded."""
    with cli.warehouse.connect() as connection:
        connection.execute(sa.schema.CreateSchema(str(webhook_events.schema), if_not_exists=True))
        for table in (webhook_events, webhook_quarantine, landed_files):
            connection.execute(sa.schema.DropTable(table, if_exists=True))
            connection.execute(sa.schema.CreateTable(table))


def landing(cli: WarehouseCli, folder: Path) -> LoadRig:
    """The bucket, and the warehouse's tables of what was loaded of it."""
    return LoadRig(folder, warehouse=cli.warehouse, zone=LandingZone(cli.environment["LANDING_URL"]))


def labels_of(lake: Emulator, run_id: str) -> list[dict[str, str]]:
    """The labels of all jobs of a run."""
    with closing(
        bigquery.Client(
            PROJECT, credentials=AnonymousCredentials(), client_options={"api_endpoint": lake.url}
        )
    ) as client:
        every = [dict(job.labels) for job in client.list_jobs(max_results=5_000)]
    return [labels for labels in every if labels.get("run_id") == run_id]


def is_billed(metadata: dict[str, Any]) -> None:
    """A step's metadata tells what its jobs cost, and where they can be looked at."""
    assert metadata["warehouse_jobs"] > 0
    assert metadata["bytes_billed"] >= 0
    assert f"https://console.cloud.google.com/bigquery?project={PROJECT}" in metadata["job_links"]


def unsubscribe(cli: WarehouseCli, sandbox: SandboxServer) -> str:
    """Somebody says no to Customer.io, whose report a receiver takes into the bucket."""
    person = subscriber(sandbox)
    sandbox.unsubscribe(person)
    with ReceiverProcess({**os.environ, **cli.environment}) as receiver:
        sandbox.set_webhook(url=receiver.url)
        sandbox.wait_until_reported()
    sandbox.set_webhook(url=None)
    return person


@pytest.mark.slow
def test_the_loop(
    cli: WarehouseCli, lake: Emulator, sandbox: SandboxServer, on_duckdb: OnDuckDB, tmp_path: Path
) -> None:
    first = cli.run("sync", full=True, partition=today())

    assert first["success"], first["failures"]
    assert told(first["line"]) == told(on_duckdb.lines[0])
    assert profiles(sandbox) == on_duckdb.profiles[0]
    assert first["checks"]["completeness"]
    for asset in ("changed_users", "profile_diff", "identified_profiles"):
        is_billed(first["metadata"][asset])
    assert first["metadata"]["profile_diff"]["estimated_bytes"] >= 0
    labels = labels_of(lake, first["run_id"])
    assert {each["asset"] for each in labels} >= {"customerio_profile_diff", "customerio_identified_profiles"}
    assert {each["environment"] for each in labels} == {"local"}

    # a hundredth changes
    cli.take_mart(on_duckdb.marts[1])
    before = times_sent(sandbox)
    second = cli.run("sync", full=True, partition=today())

    assert told(second["line"]) == told(on_duckdb.lines[1])
    assert profiles(sandbox) == on_duckdb.profiles[1]
    assert (times_sent(sandbox) - before).total() == second["line"]["operations"]["identify"] < 60

    person = unsubscribe(cli, sandbox)
    loaded = cli.run("sensor")

    [run] = loaded["runs"]
    assert (run["success"], loaded["asked_again"]) == (True, 0), run["failures"]
    assert all(run["checks"].values()), run["checks"]
    is_billed(run["metadata"]["webhook_events"])
    # the warehouse read the bucket by itself
    assert run["metadata"]["webhook_events"]["loaded_by_the_warehouse"] == 1
    assert landing(cli, tmp_path).events("metric", "person_id") == [("unsubscribed", person)]


@pytest.mark.slow
def test_doctor_finds_all_well_and_a_dry_run_tells_what_comparing_would_read(
    cli: WarehouseCli, sandbox: SandboxServer
) -> None:
    ended = cli("doctor")
    dry = cli.run("sync", full=True, partition=today(), dry_run=True)

    assert ended.code == 0, ended.out
    assert f"BigQuery project {PROJECT}" in ended.out
    assert dry["line"]["status"] == "dry_run"
    assert dry["line"]["estimated_bytes"] >= 0
    assert "GB at most (estimated)" in dry["err"]
    assert not sandbox.operations()


@pytest.mark.slow
def test_killed_while_sending_the_same_run_ends_with_everybody_right(
    cli: WarehouseCli, sandbox: SandboxServer, on_duckdb: OnDuckDB
) -> None:
    cli.environment |= {"CUSTOMERIO_MAX_IN_FLIGHT": "1", "CIO_FLUSH_PEOPLE": "1"}
    sandbox.set_faults([{"kind": "slow", "seconds": 0.7, "path": "/api/v2/batch"}])
    process = cli.start_run("sync", full=True, partition=today())
    wait_for_bodies(sandbox, process, 3)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    sandbox.set_faults([])

    again = cli.run("sync", full=True, partition=today())

    assert again["success"], again["failures"]
    assert 0 < again["line"]["planned"] < on_duckdb.lines[0]["planned"]
    assert profiles(sandbox) == on_duckdb.profiles[0]
    times = times_sent(sandbox)
    # a body was in flight, and one may have been answered while the ledger was written
    assert max(times.values()) <= 2
    assert sum(count > 1 for count in times.values()) <= 2_700
    assert cli.run("sync", full=True, partition=today())["line"]["planned"] == 0


@pytest.mark.slow
def test_refused_rows_end_as_told_and_are_tried_again(
    cli: WarehouseCli, sandbox: SandboxServer, on_duckdb: OnDuckDB
) -> None:
    sandbox.set_faults([{"kind": "reject", "every": 10, "reason": "invalid", "field": "attributes.plan"}])

    refused = cli.run("sync", full=True, partition=today())

    assert refused["success"]
    assert not refused["checks"]["rejection_rate"]
    rejected = [each for each in sandbox.operations() if each["outcome"] == "rejected"]
    workspace = cli.environment["CUSTOMERIO_WORKSPACE"]
    assert cli.rows(
        "select operation, person_id from customerio_sync.sync_log "
        f"where entry = 'rejected' and workspace = '{workspace}'"
    ) == sorted(((each["action"], each["id"]) for each in rejected), key=repr)

    sandbox.set_faults([])
    again = cli.run("sync", full=True, partition=today())

    assert again["success"], again["failures"]
    # of the rejected some are erasures, which a run of their own tells of
    refusals = refused["line"]["rejected"] - refused["line"]["quarantined"]
    assert again["line"]["planned"] == again["line"]["accepted"] == refusals > 290
    assert profiles(sandbox) == on_duckdb.profiles[0]


@pytest.mark.slow
def test_a_range_of_days_in_one_run_equals_its_days(cli: WarehouseCli) -> None:
    now = datetime.now(UTC).date()
    days = [(now - timedelta(days=back)).isoformat() for back in (3, 2, 1)]
    names = [f"{name} {uuid4().hex[:8]}" for name in ("one run", "single days")]

    cli.environment["CUSTOMERIO_WORKSPACE"] = names[0]
    assert cli.run("sync", partition_range=[days[0], days[-1]])["success"]
    cli.environment["CUSTOMERIO_WORKSPACE"] = names[1]
    for day in days:
        assert cli.run("sync", partition=day)["success"]

    people = cli.snapshot(names[0])
    assert {row[-1].date().isoformat() for row in people} == set(days)
    assert cli.snapshot(names[1]) == people


@pytest.mark.slow
def test_days_of_receipt_loaded_in_one_run_equal_single_days(cli: WarehouseCli, tmp_path: Path) -> None:
    now = datetime.now(UTC).date()
    days = [now - timedelta(days=back) for back in (2, 1, 0)]
    rig = landing(cli, tmp_path)
    for number, day in enumerate(days * 2):
        rig.land([event(number), event(number + 1)], day=day)

    assert cli.run("load", days=[days[0].isoformat(), days[-1].isoformat()])["success"]
    at_once = (rig.events(), rig.manifest("path", "status", "rows"))
    forget_events(cli)
    for day in days:
        assert cli.run("load", days=[day.isoformat(), day.isoformat()])["success"]

    assert len(at_once[0]) == 7
    assert (rig.events(), rig.manifest("path", "status", "rows")) == at_once


_OF_DECIMALS = {"lifetime_value": 0.001, "average_order_value": 0.0101}
"""How much these differ on bqemulator, whose NUMERIC has three decimals: a mean is rounded twice there."""


@pytest.mark.slow
def test_what_was_reported_reaches_the_mart_and_the_next_sync(
    cli: WarehouseCli, sandbox: SandboxServer, on_duckdb: OnDuckDB, dbt_emulator: Emulator, tmp_path: Path
) -> None:
    cli.take_mart(on_duckdb.marts[1])
    assert cli.run("sync", full=True, partition=today())["success"]
    person = unsubscribe(cli, sandbox)
    [run] = cli.run("sensor")["runs"]
    assert run["success"], run["failures"]
    # DuckDB loads the same bucket, and holds what the other stand-in gets: the same events
    database = Path(shutil.copy(on_duckdb.marts[1], tmp_path / "warehouse.duckdb"))
    twin = LoadRig(tmp_path, zone=LandingZone(cli.environment["LANDING_URL"]))
    twin.run(datetime.now(UTC).date())
    assert twin.events() == landing(cli, tmp_path).events()

    target = BigQueryTarget(dbt_emulator, tmp_path)
    target.take(database)
    built = run_dbt(target, tmp_path / "state", *BUILD, project=without_contracts(tmp_path / "project"))

    assert set(built.statuses.values()) <= {"success", "pass", "warn"}, built.said
    assert target.rows("models", "consent_changes", ["person_id"]) == [(person,)]
    cli.take_mart(mart_of(target, tmp_path / "mart.duckdb"))
    before = sandbox.people()
    synced = cli.run("sync", full=True, partition=today())

    # nobody else: both engines' marts say the same of them, but for what comes of three decimals
    assert synced["line"]["why"]["changed"] == 1
    after = sandbox.people()
    attributes = after[person]["attributes"]
    assert (attributes["unsubscribed"], attributes["marketing_opt_in"]) == (True, False)
    others = [who for who in after if who != person and after[who] != before[who]]
    assert len(others) == synced["line"]["planned"] - 1
    for who in others:
        assert before[who]["attributes"] == {
            name: pytest.approx(value, abs=_OF_DECIMALS.get(name, 0)) if name in _OF_DECIMALS else value
            for name, value in after[who]["attributes"].items()
        }


def mart_of(target: BigQueryTarget, database: Path) -> Path:
    """The mart that dbt made there, in a DuckDB file."""
    columns = target.columns("models", "customerio_people")
    rows = target.rows("models", "customerio_people", columns)
    mart = pa.table({name: [comparable(row[number]) for row in rows] for number, name in enumerate(columns)})
    with duckdb.connect(str(database)) as connection:
        connection.register("mart", mart)
        connection.execute("create schema analytics; create table analytics.customerio_people as from mart")
    return database
