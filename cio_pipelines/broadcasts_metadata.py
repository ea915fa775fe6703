"""Reports on broadcasts as Dagster metadata and check results. They hold numbers, nobody's identifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dagster as dg

from cio_pipelines import metadata
from cio_pipelines.broadcasts.guards import AudienceVerdict
from cio_pipelines.broadcasts.reports import Outcome
from cio_pipelines.broadcasts.specs import BroadcastSpec
from cio_pipelines.broadcasts.state import TRIGGERED

AUDIENCE_SIZE, DELIVERED = "audience_size", "delivered_to_recipients"
"""Names of the checks."""


def of_outcome(outcome: Outcome) -> metadata.Metadata:
    """How a day stands; numbers are what the UI plots."""
    attempt = outcome.attempt
    told: metadata.Metadata = {
        "status": outcome.status,
        "recipients": outcome.recipients,
        "known_people": outcome.known,
        "share": outcome.recipients / outcome.known if outcome.known else 0.0,
        **({} if outcome.unsynced is None else {"unsynced": outcome.unsynced}),
        "triggers": int(outcome.triggered_here),
        "recipient_errors": outcome.errors,
        "reasons": reasons_table(outcome.reasons),
    }
    if attempt is None:
        return told
    told |= {"attempt": attempt.attempt, "adopted": attempt.adopted, "key": attempt.key}
    if attempt.trigger_id is not None:
        told["trigger_id"] = attempt.trigger_id
    if outcome.reached is not None:
        told |= {"reached": outcome.reached, "dagster/partition_row_count": outcome.reached}
    if attempt.processed_at is not None:
        told["processed_at"] = dg.MetadataValue.timestamp(attempt.processed_at)
        if attempt.triggered_at is not None:
            told["processing_seconds"] = (attempt.processed_at - attempt.triggered_at).total_seconds()
    return told


def reasons_table(reasons: Mapping[str, int]) -> dg.TableMetadataValue:
    """What Customer.io said of recipients, and of how many."""
    return metadata.counts_table(reasons, "reason")


def check_specs(spec: BroadcastSpec, key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """The checks of a broadcast's asset."""
    limits = spec.limits
    share = "" if limits.share is None else f", nor than {limits.share:.0%} of the people known there"
    return [
        dg.AssetCheckSpec(
            AUDIENCE_SIZE,
            asset=key,
            blocking=True,
            description=(
                f"The audience is not larger than {limits.people:,} people{share}. Beyond that nothing is "
                "triggered, unless the run's config allows it."
            ),
        ),
        dg.AssetCheckSpec(
            DELIVERED,
            asset=key,
            description=(
                "Customer.io has processed the trigger, found no fault with a recipient, and reached at "
                f"least {spec.reached_share:.0%} of the audience."
            ),
        ),
    ]


def check_results(outcomes: Sequence[Outcome]) -> list[dg.AssetCheckResult]:
    """The checks of a run over all of its days."""
    return [_audience_size(outcomes), _delivered(outcomes)]


def _audience_size(outcomes: Sequence[Outcome]) -> dg.AssetCheckResult:
    verdicts = {outcome.day: outcome.verdict for outcome in outcomes if outcome.verdict is not None}
    largest: AudienceVerdict | None = max(verdicts.values(), key=lambda each: each.people, default=None)
    told = [f"{day}: {verdict}" for day, verdict in verdicts.items()]
    if len(verdicts) < len(outcomes):
        told.append("Days that are triggered are not judged again.")
    return dg.AssetCheckResult(
        check_name=AUDIENCE_SIZE,
        passed=all(verdict.passed for verdict in verdicts.values()),
        description="\n".join(told),
        metadata={} if largest is None else {"people": largest.people, "share": largest.share},
    )


def _delivered(outcomes: Sequence[Outcome]) -> dg.AssetCheckResult:
    wrong = [outcome for outcome in outcomes if not outcome.is_delivered]
    is_failed = any(outcome.is_failed for outcome in wrong)
    tried = [outcome for outcome in outcomes if outcome.attempt is not None]
    told = [f"{outcome.day}: {_told(outcome)}" for outcome in outcomes]
    return dg.AssetCheckResult(
        check_name=DELIVERED,
        passed=not wrong,
        severity=dg.AssetCheckSeverity.ERROR if is_failed else dg.AssetCheckSeverity.WARN,
        description="\n".join(told),
        metadata={
            "recipients": sum(outcome.recipients for outcome in tried),
            "reached": sum(outcome.reached or 0 for outcome in tried),
            "recipient_errors": sum(outcome.errors for outcome in tried),
        },
    )


def _told(outcome: Outcome) -> str:
    if outcome.attempt is None:
        why = {
            "empty": "the model has nobody for it",
            "blocked": "the audience is too large",
            "dry_run": "only counted",
        }
        return f"nothing was triggered: {why[outcome.status]}."
    number = outcome.attempt.trigger_id
    if outcome.status == TRIGGERED:
        return f"trigger {number} is not processed yet; materialise again to look anew (nothing is sent)."
    reached = "an unknown number" if outcome.reached is None else f"{outcome.reached:,}"
    told = f"trigger {number} reached {reached} of {outcome.recipients:,} recipients"
    told += f"; {outcome.errors:,} errors" if outcome.errors else ""
    if outcome.is_failed:
        return f"{told}. It failed: correct the model and run again with retrigger."
    return f"{told}."
