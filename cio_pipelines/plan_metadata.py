"""Plans of people as Dagster metadata and check results: what a person reads before they approve one."""

from __future__ import annotations

import dagster as dg

from cio_pipelines.metadata import Metadata, check_of, counts_table, refusals_table, table
from cio_pipelines.sync.reports import Plan
from cio_pipelines.sync.review import Review


def of_plan(plan: Plan) -> Metadata:
    """What a plan decided; numbers are what the UI plots."""
    return {
        "dagster/row_count": plan.planned,
        "extracted": plan.extracted,
        "unchanged": plan.unchanged,
        "left_alone": plan.left_alone,
        "tombstoned": plan.tombstoned,
        "quarantined": plan.quarantined_people,
        "silent_changes": plan.silent,
        "operations": counts_table(plan.operations, "operation"),
        "why": counts_table(plan.whys, "why"),
        "refusals": refusals_table(plan.quarantined),
        "mapping_version": plan.mapping_version,
        "mapping_change": str(plan.mapping_change),
        "attributes": plan.attributes,
        "seconds": plan.seconds,
        "window": str(plan.window),
        **({} if plan.absent is None else {"absent_from_mart": plan.absent}),
        **({"ahead_of_mart": plan.ahead} if plan.ahead else {}),
        **({} if plan.estimated_bytes is None else {"estimated_bytes": plan.estimated_bytes}),
        **of_review(plan.review),
        "approve": f"cio sync people --approve {plan.run_id}",
    }


def of_review(review: Review) -> Metadata:
    """Attributes, guards and costs as tables and numbers."""
    changes, estimate = review.changes, review.estimate
    attributes = [
        {
            "attribute": change.name,
            "because_of": change.cause,
            "added": change.added,
            "changed": change.changed,
            "removed": change.removed,
        }
        for change in changes.attributes
    ]
    guards = [
        {
            "guard": guard.name,
            "verdict": guard.word,
            "people": guard.people,
            "known_people": guard.known,
            "share": guard.share,
            "limit_share": guard.limit_share,
            "limit_people": guard.limit_people,
        }
        for guard in review.guards
    ]
    counts = dict.fromkeys(("added", "changed", "removed"), "int")
    figures = {"people": "int", "known_people": "int", "share": "float"}
    limits = {"limit_share": "float", "limit_people": "int"}
    return {
        "updated_people": changes.updates,
        "compared_share": changes.share,
        "changed_attributes": table(attributes, {"attribute": "string", "because_of": "string", **counts}),
        "attributes_touched": len({change.name for change in changes.attributes}),
        **({"changes_not_seen": changes.unseen} if changes.unseen else {}),
        **({"changes_not_counted": changes.skipped} if changes.skipped else {}),
        "guards": table(guards, {"guard": "string", "verdict": "string", **figures, **limits}),
        **{f"{guard.name}_share": guard.share for guard in review.guards},
        "requests_needed": estimate.requests,
        "bytes_needed": estimate.bytes_sent,
        "minutes_needed": estimate.minutes,
    }


def checks_of(plan: Plan) -> list[dg.AssetCheckResult]:
    """The guards' verdicts, and whether the plan is the one that was approved, if one was."""
    agreement = plan.review.agreement
    approval = dg.AssetCheckResult(
        check_name="approved_plan",
        passed=agreement is None or agreement.passed,
        description="No plan was approved for this run: the guards decide."
        if agreement is None
        else f"{agreement} {'' if agreement.passed else _read_anew(plan)}".strip(),
        metadata={}
        if agreement is None
        else {
            "approved_plan": agreement.approved_plan,
            "new": agreement.new,
            "gone": agreement.gone,
            "different": agreement.different,
        },
    )
    return [*(check_of(verdict) for verdict in plan.verdicts), approval]


def _read_anew(plan: Plan) -> str:
    return (
        "Read what is planned now, in the metadata of this run, and if it is meant approve that: "
        f"cio sync people --approve {plan.run_id}"
    )


def silent_changes(plan: Plan) -> dg.AssetCheckResult:
    """Whether somebody changed without a new `updated_at`."""
    told = (
        f"{plan.silent:,} people changed while their updated_at stayed. No window finds them, only a full "
        "sync does; look for a job that writes app.users without touching updated_at."
        if plan.silent
        else f"Everybody who changed has a new updated_at, as far as this run looked: {plan.window}."
    )
    return dg.AssetCheckResult(
        check_name="silent_changes",
        passed=plan.silent == 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=told,
        metadata={"people": plan.silent},
    )
