"""Days as people write them on the command line."""

from __future__ import annotations

from datetime import UTC, datetime

from cio_pipelines.settings import Settings, SettingsError


def chosen_days(settings: Settings, partition: str | None, range_: str | None) -> tuple[str, str] | None:
    """The first and the last partition that --partition or --range name; None when neither was given.

    Raises:
        SettingsError: it is no day, or has no partition.
    """
    if partition is not None:
        day = _day(settings, partition)
        return day, day
    if range_ is None:
        return None
    ends = range_.split("...")
    if len(ends) != 2:
        raise SettingsError("--range takes two days with three dots between: 2026-05-01...2026-05-20.")
    first, last = (_day(settings, end) for end in ends)
    if first > last:
        raise SettingsError(f"The range ends ({last}) before it starts ({first}).")
    return first, last


def _day(settings: Settings, text: str) -> str:
    now = datetime.now(UTC)
    try:
        day = datetime.strptime(text.strip(), "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise SettingsError(f"{text!r} is no day: write it like 2026-05-20.") from None
    if not settings.first_partition <= day <= now:
        first = settings.first_partition.date()
        raise SettingsError(
            f"{text} has no partition: they run from {first} (CIO_PARTITIONS_START) to today, {now.date()}."
        )
    return day.strftime("%Y-%m-%d")
