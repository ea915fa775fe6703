"""A Dagster run in a process of its own, whose environment says what it works with: `… child < REQUEST`.

The request is a JSON object; the answer is another one, on the last line of standard output. dbt's models are
left out: what stands in for BigQuery here cannot build them.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import dagster as dg

from cio_pipelines.cli.console import err
from cio_pipelines.cli.summary import as_json, as_text
from cio_pipelines.definitions import defs
from cio_pipelines.resources import WebhooksResource
from cio_pipelines.runs import Request, partition_range_tags
from cio_pipelines.settings import load_settings
from cio_pipelines.sync.errors import UnknownRun
from tests.daemon import SensorDaemon
from tests.people.project import failures

OURS = "customerio"
"""First part of the keys of what is run."""


def main() -> None:
    request: dict[str, Any] = json.load(sys.stdin)
    kind = request.pop("kind")
    with dg.DagsterInstance.ephemeral() as instance:
        if kind == "sensor":
            answer = _landed(instance)
        elif kind == "load":
            answer = _loaded(instance, *request["days"])
        else:
            answer = _synced(instance, request)
    sys.stdout.write(f"\n{json.dumps(answer)}\n")


def _synced(instance: dg.DagsterInstance, wanted: dict[str, Any]) -> dict[str, Any]:
    """One run of the people sync, as `cio sync people` asks for it and tells of it."""
    request = Request(**wanted)
    full = request.full and not request.dry_run
    job = defs().resolve_job_def("sync_people_fully" if full else "sync_people")
    keys = [key for key in job.asset_layer.executable_asset_keys if key.path[0] == OURS]
    if request.dry_run:
        keys = [key for key in keys if key.path[-1] != "identified_profiles"]
    span = request.partition_range
    result = job.execute_in_process(
        run_config=request.run_config,
        instance=instance,
        partition_key=request.partition,
        asset_selection=keys,
        tags=partition_range_tags(*span) if span else None,
        raise_on_error=False,
    )
    answer = _told(result)
    try:
        summary = load_settings().people_sync().summary(result.run_id)
    except UnknownRun:
        return answer
    err.print(as_text(summary, 0))
    return {**answer, "line": as_json(summary, 0)}


def _landed(instance: dg.DagsterInstance) -> dict[str, Any]:
    """What the sensor of landed events asks for, carried out."""
    daemon = SensorDaemon(
        instance,
        "cio_pipelines.defs.webhooks.jobs",
        "landed_webhooks",
        "load_webhooks",
        {"webhooks": WebhooksResource()},
    )
    events = [dg.AssetKey([OURS, "webhook_events"])]
    runs = [
        _told(daemon.execute(request, dict(request.run_config.get("ops", {})), events))
        for request in daemon.tick()
    ]
    return {"runs": runs, "asked_again": len(daemon.tick())}


def _loaded(instance: dg.DagsterInstance, first: str, last: str) -> dict[str, Any]:
    """A backfill of days as one run: everything that landed on them is read again."""
    job = defs().resolve_job_def("load_webhooks")
    result = job.execute_in_process(
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        instance=instance,
        partition_key=first if first == last else None,
        asset_selection=[dg.AssetKey([OURS, "webhook_events"])],
        tags=None if first == last else partition_range_tags(first, last),
        raise_on_error=False,
    )
    return _told(result)


def _told(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    metadata: dict[str, dict[str, Any]] = {}
    for event in result.get_asset_materialization_events():
        assert event.asset_key is not None
        # of the partitions of a run each has a materialisation; the first is like the others
        values = {name: value.value for name, value in event.materialization.metadata.items()}
        told = {name: value for name, value in values.items() if isinstance(value, int | float | str)}
        metadata.setdefault(event.asset_key.path[-1], told)
    return {
        "run_id": result.run_id,
        "success": result.success,
        "failures": failures(result),
        "checks": {each.check_name: each.passed for each in result.get_asset_check_evaluations()},
        "metadata": metadata,
    }


if __name__ == "__main__":
    main()
