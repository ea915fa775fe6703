"""The sensor, the runs that it asks for, and the checks, in an ephemeral Dagster instance."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cio_pipelines.demo import seed
from cio_pipelines.landing import LandingUnavailable
from cio_pipelines.resources import WebhooksResource
from cio_pipelines.runs import partition_range_tags
from cio_pipelines.webhooks.layout import folder
from tests.daemon import RUN_KEY, SensorDaemon

from .rig_load import NOON, LoadRig, event

EVENTS = dg.AssetKey(["customerio", "webhook_events"])
TODAY = datetime.now(UTC).date()
RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


def day(back: int) -> date:
    """So many days ago."""
    return TODAY - timedelta(days=back)


class Daemon(SensorDaemon):
    """The sensor of landed events on a landing zone and a warehouse."""

    rig: LoadRig

    def run(self, request: dg.RunRequest, *, whole: bool = False) -> dg.ExecuteInProcessResult:
        """The asset of the job with its checks, or all of the job."""
        return self.execute(request, dict(request.run_config.get("ops", {})), None if whole else [EVENTS])

    def days(self, request: dg.RunRequest) -> tuple[str, str]:
        """The first and the last day of a request."""
        if request.partition_key is not None:
            return request.partition_key, request.partition_key
        return request.tags[RANGE[0]], request.tags[RANGE[1]]


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    rig = LoadRig(tmp_path)
    monkeypatch.setenv("WAREHOUSE_URL", f"duckdb:///{rig.database}")
    monkeypatch.setenv("LANDING_URL", f"file://{rig.folder}")
    with dg.DagsterInstance.ephemeral() as instance:
        daemon = Daemon(
            instance,
            "cio_pipelines.defs.webhooks.jobs",
            "landed_webhooks",
            "load_webhooks",
            {"webhooks": WebhooksResource()},
        )
        daemon.rig = rig
        yield daemon


def verdicts(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {check.check_name: check.passed for check in result.get_asset_check_evaluations()}


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    event = next(e for e in result.get_asset_materialization_events() if e.asset_key == EVENTS)
    return {name: value.value for name, value in event.materialization.metadata.items()}


def test_thousands_of_objects_on_consecutive_days_make_one_run(daemon: Daemon) -> None:
    for number in range(1_200):
        daemon.rig.land([event(number)], day=day(number % 3))
    daemon.rig.land([event(5_000)], day=day(9))

    first, second = daemon.tick()

    assert daemon.days(first) == (day(9).isoformat(), day(9).isoformat())
    assert daemon.days(second) == (day(2).isoformat(), day(0).isoformat())
    results = [daemon.run(first), daemon.run(second)]
    assert [result.success for result in results] == [True, True]
    assert daemon.rig.audit.events() == 1_201
    assert daemon.tick() == []
    told = metadata(results[1])
    # of the first of its days
    assert (told["dagster/row_count"], told["dagster/partition_row_count"], told["files"]) == (
        1_201,
        400,
        400,
    )
    assert "event_id" in [column.name for column in told["dagster/column_schema"].columns]


def test_a_late_object_of_an_old_day_is_not_skipped(daemon: Daemon) -> None:
    days = [day(number) for number in range(30)]
    for number, each in enumerate(days):
        daemon.rig.land([event(number)], day=each)
    for request in daemon.tick():
        daemon.run(request)
    assert daemon.tick() == []
    daemon.rig.land([event(900)], day=days[25])

    asked = [request for _ in range(6) for request in daemon.tick()]

    assert {daemon.days(request) for request in asked} == {(days[25].isoformat(), days[25].isoformat())}
    daemon.run(asked[0])
    assert daemon.rig.audit.events() == 31
    assert [request for _ in range(6) for request in daemon.tick()] == []


def test_nothing_is_asked_for_while_a_run_is_under_way(daemon: Daemon) -> None:
    daemon.rig.land([event(1)], day=TODAY)
    (request,) = daemon.tick()
    run = daemon.instance.create_run_for_job(
        daemon.definitions.resolve_job_def("load_webhooks"), tags={RUN_KEY: str(request.run_key)}
    )
    daemon.rig.land([event(2)], day=TODAY)

    assert daemon.tick() == []

    daemon.instance.report_run_canceled(run)
    daemon.let_time_pass()
    (again,) = daemon.tick()
    assert again.run_key != request.run_key


def test_a_failed_file_is_retried_with_a_fresh_run_key(daemon: Daemon) -> None:
    broken = daemon.rig.land_object(b"no gzip", day=TODAY)
    daemon.rig.land([event(1)], day=TODAY)
    (request,) = daemon.tick()

    result = daemon.run(request)

    # what can be loaded is loaded, and the check names what cannot
    assert result.success
    assert daemon.rig.audit.events() == 1
    assert verdicts(result)["all_files_loaded"] is False
    assert metadata(result)["failed_files"] == 1
    assert broken in str(metadata(result)["failed"])
    assert daemon.tick() == []
    daemon.let_time_pass()
    (again,) = daemon.tick()
    assert again.run_key != request.run_key


def test_a_run_that_fails_as_a_whole_is_asked_for_again(daemon: Daemon) -> None:
    daemon.rig.land([event(1)], day=TODAY)
    (request,) = daemon.tick()
    daemon.rig.database.mkdir()  # no DuckDB file can be there
    assert not daemon.run(request).success
    daemon.rig.database.rmdir()
    assert daemon.tick() == []
    daemon.let_time_pass()

    (again,) = daemon.tick()

    assert daemon.run(again).success
    assert daemon.rig.audit.events() == 1


def test_the_sensor_says_what_is_wrong_with_a_landing_zone(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = daemon.rig.folder.parent / "loop"
    loop.symlink_to("loop")
    monkeypatch.setenv("LANDING_URL", f"file://{loop}")

    with pytest.raises(LandingUnavailable, match="LANDING_URL"):
        daemon.tick()


def test_a_backfill_of_a_range_reads_everything_again(daemon: Daemon) -> None:
    for number in range(6):
        daemon.rig.land([event(number)], day=day(number % 3))
    for request in daemon.tick():
        daemon.run(request)
    before = daemon.rig.events()
    daemon.rig.database.unlink()
    span = partition_range_tags(day(2).isoformat(), day(0).isoformat())

    result = daemon.run(dg.RunRequest(run_key="by hand", tags=span))

    assert result.success
    assert daemon.rig.events() == before
    assert all(verdicts(result).values()), verdicts(result)


def test_checks_tell_what_is_wrong(daemon: Daemon) -> None:
    daemon.rig.land([event(1)], day=TODAY, at=NOON)
    daemon.rig.land_raw(b"{\n", day=TODAY)
    stray = daemon.rig.folder / folder("email", TODAY) / "notes.txt"
    stray.write_text("x")
    (request,) = daemon.tick()

    result = daemon.run(request)

    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert {name: check.passed for name, check in checks.items()} == {
        "all_files_loaded": False,
        "unique_events": True,
        "quarantined_share": False,
        "recent_arrival": datetime.now(UTC) - timedelta(hours=24) < NOON,
    }
    assert "1 of 2 landed lines (50.00%)" in str(checks["quarantined_share"].description)
    assert "notes.txt" in str(checks["all_files_loaded"].metadata["named"].value)
    assert checks["recent_arrival"].severity is dg.AssetCheckSeverity.WARN


def test_the_whole_job_builds_the_marts_of_reports(daemon: Daemon) -> None:
    seed(daemon.rig.database, 200)
    daemon.rig.land(
        [event(n, metric=metric) for n, metric in enumerate(["sent", "opened", "bounced"])], day=TODAY
    )
    (request,) = daemon.tick()

    result = daemon.run(request, whole=True)

    assert result.success
    made = {e.asset_key.path[-1] for e in result.get_asset_materialization_events() if e.asset_key}
    marts = {"deliveries", "campaign_performance", "person_engagement", "consent_changes"}
    assert made >= {"webhook_events", *marts}
    assert not made & {"customerio_people", "changed_users", "identified_profiles"}
    assert verdicts(result)["unique_events"]


def test_the_load_needs_no_table_of_the_application(daemon: Daemon) -> None:
    daemon.rig.land([event(1)], day=TODAY)
    (request,) = daemon.tick()

    assert daemon.run(request, whole=True).success
