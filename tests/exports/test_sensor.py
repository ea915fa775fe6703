"""The sensor, the runs that it asks for, and the checks, in an ephemeral Dagster instance."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cio_pipelines.exports.tables import TABLES
from cio_pipelines.landing import LandingUnavailable
from cio_pipelines.resources import ExportsResource
from tests.daemon import RUN_KEY, SensorDaemon
from tests.exports.rig import ROWS, ExportRig, delivery


def asset(dataset: str) -> dg.AssetKey:
    return dg.AssetKey(["customerio", f"export_{dataset}"])


class Daemon(SensorDaemon):
    """The sensor of storage exports on a landing zone and a warehouse."""

    rig: ExportRig

    def run(self, request: dg.RunRequest, **config: Any) -> dg.ExecuteInProcessResult:
        """The assets that were asked for, with their checks."""
        return self.execute(
            request, {"storage_exports": {"config": config}}, list(request.asset_selection or ())
        )


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    rig = ExportRig(tmp_path)
    monkeypatch.setenv("WAREHOUSE_URL", f"duckdb:///{rig.database}")
    monkeypatch.setenv("LANDING_EXPORTS_URL", f"file://{rig.folder}")
    with dg.DagsterInstance.ephemeral() as instance:
        daemon = Daemon(
            instance,
            "cio_pipelines.defs.exports.jobs",
            "export_files",
            "load_exports",
            {"exports": ExportsResource()},
        )
        daemon.rig = rig
        yield daemon


def metadata(result: dg.ExecuteInProcessResult, dataset: str) -> dict[str, Any]:
    made = {event.asset_key: event.materialization for event in result.get_asset_materialization_events()}
    return {name: value.value for name, value in made[asset(dataset)].metadata.items()}


def checks(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str], dg.AssetCheckEvaluation]:
    return {(c.asset_key.path[-1], c.check_name): c for c in result.get_asset_check_evaluations()}


def test_all_tables_with_new_files_make_one_run(daemon: Daemon) -> None:
    daemon.rig.export("deliveries", [delivery(1), delivery(2)])
    daemon.rig.export("deliveries", [delivery(1, 2)])
    daemon.rig.export("campaigns", [ROWS["campaigns"]])
    daemon.rig.export("campaign_actions", [{"id": 1}], version=5)

    (request,) = daemon.tick()
    result = daemon.run(request)

    assert set(request.asset_selection or ()) == {asset(n) for n in ("campaigns", "deliveries", "other")}
    assert result.success
    assert [event.asset_key for event in result.get_asset_materialization_events()] == [
        asset("deliveries"),
        asset("campaigns"),
        asset("other"),
    ]
    told = metadata(result, "deliveries")
    counted = ("files", "rows", "inserted", "repeated", "failed_files", "dagster/row_count")
    assert [told[name] for name in counted] == [2, 3, 2, 1, 0, 2]
    assert told["bytes"] > 0
    assert told["dagster/table_name"] == "customerio.export_deliveries"
    columns = {column.name: column for column in told["dagster/column_schema"].columns}
    assert columns["seq_num"].type == "bigint"
    assert all(column.description for column in columns.values())
    assert {key: check.passed for key, check in checks(result).items()} == {
        (f"export_{name}", "all_export_files_loaded"): True for name in ("campaigns", "deliveries", "other")
    }
    assert daemon.tick() == []


def test_only_what_is_new_is_read(daemon: Daemon) -> None:
    daemon.rig.export("people", [ROWS["people"]])
    daemon.run(daemon.tick()[0])
    assert daemon.tick() == []
    daemon.rig.export("people", [ROWS["people"] | {"internal_customer_id": "c2"}])

    (request,) = daemon.tick()
    told = metadata(daemon.run(request), "people")

    assert set(request.asset_selection or ()) == {asset("people")}
    assert (told["files"], told["inserted"], told["dagster/row_count"]) == (1, 1, 2)


def test_nothing_is_asked_for_while_a_run_is_under_way(daemon: Daemon) -> None:
    daemon.rig.export("people", [ROWS["people"]])
    (request,) = daemon.tick()
    run = daemon.instance.create_run_for_job(daemon.job, tags={RUN_KEY: str(request.run_key)})
    daemon.rig.export("metrics", [ROWS["metrics"]])

    assert daemon.tick() == []

    daemon.instance.report_run_canceled(run)
    daemon.let_time_pass()
    (again,) = daemon.tick()
    assert set(again.asset_selection or ()) == {asset("metrics"), asset("people")}
    assert again.run_key != request.run_key


def test_a_broken_file_is_named_and_tried_again_by_a_fresh_run(daemon: Daemon) -> None:
    broken = daemon.rig.export_bytes("deliveries", b"PAR1 and no more")
    daemon.rig.export("deliveries", [delivery(1)])
    daemon.rig.export("metrics", [ROWS["metrics"]])
    (request,) = daemon.tick()

    result = daemon.run(request)

    # what can be loaded is loaded, and the check names what cannot
    assert result.success
    told = metadata(result, "deliveries")
    assert (told["failed_files"], told["dagster/row_count"]) == (1, 1)
    assert broken in str(told["failed"])
    assert metadata(result, "metrics")["failed_files"] == 0
    found = checks(result)
    assert found["export_metrics", "all_export_files_loaded"].passed
    check = found["export_deliveries", "all_export_files_loaded"]
    assert not check.passed
    assert broken in str(check.metadata["named"].value)
    assert daemon.tick() == []
    daemon.let_time_pass()
    (again,) = daemon.tick()
    assert again.run_key != request.run_key


def test_a_run_by_hand_may_read_everything_again(daemon: Daemon) -> None:
    daemon.rig.export("people", [ROWS["people"]])
    (request,) = daemon.tick()
    daemon.run(request)

    by_hand = dg.RunRequest("by hand", asset_selection=[asset("people")])
    once = metadata(daemon.run(by_hand), "people")
    again = metadata(daemon.run(by_hand, again=True), "people")

    assert (once["files"], once["dagster/row_count"]) == (0, 1)
    assert (again["files"], again["dagster/row_count"]) == (1, 1)


def test_a_run_that_fails_as_a_whole_is_asked_for_again(daemon: Daemon) -> None:
    daemon.rig.export("people", [ROWS["people"]])
    (request,) = daemon.tick()
    daemon.rig.database.mkdir()  # no DuckDB file can be there
    assert not daemon.run(request).success
    daemon.rig.database.rmdir()
    assert daemon.tick() == []
    daemon.let_time_pass()

    (again,) = daemon.tick()

    assert daemon.run(again).success
    assert daemon.rig.audit.rows(["people"]) == {"people": 1}


def test_files_that_are_no_exports_are_named(daemon: Daemon) -> None:
    daemon.rig.export("mystery", [{"a": 1}])
    (daemon.rig.folder / "people.parquet").write_bytes(b"")

    result = daemon.run(daemon.tick()[0])

    check = checks(result)["export_other", "all_export_files_loaded"]
    assert not check.passed
    assert "people.parquet" in str(check.metadata["named"].value)


def test_the_witness_says_when_nothing_can_be_verified(daemon: Daemon) -> None:
    daemon.rig.export("people", [ROWS["people"]])

    result = daemon.run(daemon.tick()[0])

    check = checks(result)["export_people", "export_witness"]
    assert check.passed
    assert str(check.description).startswith("Not verified: ")


def test_without_a_workspace_to_sync_the_exports_are_loaded_all_the_same(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIO_ENV", "prod")
    daemon.rig.export("people", [ROWS["people"]])

    result = daemon.run(daemon.tick()[0])

    check = checks(result)["export_people", "export_witness"]
    assert result.success
    assert check.passed
    assert "CUSTOMERIO_SITE_ID" in str(check.description)


def test_the_sensor_says_what_is_wrong_with_the_zone(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = daemon.rig.folder.parent / "loop"
    loop.symlink_to("loop")
    monkeypatch.setenv("LANDING_EXPORTS_URL", f"file://{loop}")

    with pytest.raises(LandingUnavailable, match="cannot be listed"):
        daemon.tick()


def test_every_table_is_an_asset_with_an_owner_and_a_description() -> None:
    assets = importlib.import_module("cio_pipelines.defs.exports.assets").storage_exports

    assert assets.keys == {asset(name) for name in TABLES}
    for spec in assets.specs:
        assert spec.owners == ["team:growth"]
        assert spec.group_name == "customerio"
        assert spec.kinds == {"python", "customerio"}
        assert spec.description
