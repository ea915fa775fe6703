"""What proves a push: its completeness from the ledger, and that Customer.io refused little."""

import dagster as dg

from cio_pipelines import metadata
from cio_pipelines.defs.people.assets import erased_profiles, identified_profiles
from cio_pipelines.resources import PeopleSyncResource


@dg.asset_check(asset=identified_profiles)
def completeness(
    context: dg.AssetCheckExecutionContext, people_sync: PeopleSyncResource
) -> dg.AssetCheckResult:
    """Every planned operation ended as exactly one of accepted, rejected, quarantined and due, by the ledger
    in the warehouse, and whoever was not accepted is remembered for the next run.
    """
    with people_sync.engine(context) as engine:
        return metadata.completeness(engine.outcomes(context.run.run_id))


@dg.asset_check(asset=identified_profiles)
def rejection_rate(
    context: dg.AssetCheckExecutionContext, people_sync: PeopleSyncResource
) -> dg.AssetCheckResult:
    """Customer.io refused no more than the set share (CIO_MAX_REJECTED_SHARE) of what it was sent."""
    with people_sync.engine(context) as engine:
        outcomes = engine.outcomes(context.run.run_id, trace=False)
    return metadata.rejection_rate(outcomes, people_sync.settings.cio_max_rejected_share)


@dg.asset_check(asset=erased_profiles, name="completeness")
def erasure_completeness(
    context: dg.AssetCheckExecutionContext, people_sync: PeopleSyncResource
) -> dg.AssetCheckResult:
    """Every planned erasure has exactly one outcome, by the ledger in the warehouse."""
    with people_sync.engine(context) as engine:
        return metadata.completeness(engine.outcomes(metadata.erasure_run(context.run.run_id)))
