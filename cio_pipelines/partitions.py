"""Daily partitions in UTC, with the current day: of people by `updated_at`, of events by their receipt."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import dagster as dg

from cio_pipelines.settings import load_settings
from cio_pipelines.sync.windows import FULL, Window

utc_days = dg.DailyPartitionsDefinition(
    # work on the running day is the normal case, so the day that has not ended has a partition too
    start_date=load_settings().first_partition,
    end_offset=1,
)


def partition_of(moment: datetime) -> str:
    """Key of the partition that holds a moment (with a zone)."""
    return utc_days.get_partition_key_for_timestamp(moment.timestamp())


def open_partitions(now: datetime, lookback: timedelta) -> list[str]:
    """Keys of the days a sync takes at `now`: the day itself, and the one before while rows may be late."""
    today, earlier = partition_of(now), partition_of(now - lookback)
    return [today] if earlier == today else [earlier, today]


def window_of(context: dg.AssetExecutionContext, *, full: bool) -> Window:
    """The window of a run: the days of its partitions, or the whole mart."""
    if full:
        return FULL
    window = context.partition_time_window
    return Window(window.start, window.end)


def days_of(context: dg.AssetExecutionContext) -> list[date]:
    """The days of a run's partitions, oldest first."""
    window = context.partition_time_window
    first = window.start.date()
    return [first + timedelta(days=number) for number in range((window.end - window.start).days)]
