"""Accepted is not applied: whether events that Customer.io accepted are among its people's activities."""

import dagster as dg

from cio_pipelines import pools, verification_metadata
from cio_pipelines.defs.events.assets import tracked_events
from cio_pipelines.partitions import utc_days
from cio_pipelines.verification_resource import VerificationResource

KEY = dg.AssetKey(["customerio", "verified_events"])


@dg.asset(
    key=KEY,
    deps=[tracked_events],
    partitions_def=utc_days,
    backfill_policy=dg.BackfillPolicy.single_run(),
    pool=pools.EVENTS,
    check_specs=[
        dg.AssetCheckSpec(name, asset=KEY, description=told)
        for name, told in (
            ("read_back", "Events that were accepted are among the activities of their people."),
            ("applied", "Customer.io's activity log names no event of the run that failed later."),
            ("ledger", "Planned = accepted + rejected + quarantined + due, by day and over all time."),
        )
    ],
    group_name="customerio",
    owners=["team:growth"],
    kinds={"python", "customerio"},
)
def verified_events(
    context: dg.AssetExecutionContext, verification: VerificationResource
) -> dg.MaterializeResult:
    """The verdict on the run: verified, verified with differences, or not verifiable. A sample of the
    accepted events is looked up. What was lost is sent again by the next run, with its id (CIO_UNAPPLIED).
    """
    with verification.events(context) as verifier:
        found = verifier.verify(context.run.run_id)
    return dg.MaterializeResult(
        metadata=verification_metadata.of_verification(found, "events"),
        check_results=[
            verification_metadata.read_back(found, "events"),
            verification_metadata.applied(found),
            verification_metadata.ledger(found),
        ],
    )
