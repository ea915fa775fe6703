"""What Customer.io reported, in the warehouse."""

from datetime import timedelta

import dagster as dg

from cio_pipelines import pools, webhooks_metadata
from cio_pipelines.landing_sensor import report_failed_files
from cio_pipelines.partitions import days_of, utc_days
from cio_pipelines.resources import WebhooksResource


class LoadConfig(dg.Config):
    """What a run reads of its days."""

    only_new: bool = False
    """Only objects that no run has loaded, as the sensor asks for. Otherwise everything that landed on these
    days is read again, which changes nothing but brings back what is missing in the table."""


@dg.asset(
    key=["customerio", "webhook_events"],
    partitions_def=utc_days,
    backfill_policy=dg.BackfillPolicy.single_run(),
    pool=pools.WEBHOOKS,
    freshness_policy=dg.FreshnessPolicy.time_window(
        warn_window=timedelta(days=1), fail_window=timedelta(days=3)
    ),
    group_name="webhooks",
    owners=["team:growth"],
    kinds={"python", "customerio"},
)
def webhook_events(
    context: dg.AssetExecutionContext, config: LoadConfig, webhooks: WebhooksResource
) -> dg.MaterializeResult:
    """Events that Customer.io reported (sent, opened, unsubscribed, …), each once, from the objects that our
    receiver left in the landing zone; partitions are UTC days of receipt. Lines that are no event are in
    `customerio.webhook_quarantine`, what became of each object is in `customerio.landed_files`.
    """
    with webhooks.load(context) as load:
        report = load.run(days_of(context), context.run.run_id, only_new=config.only_new)
    with webhooks.audit(context) as audit:
        rows = audit.events()
    report_failed_files(context, report.unsettled)
    for day, counts in webhooks_metadata.by_partition(report).items():
        context.add_asset_metadata(counts, partition_key=day)
    return dg.MaterializeResult(metadata=webhooks_metadata.of_load(report, rows))
