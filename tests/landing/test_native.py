"""Events in a bucket that the warehouse loads by itself: local-bigquery reads what fake-gcs-server holds."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from cio_pipelines.landing import LandingZone
from cio_pipelines.landing.manifest import landed_files
from cio_pipelines.warehouse import Warehouse
from cio_pipelines.webhooks import native
from cio_pipelines.webhooks.layout import Received, lines, new_path
from cio_pipelines.webhooks.tables import webhook_events, webhook_quarantine
from tests import emulators
from tests.emulators import Emulator
from tests.engines.rig import open_url
from tests.webhooks.rig_load import MONDAY, NOON, LoadRig, event

from .conftest import BUCKET

pytestmark = pytest.mark.slow  # a statement takes the emulator a third of a second


@pytest.fixture(scope="module")
def lake(gcs_folder: Path) -> Iterator[Emulator]:
    """A BigQuery that reads what `gcs` holds, from its folder: over HTTP it would want an extension."""
    if reason := emulators.missing("local-bigquery"):
        pytest.skip(reason)
    with emulators.local_bigquery(gcs_folder) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def warehouse(lake: Emulator) -> Warehouse:
    return open_url("bigquery://native/analytics?storage_api=false", lake.url)


@pytest.fixture
def rig(warehouse: Warehouse, gcs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoadRig]:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs)
    yield LoadRig(tmp_path, warehouse=warehouse, zone=LandingZone(f"gs://{BUCKET}/{uuid4()}"))
    with warehouse.connect() as connection:
        for table in (webhook_events, webhook_quarantine, landed_files):
            connection.execute(sa.schema.DropTable(table, if_exists=True))
            connection.execute(sa.schema.CreateTable(table))


def facts(rig: LoadRig) -> tuple[Any, ...]:
    """All that a load leaves behind, but when and by whom."""
    counts = ("path", "status", "rows", "inserted", "repeated", "quarantined", "attempts", "newest_receipt")
    return rig.events(), rig.quarantine(), rig.manifest(*counts)


ODD = 'é\\"\u2028 \t{"a": "\\u0000\\ud83d\\ude00"}, \\\\n \x7f'.encode()


def test_a_warehouse_that_loads_by_itself_leaves_what_reading_here_leaves(
    rig: LoadRig, tmp_path: Path
) -> None:
    rig.land([event(1), event(2, note=ODD.decode()), b" " + event(3) + b"\r "])
    rig.land([event(2), event(4, metric=None), b"[1]"], at=NOON + timedelta(hours=1), object_type="push")
    rig.land([event(5)], day=MONDAY + timedelta(days=1))
    here = LoadRig(tmp_path, zone=rig.zone)
    days = (MONDAY, MONDAY + timedelta(days=1))

    report = rig.run(*days)
    here.run(*days)

    assert (report.by_warehouse, dict(report.read_here)) == (3, {})
    assert (report.total.rows, report.total.inserted, report.total.quarantined) == (7, 4, 2)
    assert facts(rig) == facts(here)
    assert rig.events("event")[1] == (event(2, note=ODD.decode()).decode(),)
    # what was read again brought nothing
    again = rig.run(*days, only_new=False)
    assert (again.by_warehouse, again.total.inserted, again.total.repeated) == (3, 0, 5)
    assert rig.audit.duplicates() == 0


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"no gzip", "could not read"),
        (gzip.compress(b"x" * 5_000)[:-9], "the portion"),
        (gzip.compress(b'{"a": "\xff"}\n'), "could not read"),
        (gzip.compress(b'{"received_at":"2026-11-23T12:00:00Z","body":"{}"}\n'), "do not say which objects"),
        (gzip.compress(lines("webhooks/another", [Received(NOON, event(9))])), "do not say which objects"),
        (gzip.compress(b""), "do not say which objects"),
        (b"", "the portion"),
    ],
    ids=["plain", "cut", "not UTF-8", "older release", "copy of another", "no line", "empty"],
)
def test_a_portion_that_does_not_fit_is_read_object_by_object(
    rig: LoadRig, tmp_path: Path, bad: bytes, reason: str
) -> None:
    rig.land([event(1), event(2)])
    rig.land_object(bad)
    rig.land([event(3)])
    here = LoadRig(tmp_path, zone=rig.zone)

    report = rig.run()
    here.run()

    assert report.by_warehouse == 0
    [(told, objects)] = report.read_here.items()
    assert reason in told
    assert objects == 3
    assert facts(rig) == facts(here)
    assert {row[0] for row in rig.events("event_id")} >= {f"01KAT{n:021d}" for n in (1, 2, 3)}


def test_a_line_is_of_the_object_that_it_names_wherever_it_lies(rig: LoadRig) -> None:
    one, other = new_path("email", MONDAY), new_path("email", MONDAY)
    both = lines(one, [Received(NOON, event(1)), Received(NOON, event(2))]).splitlines(keepends=True)
    rig.zone.write(one, gzip.compress(both[0]))
    rig.zone.write(other, gzip.compress(lines(other, [Received(NOON, event(3))]) + both[1]))

    # no line lacks, none is there twice: all that the manifest counts is true
    assert rig.run().by_warehouse == 2
    assert rig.events("event_id", "file") == [
        (f"01KAT{1:021d}", one),
        (f"01KAT{2:021d}", one),
        (f"01KAT{3:021d}", other),
    ]
    assert rig.manifest("path", "rows", "inserted") == [(one, 2, 2), (other, 1, 1)]


def test_an_object_of_which_the_last_lines_are_missing_is_read_here(rig: LoadRig) -> None:
    path = new_path("email", MONDAY)
    whole = lines(path, [Received(NOON, event(1)), Received(NOON, event(2))]).splitlines(keepends=True)
    # as an engine would see it that takes a file which was cut off for one that ended
    rig.zone.write(path, gzip.compress(whole[0]))

    report = rig.run()

    assert report.by_warehouse == 0
    [(told, objects)] = report.read_here.items()
    assert ("do not say which objects" in told, objects) == (True, 1)
    assert rig.events("event_id") == [(f"01KAT{1:021d}",)]


def test_what_failed_before_does_not_make_a_portion_fail(rig: LoadRig) -> None:
    broken = rig.land_object(b"no gzip")
    assert [item.path for item in rig.run().failed] == [broken]
    with rig.warehouse.connect() as connection:
        connection.execute(landed_files.update().values(loaded_at=NOON - timedelta(days=99)).where(sa.true()))
    rig.land([event(1)])

    report = rig.run()

    assert (report.by_warehouse, dict(report.read_here)) == (1, {"it failed before": 1})
    assert [(item.path, item.attempts) for item in report.failed] == [(broken, 2)]


def test_portions_have_as_many_objects_as_a_job_takes(rig: LoadRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "OBJECTS_PER_JOB", 2)
    for number in range(5):
        rig.land([event(number), event(number + 1)])

    report = rig.run()

    assert (report.by_warehouse, report.total.inserted, report.total.repeated) == (5, 6, 4)
    assert rig.audit.duplicates() == 0


def test_an_object_that_was_written_anew_after_it_was_loaded_is_told(rig: LoadRig) -> None:
    path = rig.land([event(1)])
    rig.run()
    before = rig.events()
    overwrite(rig, path, gzip.compress(lines(path, [Received(NOON, event(2))])))

    assert "written anew" in dict(rig.audit.unloaded().failed)[path]
    report = rig.run()

    assert [item.path for item in report.failed] == [path]
    assert "generation" in report.failed[0].reason
    assert report.unsettled == 0
    assert rig.events() == before
    assert rig.run().failed == ()
    # whoever asks for it gets what is there now
    assert rig.run(only_new=False).total.inserted == 1
    assert rig.audit.unloaded().failed == {}


def overwrite(rig: LoadRig, path: str, data: bytes) -> None:
    """What nobody but a person with other tools does."""
    from google.cloud import storage

    bucket = storage.Client(project=None).bucket(BUCKET)
    bucket.blob(rig.zone.uri(path).removeprefix(f"gs://{BUCKET}/")).upload_from_string(data)
