"""What keeps the queue moving when a process dies outside Dagster's sight."""

import dagster as dg

from cio_pipelines.runs import end_orphans


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Marks runs of killed `cio` processes as failed: a queued run would wait for them for ever.",
)
def killed_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Never requests a run."""
    ended = end_orphans(context.instance)
    return dg.SkipReason(f"Runs of killed processes: {ended}.")
