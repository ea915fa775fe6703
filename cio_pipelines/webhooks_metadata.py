"""Reports on landed events as Dagster metadata and check results."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import dagster as dg

from cio_pipelines import landing_metadata, metadata
from cio_pipelines.landing.reports import Counts, Unloaded
from cio_pipelines.runs import partition_range_of
from cio_pipelines.webhooks.reports import LoadReport, Strangers
from cio_pipelines.webhooks.tables import webhook_events


def of_load(report: LoadReport, rows: int) -> metadata.Metadata:
    """What a load did; `rows` is how many events the table has now."""
    total = report.total
    return {
        **metadata.of_table(webhook_events),
        "dagster/row_count": rows,
        **landing_metadata.counts(total),
        **landing_metadata.failures(report.failed),
        "quarantined_by_reason": metadata.counts_table(report.quarantined, "reason"),
        "loaded_by_the_warehouse": report.by_warehouse,
        "read_one_by_one": metadata.counts_table(report.read_here, "reason"),
        "seconds": report.seconds,
        "events_per_second": total.rows / report.seconds if report.seconds else 0.0,
    }


def by_partition(report: LoadReport) -> dict[str, metadata.Metadata]:
    """Partition key → counts, of the days on which something was read."""
    return {
        day.isoformat(): {"dagster/partition_row_count": counts.inserted, **landing_metadata.counts(counts)}
        for day, counts in report.days.items()
        if counts.files
    }


def days_checked(context: dg.AssetCheckExecutionContext) -> list[date] | None:
    """The days of the run in which a check runs; None, which is all, when it runs by itself."""
    ends = partition_range_of(context.run.tags)
    if ends is None:
        return None
    first, last = (date.fromisoformat(key) for key in ends)
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def all_files_loaded(found: Unloaded) -> dg.AssetCheckResult:
    """Whether each landed object is loaded."""
    return landing_metadata.all_loaded(
        found,
        foreign="no object of events: move it elsewhere",
        remedy="Failed ones are tried again; materialise their day to try at once.",
    )


def unique_events(duplicates: int) -> dg.AssetCheckResult:
    """Whether each event is in the table once."""
    told = "Each event is there once." if not duplicates else f"{duplicates:,} rows repeat an event_id."
    return dg.AssetCheckResult(passed=not duplicates, description=told, metadata={"duplicates": duplicates})


def quarantined_share(counts: Counts, limit: float) -> dg.AssetCheckResult:
    """Whether no more than a share `limit` of the landed lines is in quarantine."""
    share = counts.quarantined / counts.rows if counts.rows else 0.0
    told = (
        f"{counts.quarantined:,} of {counts.rows:,} landed lines ({share:.2%}) are no events, "
        f"limit {limit:.1%}. customerio.webhook_quarantine has them, with the reason."
        if counts.quarantined
        else f"All {counts.rows:,} landed lines are events."
    )
    return dg.AssetCheckResult(
        passed=share <= limit,
        description=told,
        metadata={"quarantined": counts.quarantined, "rows": counts.rows, "share": share, "limit": limit},
    )


def recent_arrival(
    newest: datetime | None, since: date, now: datetime, limit: timedelta
) -> dg.AssetCheckResult:
    """Whether an event was received not longer than `limit` ago. A warning: silence may be the truth.

    `newest` is None when none was received since the day `since`.
    """
    if newest is None:
        return dg.AssetCheckResult(
            passed=False,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"No event since {since} was received: see that Customer.io reports to our receiver.",
        )
    age = now - newest
    hours = age / timedelta(hours=1)
    told = f"The newest event was received {hours:.1f} hours ago, at {newest:%Y-%m-%d %H:%M} UTC."
    if age > limit:
        told += " See whether the receiver runs and whether Customer.io has paused the reporting webhook."
    return dg.AssetCheckResult(
        passed=age <= limit,
        severity=dg.AssetCheckSeverity.WARN,
        description=told,
        metadata={"hours": hours, "newest": dg.MetadataValue.timestamp(newest)},
    )


def known_people(found: Strangers | None) -> dg.AssetCheckResult:
    """Whether deliveries went to people whom the warehouse knows. A warning: others may add people too."""
    if found is None:
        return dg.AssetCheckResult(
            passed=True, description="Not verified: the people mart has not been built yet."
        )
    told = (
        f"{found.unknown:,} of {found.deliveries:,} deliveries went to people whom "
        f"analytics.customerio_people has not; {found.unnamed:,} name nobody."
    )
    return dg.AssetCheckResult(
        passed=not found.unknown,
        severity=dg.AssetCheckSeverity.WARN,
        description=told,
        metadata={
            "deliveries": found.deliveries,
            "of_unknown_people": found.unknown,
            "of_nobody": found.unnamed,
        },
    )
