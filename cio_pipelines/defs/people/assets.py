"""The people sync as assets: who changed, what differs, what Customer.io accepted, who was erased."""

from datetime import timedelta

import dagster as dg

from cio_pipelines import metadata, plan_metadata, pools
from cio_pipelines.partitions import utc_days, window_of
from cio_pipelines.resources import PeopleSyncResource
from cio_pipelines.sync.guards import Approvals

MART = dg.AssetKey(["analytics", "customerio_people"])
GROUP, OWNERS, KINDS = "customerio", ["team:growth"], {"python", "customerio"}


class ExtractConfig(dg.Config):
    """What a run looks at."""

    full: bool = False
    """The whole mart instead of the days of the run's partitions."""


class PlanConfig(dg.Config):
    """What a person allows a run to do beyond the guards' limits."""

    allow_changes: bool = False
    allow_mapping_change: bool = False
    allow_suppressions: bool = False
    dry_run: bool = False
    """Only plan: the plan can be read, and sent if somebody approves it for another run."""
    approved_plan: str | None = None
    """The run whose plan was read and is to be carried out, if this run plans the very same."""


class EraseConfig(dg.Config):
    """What a person allows an erasure to do beyond its guard's limit."""

    allow_erasures: bool = False
    approved_plan: str | None = None
    """The run whose erasure was read and is to be carried out, if this run plans the very same."""


APPROVED = "If a plan was approved for the run: it is this very one. If it is not, nothing is sent."


@dg.asset(
    key=["customerio", "changed_users"],
    deps=[MART],
    partitions_def=utc_days,
    backfill_policy=dg.BackfillPolicy.single_run(),
    group_name=GROUP,
    owners=OWNERS,
    kinds=KINDS,
)
def changed_users(
    context: dg.AssetExecutionContext, config: ExtractConfig, people_sync: PeopleSyncResource
) -> dg.MaterializeResult:
    """Rows of the mart whose `updated_at` lies in the run's days (or all of them), and whoever an earlier
    run left open. Fails when the mart is missing or its ids are null or repeated.
    """
    with people_sync.engine(context) as engine:
        extraction = engine.extract(context.run.run_id, window_of(context, full=config.full))
    return dg.MaterializeResult(metadata=metadata.of_extraction(extraction))


@dg.asset(
    key=["customerio", "profile_diff"],
    deps=[changed_users],
    partitions_def=utc_days,
    backfill_policy=dg.BackfillPolicy.single_run(),
    check_specs=[
        dg.AssetCheckSpec(
            name,
            asset=["customerio", "profile_diff"],
            blocking=True,
            description=f"{told} Over the limit nothing is sent, unless the run's config allows it.",
        )
        for name, told in (
            ("changed_people", "The share of known people whose attributes change."),
            ("mapping_change", "The share of known people re-sent because the mart's columns changed."),
            ("suppressed_people", "The share of people to suppress, which deletes them in Customer.io."),
        )
    ]
    + [
        dg.AssetCheckSpec(
            "approved_plan", asset=["customerio", "profile_diff"], blocking=True, description=APPROVED
        ),
        dg.AssetCheckSpec(
            "silent_changes",
            asset=["customerio", "profile_diff"],
            description="Nobody changed without a new `updated_at`: only a full sync finds those.",
        ),
    ],
    group_name=GROUP,
    owners=OWNERS,
    kinds=KINDS,
)
def profile_diff(
    context: dg.AssetExecutionContext, config: PlanConfig, people_sync: PeopleSyncResource
) -> dg.MaterializeResult:
    """The operations that bring Customer.io in step: each row's canonical attributes compared by hash with
    the last-synced snapshot. Rows that Customer.io would refuse are quarantined here, with the reason.
    """
    approvals = Approvals(
        changed=config.allow_changes,
        mapping=config.allow_mapping_change,
        suppressed=config.allow_suppressions,
    )
    with people_sync.engine(context) as engine:
        plan = engine.plan(
            context.run.run_id, approvals, dry_run=config.dry_run, approved_plan=config.approved_plan
        )
        columns = metadata.of_columns(MART, engine.attributes())
    return dg.MaterializeResult(
        metadata={**columns, **plan_metadata.of_plan(plan)},
        check_results=[*plan_metadata.checks_of(plan), plan_metadata.silent_changes(plan)],
    )


@dg.asset(
    key=["customerio", "identified_profiles"],
    deps=[profile_diff],
    partitions_def=utc_days,
    backfill_policy=dg.BackfillPolicy.single_run(),
    pool=pools.PEOPLE,
    # with a plan the lease is held: an erasure in the same run waits until the plan is carried out
    op_tags={"dagster/priority": "1"},
    freshness_policy=dg.FreshnessPolicy.time_window(
        warn_window=timedelta(hours=2), fail_window=timedelta(hours=26)
    ),
    group_name=GROUP,
    owners=OWNERS,
    kinds=KINDS,
)
def identified_profiles(
    context: dg.AssetExecutionContext, people_sync: PeopleSyncResource
) -> dg.MaterializeResult:
    """Profiles as Customer.io accepted them: the plan sent in batches, each row's outcome in the ledger, and
    the snapshot moved for accepted rows only.
    """
    with people_sync.engine(context) as engine:
        report = engine.push(context.run.run_id, people_sync.progress)
        columns = metadata.of_columns(MART, engine.attributes())
    return metadata.materialized(report, columns=columns)


@dg.asset(
    key=["customerio", "erased_profiles"],
    deps=[MART],
    pool=pools.PEOPLE,
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=26)),
    check_specs=[
        dg.AssetCheckSpec(
            "erased_people",
            asset=["customerio", "erased_profiles"],
            blocking=True,
            description="The share of people to erase. Over the limit nothing is sent, unless allowed.",
        ),
        dg.AssetCheckSpec(
            "approved_plan", asset=["customerio", "erased_profiles"], blocking=True, description=APPROVED
        ),
    ],
    group_name=GROUP,
    owners=OWNERS,
    kinds=KINDS,
)
def erased_profiles(
    context: dg.AssetExecutionContext, config: EraseConfig, people_sync: PeopleSyncResource
) -> dg.MaterializeResult:
    """People with a tombstone (`deleted_at`), suppressed and then deleted in Customer.io; their payloads are
    cleared here too. People who are merely absent from the mart are left alone.
    """
    run_id = metadata.erasure_run(context.run.run_id)
    approved = config.approved_plan and metadata.erasure_run(config.approved_plan)
    with people_sync.engine(context) as engine:
        allowed = Approvals(erased=config.allow_erasures)
        plan = engine.plan_erasure(run_id, allowed, approved_plan=approved)
        checks = plan_metadata.checks_of(plan)
        if plan.blocked:
            return dg.MaterializeResult(metadata=plan_metadata.of_plan(plan), check_results=checks)
        report = engine.push(run_id, people_sync.progress)
    return metadata.materialized(report, checks)
