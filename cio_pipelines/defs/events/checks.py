"""What proves that events were tracked: completeness from the ledger, and that little was refused."""

import dagster as dg

from cio_pipelines import metadata
from cio_pipelines.defs.events.assets import tracked_events
from cio_pipelines.resources import EventSyncResource


@dg.asset_check(asset=tracked_events)
def completeness(
    context: dg.AssetCheckExecutionContext, event_sync: EventSyncResource
) -> dg.AssetCheckResult:
    """Every planned event ended as exactly one of accepted, rejected, quarantined and due, by the ledger in
    the warehouse; accepted ones are remembered for ever, and the others for the next run.
    """
    with event_sync.engine(context) as engine:
        return metadata.completeness(engine.outcomes(context.run.run_id))


@dg.asset_check(asset=tracked_events)
def rejection_rate(
    context: dg.AssetCheckExecutionContext, event_sync: EventSyncResource
) -> dg.AssetCheckResult:
    """Customer.io refused no more than the set share (CIO_MAX_REJECTED_SHARE) of the events it was sent."""
    with event_sync.engine(context) as engine:
        outcomes = engine.outcomes(context.run.run_id, trace=False)
    return metadata.rejection_rate(outcomes, event_sync.settings.cio_max_rejected_share)
