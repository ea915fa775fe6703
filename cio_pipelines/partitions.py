"""Daily partitions over the mart's `updated_at`, in UTC, with the current day."""

from __future__ import annotations

from datetime import datetime, timedelta

import dagster as dg

from cio_pipelines.settings import load_settings
from cio_pipelines.sync.windows import FULL, Window

people_partitions = dg.DailyPartitionsDefinition(
    # a sync of the running day is the normal case, so the day that has not ended has a partition too
    start_date=load_settings().first_partition,
    end_offset=1,
)


def partition_of(moment: datetime) -> str:
    """Key of the partition that holds a moment (with a zone)."""
    return people_partitions.get_partition_key_for_timestamp(moment.timestamp())


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
