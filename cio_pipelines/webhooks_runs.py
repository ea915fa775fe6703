"""From days on which events landed to run requests of the load."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import dagster as dg

from cio_pipelines.landing import LandingZone
from cio_pipelines.landing.discovery import Cursor, Wanted
from cio_pipelines.landing.sweeping import REQUESTS, look
from cio_pipelines.partitions import utc_days
from cio_pipelines.runs import partition_range_tags
from cio_pipelines.webhooks.layout import place_of
from cio_pipelines.webhooks.objects import Landed

RECENT_DAYS = 3
"""Days of receipt at whose ends every look begins."""


def listing(zone: LandingZone, cursor: Cursor, requests: int = REQUESTS) -> tuple[dict[str, str], Cursor]:
    """Fingerprints of days as far as they were looked at, and the cursor that says where to go on.

    `requests` bounds what the look costs beside finding out which folders there are.

    Raises:
        LandingUnavailable: the zone cannot be listed.
    """
    landed = Landed(zone)
    known = set(utc_days.get_partition_keys())
    # what lies outside the partitions no run could take; the check all_files_loaded and `cio load` tell of it
    days = {day.isoformat(): landed.folders(day) for day in landed.days if day.isoformat() in known}

    def counts(path: str) -> bool:
        return place_of(path) is not None

    return look(zone, days, cursor, recent=RECENT_DAYS, counts=counts, requests=requests)


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
