"""Dead letters and queues as Dagster metadata and check results."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg

from cio_pipelines.letters import Census
from cio_pipelines.metadata import Metadata


def of_census(census: Census) -> Metadata:
    """Numbers to plot, and what is wrong as a table."""
    records = [
        dg.TableRecord(
            {
                "from": heap.origin,
                "kind": heap.kind,
                "field": heap.field,
                "reason": heap.reason,
                "letters": heap.letters,
                "oldest": heap.oldest.isoformat(timespec="minutes"),
            }
        )
        for heap in census.heaps
    ]
    columns = [
        dg.TableColumn(name, "int" if name == "letters" else "string")
        for name in ("from", "kind", "field", "reason", "letters", "oldest")
    ]
    queues = {
        f"{what}/{name}": getattr(depth, what)
        for name, depth in census.depths.items()
        for what in ("waiting", "delayed", "in_flight", "dead")
    }
    return {
        "dagster/row_count": census.letters,
        "dead_letters": census.letters,
        "by_reason": dg.MetadataValue.table(records, dg.TableSchema(columns)),
        **queues,
    }


def few_letters(census: Census, limit: int) -> dg.AssetCheckResult:
    """Whether there are no more than `limit` dead letters."""
    told = f"{census.letters:,} dead letters, limit {limit:,}. See `cio dead-letters list`."
    return dg.AssetCheckResult(
        passed=census.letters <= limit,
        description=told,
        metadata={"dead_letters": census.letters, "limit": limit},
    )


def young_letters(census: Census, limit: timedelta, now: datetime | None = None) -> dg.AssetCheckResult:
    """Whether nobody has left a dead letter lying for longer than `limit`."""
    oldest = min((heap.oldest for heap in census.heaps), default=None)
    hours = ((now or datetime.now(UTC)) - oldest).total_seconds() / 3_600 if oldest is not None else 0.0
    limit_hours = limit.total_seconds() / 3_600
    told = (
        "There are no dead letters."
        if oldest is None
        else f"The oldest dead letter is {hours:,.1f} hours old, limit {limit_hours:g}. Correct what is "
        "wrong and `cio dead-letters replay`, or let it go with `purge`."
    )
    return dg.AssetCheckResult(
        passed=hours <= limit_hours,
        severity=dg.AssetCheckSeverity.WARN,
        description=told,
        metadata={"oldest_hours": hours, "limit_hours": limit_hours},
    )


def moving_queues(census: Census, limit: timedelta) -> dg.AssetCheckResult:
    """Whether no message that could go has waited for longer than `limit`."""
    name, depth = max(census.depths.items(), key=lambda item: item[1].oldest_seconds)
    minutes, most = depth.oldest_seconds / 60, limit.total_seconds() / 60
    waiting = sum(each.waiting for each in census.depths.values())
    passed = minutes <= most
    told = (
        f"{waiting:,} messages wait, none for longer than {most:g} minutes."
        if passed
        else f"A message of the queue {name} has waited for {minutes:,.0f} minutes, limit {most:g}: see "
        "whether `cio worker` runs, and what it logs."
    )
    return dg.AssetCheckResult(
        passed=passed, description=told, metadata={"waiting": waiting, "oldest_minutes": minutes}
    )
