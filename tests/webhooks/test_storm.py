"""Nothing that was acknowledged is lost, whatever happens to the receiver, and nothing comes in twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from cio_pipelines.cli.storm import storm


@pytest.mark.parametrize(
    ("events", "kills", "outage_seconds"),
    [(2_000, 1, 1.0), pytest.param(20_000, 3, 5.0, marks=pytest.mark.slow)],
)
def test_every_acknowledged_event_is_loaded_once(
    tmp_path: Path, events: int, kills: int, outage_seconds: float
) -> None:
    """5% duplicates, 1% bad signatures, kills, and a landing zone that cannot be written for a while."""
    result = storm(tmp_path, events, kills=kills, outage_seconds=outage_seconds)

    assert result.wrong == dict.fromkeys(result.wrong, 0)
    assert result.loaded == result.events == events
    reporting = result.reporting
    # what should disturb did: refused connections, a landing zone that failed, duplicates, bad signatures
    assert reporting["by_status"]["connection"] > 0
    assert reporting["by_status"]["503"] > 0
    assert reporting["duplicates_sent"] > events * 0.02
    forged = reporting["bad_signatures"]
    assert forged["by_status"]["401"] > events * 0.002
    assert set(forged["by_status"]) <= {"401", "connection", "503"}
