"""The job that looks at dead letters and queues, and when."""

import dagster as dg

from cio_pipelines.defs.messaging.assets import dead_letters

count_dead_letters = dg.define_asset_job(
    "count_dead_letters",
    selection=dg.AssetSelection.assets(dead_letters),
    executor_def=dg.in_process_executor,
    description="Count dead letters of the syncs and of the message queue, and check number, age and flow.",
)

dead_letters_hourly = dg.ScheduleDefinition(
    name="dead_letters_hourly",
    job=count_dead_letters,
    cron_schedule="5 * * * *",
    execution_timezone="UTC",
    description="Look at dead letters and queues every hour.",
)
