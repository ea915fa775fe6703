"""The jobs that push, each with the mart and all checks on the way, and when they run."""

from datetime import timedelta

import dagster as dg

from cio_pipelines.defs.people.assets import erased_profiles
from cio_pipelines.defs.people.verification import verified_profiles
from cio_pipelines.partitions import open_partitions, partition_of, utc_days
from cio_pipelines.runs import FULL_RUN_CONFIG
from cio_pipelines.settings import load_settings

_settings = load_settings()
# loaded by a job of its own: people are synced whether or not the landing zone answers
_reported = dg.AssetSelection.keys(["customerio", "webhook_events"])
_pushed = dg.AssetSelection.assets(verified_profiles).upstream() - _reported

sync_people = dg.define_asset_job(
    "sync_people",
    selection=_pushed,
    partitions_def=utc_days,
    executor_def=dg.in_process_executor,
    description="Build the mart and bring Customer.io in step with the days of the run's partitions.",
)

sync_people_fully = dg.define_asset_job(
    "sync_people_fully",
    selection=_pushed | dg.AssetSelection.assets(erased_profiles),
    partitions_def=utc_days,
    executor_def=dg.in_process_executor,
    config=FULL_RUN_CONFIG,
    description="Build the mart, compare all of it with the snapshot, and erase people with a tombstone.",
)


@dg.schedule(
    job=sync_people,
    cron_schedule=_settings.cio_sync_cron,
    execution_timezone="UTC",
    description="The running day, and the day before while late rows are still awaited (CIO_LOOKBACK_HOURS).",
)
def current_day(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest]:
    """One run a day that is still open."""
    now = context.scheduled_execution_time
    keys = open_partitions(now, timedelta(hours=_settings.cio_lookback_hours))
    return [dg.RunRequest(run_key=f"{now.isoformat()}/{key}", partition_key=key) for key in keys]


@dg.schedule(
    job=sync_people_fully,
    cron_schedule=_settings.cio_full_sync_cron,
    execution_timezone="UTC",
    description="Once a day everything: it finds what no window can, and erases people with a tombstone.",
)
def everything_daily(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """One run, recorded on the running day's partition."""
    now = context.scheduled_execution_time
    return dg.RunRequest(run_key=now.isoformat(), partition_key=partition_of(now))
