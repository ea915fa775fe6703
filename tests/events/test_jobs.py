"""The event sync through Dagster and the real dbt, with the sandbox as Customer.io."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from cio_pipelines.demo import seed
from cio_pipelines.sandbox import SandboxServer
from tests.people.project import RANGE, checks, failures, metadata

TRACKED = dg.AssetKey(["customerio", "tracked_events"])
MART = dg.AssetKey(["analytics", "customerio_events"])
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


@dataclass(frozen=True)
class Project:
    """A company of 300 people, a workspace, and a Dagster instance in memory."""

    database: Path
    sandbox: SandboxServer
    instance: dg.DagsterInstance

    def run(self, first: datetime, last: datetime | None = None, **config: Any) -> dg.ExecuteInProcessResult:
        """Run `sync_events` of a day, or of all days from one to another."""
        definitions = importlib.import_module("cio_pipelines.definitions").defs()
        keys = [f"{moment:%Y-%m-%d}" for moment in (first, last or first)]
        return definitions.resolve_job_def("sync_events").execute_in_process(
            run_config={
                "ops": {"customerio__tracked_events": {"config": config}},
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            },
            instance=self.instance,
            partition_key=None if last else keys[0],
            tags=dict(zip(RANGE, keys, strict=True)) if last else None,
            raise_on_error=False,
        )

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.database)) as connection:
            return connection.execute(statement).fetchall()

    def taken(self) -> Counter[str]:
        """How often the sandbox holds the event of each order."""
        events = [each for each in self.sandbox.activities() if each["type"] == "event"]
        return Counter(each["data"]["order_id"] for each in events)


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    database = tmp_path_factory.mktemp("company") / "warehouse.duckdb"
    seed(database, 300)
    return database


@pytest.fixture
def project(
    tmp_path: Path, sandbox: SandboxServer, company: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Project]:
    database = tmp_path / "warehouse.duckdb"
    database.write_bytes(company.read_bytes())
    monkeypatch.setenv("WAREHOUSE_URL", f"duckdb:///{database}")
    monkeypatch.setenv("CUSTOMERIO_TRACK_URL", sandbox.url)
    with dg.DagsterInstance.ephemeral() as instance:
        yield Project(database, sandbox, instance)


@pytest.mark.slow
def test_a_year_backfilled_twice_is_in_customer_io_once(project: Project) -> None:
    first, last = TODAY - timedelta(days=365), TODAY - timedelta(days=1)

    once = project.run(first, last)

    assert once.success, failures(once)
    told = metadata(once, TRACKED)
    year = project.rows(
        f"select order_id from analytics.customerio_events where occurred_at >= timestamp '{first:%Y-%m-%d}' "
        f"and occurred_at < timestamp '{TODAY:%Y-%m-%d}'"
    )
    assert told["accepted"] == told["extracted"] == len(year) > 300
    assert 0 < told["older_than_72_hours"] <= told["accepted"]
    assert project.taken() == Counter(order_id for (order_id,) in year)
    lineage = told["dagster/column_lineage"].deps_by_column["amount"]
    assert [(dep.asset_key, dep.column_name) for dep in lineage] == [(MART, "amount")]
    recorded = [
        event.partition for event in once.get_asset_materialization_events() if event.asset_key == TRACKED
    ]
    assert len(recorded) == 365
    assert checks(once) == {"completeness": True, "rejection_rate": True}
    sent = project.sandbox.stats()["operations_by_action"]["person.event"]

    twice = project.run(first, last)

    assert twice.success, failures(twice)
    assert metadata(twice, TRACKED)["planned"] == 0
    assert metadata(twice, TRACKED)["accepted_before"] == len(year)
    assert project.sandbox.stats()["operations_by_action"]["person.event"] == sent


def test_a_full_run_sends_all_there_is_and_quarantines_what_has_no_time(project: Project) -> None:
    [(order,)] = project.rows(
        "select min(order_id) from app.orders inner join app.users using (user_id) "
        "where deleted_at is null and marketing_opt_in"
    )
    project.rows(f"update app.orders set ordered_at = null where order_id = {order}")
    project.rows(
        "insert into app.orders by name select 'guest-1' as user_id, 99999999 as order_id, "
        f"timestamp '{TODAY:%Y-%m-%d}' as ordered_at"
    )

    result = project.run(TODAY, full=True)

    assert result.success, failures(result)
    told, taken = metadata(result, TRACKED), project.taken()
    rows, timed = project.rows("select count(*), count(occurred_at) from analytics.customerio_events")[0]
    assert told["extracted"] == rows
    assert told["quarantined"] == rows - timed > 0
    assert told["accepted"] == timed == len(taken)
    assert max(taken.values()) == 1
    assert "guest-1" not in project.sandbox.people()


@pytest.mark.slow
def test_refusals_over_the_limit_fail_the_check_and_not_the_run(project: Project) -> None:
    project.sandbox.set_faults([{"kind": "reject", "every": 10}])

    result = project.run(TODAY, full=True)

    assert result.success, failures(result)
    assert checks(result) == {"completeness": True, "rejection_rate": False}


@pytest.mark.slow
def test_a_push_that_stops_early_fails_and_the_next_run_sends_the_rest(project: Project) -> None:
    project.sandbox.set_faults([{"kind": "status", "status": 401, "path": "/api/v2/batch"}])
    stopped = project.run(TODAY, full=True)
    project.sandbox.set_faults([])

    assert not stopped.success
    assert "are due" in failures(stopped)["customerio__tracked_events"]
    rest = project.run(TODAY - timedelta(days=3_000))

    assert rest.success, failures(rest)
    assert metadata(rest, TRACKED)["accepted"] == len(project.taken()) > 300


def requested(schedule: str, moment: datetime) -> list[tuple[str | None, Any]]:
    """Partitions and configurations of the runs that a schedule asks for."""
    repository = importlib.import_module("cio_pipelines.definitions").defs().get_repository_def()
    context = dg.build_schedule_context(scheduled_execution_time=moment, repository_def=repository)
    ticked = repository.get_schedule_def(schedule).evaluate_tick(context)
    return [(request.partition_key, request.run_config) for request in ticked.run_requests or []]


def test_the_schedules_take_the_open_days_and_once_a_day_everything() -> None:
    early, late = (datetime(2026, 5, 20, hour, tzinfo=UTC) for hour in (1, 7))

    assert requested("current_events", early) == [("2026-05-19", {}), ("2026-05-20", {})]
    assert requested("current_events", late) == [("2026-05-20", {})]
    [(key, config)] = requested("all_events_daily", early)
    assert key == "2026-05-20"
    assert config["ops"]["customerio__tracked_events"]["config"] == {"full": True}
