"""The job that tracks events, with the mart and all checks on the way, and when it runs."""

from datetime import timedelta

import dagster as dg

from cio_pipelines.defs.events.verification import verified_events
from cio_pipelines.partitions import open_partitions, partition_of, utc_days
from cio_pipelines.runs import FULL_EVENTS_CONFIG
from cio_pipelines.settings import load_settings

_settings = load_settings()
# loaded by a job of its own, as for the people sync
_reported = dg.AssetSelection.keys(["customerio", "webhook_events"])

sync_events = dg.define_asset_job(
    "sync_events",
    selection=dg.AssetSelection.assets(verified_events).upstream() - _reported,
    partitions_def=utc_days,
    executor_def=dg.in_process_executor,
    description="Build the mart and send the events of the run's partitions that were never accepted.",
)


@dg.schedule(
    job=sync_events,
    cron_schedule=_settings.cio_sync_cron,
    execution_timezone="UTC",
    description="Events of the running day, and of the day before while late rows are still awaited.",
)
def current_events(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest]:
    """One run a day that is still open (CIO_LOOKBACK_HOURS)."""
    now = context.scheduled_execution_time
    keys = open_partitions(now, timedelta(hours=_settings.cio_lookback_hours))
    return [dg.RunRequest(run_key=f"{now.isoformat()}/{key}", partition_key=key) for key in keys]


@dg.schedule(
    job=sync_events,
    cron_schedule=_settings.cio_full_sync_cron,
    execution_timezone="UTC",
    description="Once a day the whole mart: events that came later than the lookback, or without a time.",
)
def all_events_daily(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """One run, recorded on the running day's partition."""
    now = context.scheduled_execution_time
    return dg.RunRequest(
        run_key=now.isoformat(), partition_key=partition_of(now), run_config=FULL_EVENTS_CONFIG
    )
