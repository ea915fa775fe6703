"""Broadcasts as assets: materialised twice they are triggered once, and what they tell holds no person."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import dagster as dg
import pytest

from cio_pipelines.broadcasts.specs import BROADCASTS, WIN_BACK, AudienceLimits, BroadcastSpec
from cio_pipelines.broadcasts_resource import BroadcastsResource
from cio_pipelines.customerio import AppClient
from cio_pipelines.dbt import dbt_resource
from cio_pipelines.defs.broadcasts.factory import broadcast_assets
from cio_pipelines.demo import seed
from cio_pipelines.settings import load_settings

from .rig import SPEC, TODAY, TRIGGERS, YESTERDAY, Rig, client_of, person_id

KEY = dg.AssetKey(["customerio", "win_back_broadcast"])
RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
Materialise = Callable[..., dg.ExecuteInProcessResult]


class QuickBroadcasts(BroadcastsResource):
    """As the resource, without the ten seconds between two triggers."""

    def client(self) -> AppClient:
        return client_of(str(load_settings().track_url))


@pytest.fixture
def materialise(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Materialise:
    """Materialises a broadcast's asset for a day, or from one to another."""
    monkeypatch.setenv("WAREHOUSE_URL", f"duckdb:///{rig.database}")
    monkeypatch.setenv("CUSTOMERIO_TRACK_URL", rig.server.url)

    def run(
        day: date | None = None,
        *,
        spec: BroadcastSpec = SPEC,
        span: tuple[date, date] | None = None,
        resource: BroadcastsResource | None = None,
        **config: Any,
    ) -> dg.ExecuteInProcessResult:
        config = {"wait_seconds": 5.0, **config}
        return dg.materialize(
            [broadcast_assets(spec)],
            partition_key=day.isoformat() if day else None,
            tags={name: end.isoformat() for name, end in zip(RANGE, span, strict=True)} if span else None,
            resources={"broadcasts": resource or BroadcastsResource()},
            run_config={"ops": {"customerio__win_back_broadcast": {"config": config}}},
            raise_on_error=False,
        )

    return run


def told(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    """Metadata of the materialisations, by partition."""
    return {
        str(event.partition): {name: value.value for name, value in event.materialization.metadata.items()}
        for event in result.get_asset_materialization_events()
    }


def checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {each.check_name: each for each in result.get_asset_check_evaluations()}


def failure(result: dg.ExecuteInProcessResult) -> Any:
    (data,) = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert data.user_failure_data is not None, data.error
    return data.user_failure_data


def test_a_partition_that_is_materialised_twice_is_triggered_once(rig: Rig, materialise: Materialise) -> None:
    rig.model(TODAY, range(5))

    first, second = materialise(TODAY), materialise(TODAY)

    assert len(rig.server.triggers()) == 1
    for result, triggers in ((first, 1), (second, 0)):
        assert result.success
        (metadata,) = told(result).values()
        assert (metadata["triggers"], metadata["trigger_id"], metadata["attempt"]) == (triggers, 1, 1)
        assert (metadata["recipients"], metadata["reached"], metadata["known_people"]) == (5, 5, 20)
        assert (metadata["share"], metadata["recipient_errors"], metadata["unsynced"]) == (0.25, 0, 0)
        assert metadata["dagster/partition_row_count"] == 5
        assert {name: check.passed for name, check in checks(result).items()} == {
            "audience_size": True,
            "delivered_to_recipients": True,
        }


def test_a_range_of_partitions_is_a_trigger_each(rig: Rig, materialise: Materialise) -> None:
    days = [TODAY - timedelta(days=n) for n in (2, 1, 0)]
    rig.model(days[1], range(1))
    rig.model(days[2], range(2))

    results = [materialise(span=(days[0], days[2]), resource=QuickBroadcasts()) for _ in range(2)]

    assert all(result.success for result in results)
    # nobody on the first day
    assert len(rig.server.triggers()) == 2
    metadata = told(results[0])
    assert {day: each["status"] for day, each in metadata.items()} == {
        str(days[0]): "empty",
        str(days[1]): "processed",
        str(days[2]): "processed",
    }
    assert [metadata[str(day)]["recipients"] for day in days] == [0, 1, 2]
    assert rig.written_to() == [person_id(0), person_id(0), person_id(1)]


def test_an_audience_over_the_limit_fails_the_run_and_sends_nothing(
    rig: Rig, materialise: Materialise
) -> None:
    rig.model(TODAY, range(5))
    spec = replace(SPEC, limits=AudienceLimits(people=4))

    result = materialise(TODAY, spec=spec)

    assert not result.success
    check = checks(result)["audience_size"]
    assert (check.passed, check.blocking) == (False, True)
    assert "5 of 20 known people (25.0%), limits 4 people" in str(check.description)
    assert rig.server.triggers() == []
    assert materialise(TODAY, spec=spec, allow_audience=True).success
    assert len(rig.server.triggers()) == 1


def test_a_dry_run_only_counts(rig: Rig, materialise: Materialise) -> None:
    rig.model(TODAY, range(5))

    result = materialise(TODAY, dry_run=True)

    assert result.success
    (metadata,) = told(result).values()
    assert (metadata["status"], metadata["recipients"], metadata["triggers"]) == ("dry_run", 5, 0)
    assert rig.server.triggers() == []


def test_recipients_who_were_not_reached_are_a_warning(rig: Rig, materialise: Materialise) -> None:
    rig.model(TODAY, [*range(5), 98])

    result = materialise(TODAY)

    assert result.success
    check = checks(result)["delivered_to_recipients"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "reached 5 of 6 recipients" in str(check.description)


def test_what_is_unclear_fails_with_what_to_do(rig: Rig, materialise: Materialise) -> None:
    rig.model(TODAY, range(5))
    rig.server.set_faults([{"kind": "reset", "count": 1, "path": TRIGGERS}])

    for _ in range(2):
        assert "retrigger" in failure(materialise(TODAY)).description
    assert rig.server.triggers() == []
    assert materialise(TODAY, retrigger=True).success
    assert len(rig.server.triggers()) == 1


def test_nothing_personal_is_told_of_a_refusal(rig: Rig, materialise: Materialise) -> None:
    rig.model(TODAY, [*range(3), 97, 98])

    result = materialise(TODAY, spec=replace(SPEC, ignore_missing=False))

    failed = failure(result)
    (record,) = failed.metadata["reasons"].records
    assert record.data == {"reason": "no customer has the id <value>", "count": 2}
    everything = "".join(str(event) for event in result.all_events)
    kept = str(rig.execute("from customerio_sync.broadcast_errors")) + str(rig.statuses())
    for number in (0, 97, 98):
        assert person_id(number) not in everything + kept
        assert f"p{number}@example.com" not in everything + kept


def test_a_missing_setting_is_named(
    rig: Rig, materialise: Materialise, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUSTOMERIO_SITE_ID", "site")
    monkeypatch.setenv("CUSTOMERIO_WORKSPACE", "acme")
    rig.model(TODAY, [1])

    result = materialise(TODAY, allow_audience=True)

    assert "CUSTOMERIO_APP_API_KEY" in failure(result).description
    assert rig.statuses() == []


def test_the_example_is_never_sent_by_a_workspace_of_customerios_own(
    rig: Rig, materialise: Materialise, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUSTOMERIO_TRACK_URL", raising=False)
    monkeypatch.setenv("CUSTOMERIO_SITE_ID", "a-site")
    monkeypatch.setenv("CUSTOMERIO_TRACK_API_KEY", "a-key")
    monkeypatch.setenv("CUSTOMERIO_APP_API_KEY", "another-key")

    result = materialise(TODAY, spec=WIN_BACK)

    assert "is an example for the sandbox" in str(failure(result).description)
    assert rig.server.triggers() == []


def test_each_spec_is_an_asset_that_follows_from_its_model_and_has_no_schedule() -> None:
    definitions = importlib.import_module("cio_pipelines.definitions").defs()
    graph = definitions.resolve_asset_graph()

    for spec in BROADCASTS:
        key = dg.AssetKey(["customerio", f"{spec.name}_broadcast"])
        assert graph.get(key).parent_keys == {dg.AssetKey(["analytics", spec.table])}
        jobs = [
            job.name
            for job in definitions.resolve_all_job_defs()
            if key in job.asset_layer.selected_asset_keys
        ]
        assert [name for name in jobs if not name.startswith("__ASSET_JOB")] == []


@pytest.mark.slow
def test_the_demos_broadcast_goes_to_the_people_of_its_model(rig: Rig, materialise: Materialise) -> None:
    seed(rig.database, people=2_000)
    models = importlib.import_module("cio_pipelines.defs.dbt_models").dbt_models
    built = dg.materialize(
        [models],
        selection=dg.AssetSelection.assets(["analytics", "customerio_win_back_recipients"]).upstream(),
        resources={"dbt": dbt_resource()},
    )
    assert built.success
    (spec,) = BROADCASTS
    counted = rig.execute(
        "select day, count(*) from analytics.customerio_win_back_recipients "
        f"where day <= date '{YESTERDAY}' group by day order by day desc limit 1"
    )
    ((day, number),) = counted

    result = materialise(day, spec=spec, allow_late=True, allow_audience=True)

    assert result.success
    (metadata,) = told(result).values()
    assert (metadata["recipients"], metadata["status"]) == (number, "processed")
    (trigger,) = rig.server.triggers()
    assert trigger["audience"] == "per_user_data"
