"""Accepted is not applied: whether what Customer.io accepted of a people run is there."""

import dagster as dg

from cio_pipelines import metadata, pools, verification_metadata
from cio_pipelines.defs.people.assets import GROUP, KINDS, OWNERS, erased_profiles, identified_profiles
from cio_pipelines.partitions import utc_days
from cio_pipelines.verification_resource import VerificationResource

KEY = dg.AssetKey(["customerio", "verified_profiles"])


@dg.asset(
    key=KEY,
    deps=[identified_profiles],
    partitions_def=utc_days,
    backfill_policy=dg.BackfillPolicy.single_run(),
    pool=pools.PEOPLE,
    check_specs=[
        dg.AssetCheckSpec(name, asset=KEY, description=told)
        for name, told in (
            ("read_back", "People who were accepted, read back from Customer.io, are as accepted."),
            ("applied", "Customer.io's activity log names nobody of the run whose operation failed later."),
            ("ledger", "Planned = accepted + rejected + quarantined + due, by day and over all time."),
        )
    ],
    group_name=GROUP,
    owners=OWNERS,
    kinds=KINDS,
)
def verified_profiles(
    context: dg.AssetExecutionContext, verification: VerificationResource
) -> dg.MaterializeResult:
    """The verdict on the run: verified, verified with differences, or not verifiable. People are read back
    and compared, and the activity log is read. Who was lost is sent again by the next run (CIO_UNAPPLIED).
    """
    with verification.people(context) as verifier:
        found = verifier.verify(context.run.run_id)
    return dg.MaterializeResult(
        metadata=verification_metadata.of_verification(found),
        check_results=[
            verification_metadata.read_back(found),
            verification_metadata.applied(found),
            verification_metadata.ledger(found),
        ],
    )


@dg.asset_check(asset=erased_profiles, name="read_back")
def erasure_read_back(
    context: dg.AssetCheckExecutionContext, verification: VerificationResource
) -> dg.AssetCheckResult:
    """Who was erased is no longer in Customer.io. Who is still there is erased again by the next run."""
    with verification.people(context) as verifier:
        found = verifier.verify(metadata.erasure_run(context.run.run_id))
    return verification_metadata.read_back(found)
