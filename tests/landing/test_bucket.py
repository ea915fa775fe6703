"""Events in a bucket are loaded as those in a folder are."""

from __future__ import annotations

from pathlib import Path

from cio_pipelines.landing import LandingZone
from cio_pipelines.landing.discovery import Cursor
from cio_pipelines.webhooks_runs import listing
from tests.webhooks.rig_load import MONDAY, LoadRig, event


def test_events_of_any_zone_are_found_and_loaded(tmp_path: Path, zone: LandingZone) -> None:
    rig = LoadRig(tmp_path, zone=zone)
    rig.land([event(1), event(2)])
    seen, _ = listing(zone, Cursor())

    assert rig.run().total.inserted == 2

    rig.land([event(2), event(3)], object_type="push")
    later, _ = listing(zone, Cursor())
    assert list(seen) == list(later) == [MONDAY.isoformat()]
    assert seen != later
    assert len(rig.audit.unloaded().unread) == 1
    report = rig.run()
    assert (report.total.files, report.total.inserted, report.total.repeated) == (1, 1, 1)
    assert rig.audit.unloaded().unread == ()
