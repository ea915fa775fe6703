"""Broken files and crashes: what is whole is loaded, the rest is told, and nothing is half done."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from cio_pipelines.exports.load import ExportLoad
from cio_pipelines.landing.manifest import MAX_ATTEMPTS, landed_files
from cio_pipelines.warehouse import WarehouseError
from cio_pipelines.warehouse.merge import Merge
from tests.sync.passing import PassingConnection, PassingWarehouse

from .rig import ExportRig, delivery


def test_broken_files_fail_alone_and_are_tried_again(rig: ExportRig) -> None:
    good = rig.export("deliveries", [delivery(1)])
    whole = (rig.folder / good).read_bytes()
    cut = rig.export_bytes("deliveries", whole[: len(whole) // 2])
    empty = rig.export_bytes("deliveries", b"")
    damaged = bytearray(whole)
    damaged[4:40] = b"\xff" * 36
    torn = rig.export_bytes("deliveries", bytes(damaged))
    name = rig.export_table("deliveries", pa.table({"delivery_id": pa.array([b"\xff"]).view(pa.string())}))

    report = rig.run()

    assert {item.path for item in report.failed} == {cut, empty, torn, name}
    assert all("is not whole parquet" in item.reason for item in report.failed)
    assert report.unsettled == 4
    assert rig.table("deliveries", "file") == [(good,)]
    # the next try is not due; reading everything tries at once
    assert rig.run().failed == ()
    assert rig.run().unsettled == 4
    assert {item.attempts for item in rig.run(only_new=False).failed} == {2}
    assert set(rig.audit.unloaded()["deliveries"].failed) == {cut, empty, torn, name}


def test_a_file_that_breaks_in_the_middle_leaves_no_rows(rig: ExportRig) -> None:
    rows = 60_000
    ids = [f"d{n}" for n in range(rows)]
    campaigns = ["1"] * (rows - 1) + ["none"]
    rig.export_table("deliveries", pa.table({"delivery_id": ids, "campaign_id": campaigns}))
    good = rig.export("deliveries", [delivery(1)])

    assert len(rig.run().failed) == 1
    assert rig.table("deliveries", "file") == [(good,)]


def test_a_failed_file_is_tried_when_it_is_due_and_left_alone_in_the_end(rig: ExportRig) -> None:
    rig.export_bytes("deliveries", b"no parquet")
    rig.run()

    def age(by: timedelta, **values: Any) -> None:
        with rig.warehouse.connect() as connection:
            connection.execute(landed_files.update().values(loaded_at=datetime.now(UTC) - by, **values))

    age(timedelta(seconds=31))
    assert [item.attempts for item in rig.run().failed] == [2]
    age(timedelta(days=1), attempts=MAX_ATTEMPTS)
    settled = rig.run()
    assert (settled.failed, settled.unsettled) == ((), 0)


def test_a_file_that_was_completed_meanwhile_is_loaded(rig: ExportRig) -> None:
    path = rig.export("deliveries", [delivery(1)])
    whole = (rig.folder / path).read_bytes()
    (rig.folder / path).write_bytes(whole[:-9])
    rig.run()
    (rig.folder / path).write_bytes(whole)

    assert rig.run(only_new=False).total.inserted == 1
    assert rig.manifest("status", "attempts", "reason") == [("loaded", 2, None)]


class FailingConnection(PassingConnection):
    """Fails in the middle of a transaction: when the manifest is written."""

    def passes(self, statement: sa.Executable) -> None:
        if isinstance(statement, Merge) and statement.table is landed_files:
            raise WarehouseError("The disk is gone.", "Find it.")


def test_a_crash_between_load_and_manifest_changes_nothing(rig: ExportRig) -> None:
    rig.export("deliveries", [delivery(1)])
    rig.run()
    rig.export("deliveries", [delivery(1, 2), delivery(2), delivery(3, delivery_id=None)])
    rig.export("events", [{"event_id": 1}], version=5)
    before = rig.table("deliveries"), rig.other(), rig.manifest("path")

    failing = ExportLoad(PassingWarehouse(rig.warehouse, FailingConnection), rig.zone)
    for dataset in ("deliveries", "other"):
        with pytest.raises(WarehouseError, match="disk is gone"):
            failing.run([dataset], "crash", only_new=True)
    assert (rig.table("deliveries"), rig.other(), rig.manifest("path")) == before

    rig.run()
    assert rig.table("deliveries", "delivery_id", "seq_num") == [("d1", 2), ("d2", 1)]
    assert [dataset for dataset, *_ in rig.other()] == ["deliveries", "events"]
