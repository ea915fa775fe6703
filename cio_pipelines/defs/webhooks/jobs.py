"""The job that loads what has landed and builds the marts of it, and the sensor that asks for it."""

import dagster as dg

from cio_pipelines.defs.webhooks.assets import webhook_events
from cio_pipelines.landing.discovery import Cursor, Wanted
from cio_pipelines.landing_sensor import evaluate
from cio_pipelines.partitions import utc_days
from cio_pipelines.resources import WebhooksResource
from cio_pipelines.webhooks_runs import consecutive, listing, requested

# the people mart reads consent; it is built by the sync, which then also sends what changed
_CONSENT = dg.AssetSelection.keys(["analytics", "int_people__consent"])

load_webhooks = dg.define_asset_job(
    "load_webhooks",
    selection=dg.AssetSelection.assets(webhook_events).downstream() - _CONSENT.downstream(),
    partitions_def=utc_days,
    executor_def=dg.in_process_executor,
    description="Load what landed on the days of the run's partitions, and build the marts of reports.",
)


@dg.sensor(
    job=load_webhooks,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks for a load of the days on which something landed that no run has taken yet.",
)
def landed_webhooks(context: dg.SensorEvaluationContext, webhooks: WebhooksResource) -> dg.SensorResult:
    """One run for consecutive days, and none while one is under way."""
    requests = webhooks.settings.cio_sensor_requests
    listed, cursor = listing(webhooks.zone(), Cursor.read(context.cursor), requests)

    def request(wanted: Wanted) -> dg.RunRequest:
        return requested(wanted, webhook_events.key)

    return evaluate(context, "landed_webhooks", listed, cursor, consecutive, request)
