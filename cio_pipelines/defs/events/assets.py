"""Warehouse events as an asset: what happened on the run's days, as Customer.io accepted it."""

from datetime import timedelta

import dagster as dg

from cio_pipelines import events_metadata, metadata, pools
from cio_pipelines.partitions import utc_days, window_of
from cio_pipelines.resources import EventSyncResource

MART = dg.AssetKey(["analytics", "customerio_events"])


class TrackConfig(dg.Config):
    """What a run looks at."""

    full: bool = False
    """The whole mart instead of the days of the run's partitions."""


@dg.asset(
    key=["customerio", "tracked_events"],
    deps=[MART],
    partitions_def=utc_days,
    backfill_policy=dg.BackfillPolicy.single_run(),
    pool=pools.EVENTS,
    freshness_policy=dg.FreshnessPolicy.time_window(
        warn_window=timedelta(hours=2), fail_window=timedelta(hours=26)
    ),
    group_name="customerio",
    owners=["team:growth"],
    kinds={"python", "customerio"},
)
def tracked_events(
    context: dg.AssetExecutionContext, config: TrackConfig, event_sync: EventSyncResource
) -> dg.MaterializeResult:
    """What occurred on the run's days (or all of the mart) and was never accepted, sent as events of people,
    and with it whatever an earlier run left open. Repeating a run or a backfill sends nothing twice.
    """
    with event_sync.engine(context) as engine:
        plan = engine.plan(context.run.run_id, window_of(context, full=config.full))
        report = engine.push(context.run.run_id, event_sync.progress)
        columns = metadata.of_columns(MART, engine.properties())
    return metadata.materialized(report, columns={**columns, **events_metadata.of_plan(plan)})
