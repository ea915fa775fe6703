"""Makes the asset of a broadcast from its spec. It holds no definition of its own."""

import dagster as dg

from cio_pipelines import broadcasts_metadata, pools
from cio_pipelines.broadcasts.reports import Request
from cio_pipelines.broadcasts.specs import BroadcastSpec
from cio_pipelines.broadcasts_resource import BroadcastsResource
from cio_pipelines.dbt import MODELS
from cio_pipelines.partitions import days_of, utc_days


class BroadcastConfig(dg.Config):
    """What a person asks of a run; `broadcasts.reports.Request` says what each member does."""

    dry_run: bool = False
    allow_audience: bool = False
    allow_late: bool = False
    retrigger: bool = False
    adopt: int = 0
    wait_seconds: float = 600.0


def broadcast_assets(spec: BroadcastSpec) -> dg.AssetsDefinition:
    """The asset `customerio/<name>_broadcast` with its checks: a day's broadcast, triggered once.

    It follows from the model of recipients, which is to be an asset of dbt. It has no backfill policy, so
    that a backfill is a run a day: one that fails keeps no other from going out.
    """
    key = dg.AssetKey(["customerio", f"{spec.name}_broadcast"])

    @dg.asset(
        key=key,
        description=(
            f"The broadcast {spec.name} ({spec.broadcast_id} in Customer.io) to people of {spec.relation}, "
            "triggered once a day however often it is materialised, and followed until it is processed. What "
            "was asked for is in `customerio_sync.broadcast_triggers`, errors in `broadcast_errors` there."
        ),
        deps=[dg.AssetKey([MODELS, spec.table])],
        partitions_def=utc_days,
        check_specs=broadcasts_metadata.check_specs(spec, key),
        pool=pools.BROADCASTS,
        group_name="customerio",
        owners=["team:growth"],
        kinds={"python", "customerio"},
    )
    def broadcast(
        context: dg.AssetExecutionContext, config: BroadcastConfig, broadcasts: BroadcastsResource
    ) -> dg.MaterializeResult:
        request = Request(**config.model_dump())
        with broadcasts.broadcast(context, spec) as sender:
            outcomes = [sender.run(day, context.run.run_id, request) for day in days_of(context)]
        for outcome in outcomes:
            told = broadcasts_metadata.of_outcome(outcome)
            context.add_asset_metadata(told, partition_key=outcome.day.isoformat())
        return dg.MaterializeResult(check_results=broadcasts_metadata.check_results(outcomes))

    return broadcast
