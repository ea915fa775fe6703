"""From days on which events landed to run requests of the load."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import dagster as dg
import msgspec

from cio_pipelines.landing import LandingZone
from cio_pipelines.landing.discovery import Cursor, Wanted, fingerprint
from cio_pipelines.partitions import utc_days
from cio_pipelines.runs import partition_range_tags
from cio_pipelines.webhooks.objects import Landed

RECENT_DAYS = 3
"""Days of receipt that every tick looks at."""

SWEPT_DAYS = 10
"""Older days that a tick looks at besides, in turn: an object may come late, but rarely does."""


def listing(zone: LandingZone, cursor: Cursor) -> tuple[dict[str, str], Cursor]:
    """Fingerprints of the days that this tick looks at, and the cursor that says where the next goes on.

    These are the newest days, those never loaded, and some of the others in turn.

    Raises:
        LandingUnavailable: the zone cannot be listed.
    """
    landed = Landed(zone)
    known = set(utc_days.get_partition_keys())
    # what lies outside the partitions no run could take; the check all_files_loaded and `cio load` tell of it
    days = [day for day in landed.days if day.isoformat() in known]
    recent = days[-RECENT_DAYS:]
    older = [day for day in days[:-RECENT_DAYS] if day.isoformat() in cursor.done]
    new = [day for day in days[:-RECENT_DAYS] if day.isoformat() not in cursor.done]
    swept = [day for day in older if day.isoformat() > cursor.swept][:SWEPT_DAYS]
    cursor = msgspec.structs.replace(cursor, swept=swept[-1].isoformat() if swept else "")
    wanted = [*new, *swept, *recent]
    return {day.isoformat(): fingerprint(landed.objects([day])) for day in wanted}, cursor


def consecutive(parts: Sequence[str]) -> list[list[str]]:
    """Days in groups without a gap: each can be one run."""
    groups: list[list[str]] = []
    for part in parts:
        if groups and date.fromisoformat(groups[-1][-1]) + timedelta(days=1) == date.fromisoformat(part):
            groups[-1].append(part)
        else:
            groups.append([part])
    return groups


def requested(wanted: Wanted, asset: dg.AssetKey) -> dg.RunRequest:
    """A run request for consecutive days that loads only what is new."""
    config = {"ops": {asset.to_python_identifier(): {"config": {"only_new": True}}}}
    first, last = wanted.parts[0], wanted.parts[-1]
    if first == last:
        return dg.RunRequest(run_key=wanted.run_key, partition_key=first, run_config=config)
    return dg.RunRequest(run_key=wanted.run_key, run_config=config, tags=partition_range_tags(first, last))
