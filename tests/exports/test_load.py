"""Files of storage exports become rows: the newest of each key, every file and row accounted for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cio_pipelines.exports.load import ExportLoad
from cio_pipelines.exports.tables import DATASETS, TABLES
from cio_pipelines.landing.manifest import MAX_ATTEMPTS, landed_files
from cio_pipelines.warehouse import WarehouseError
from tests.sync.passing import PassingConnection, PassingWarehouse

from .rig import NOON, ROWS, WORKSPACE, ExportRig, delivery


@pytest.fixture
def rig(tmp_path: Path) -> ExportRig:
    return ExportRig(tmp_path)


def test_a_file_becomes_typed_rows(rig: ExportRig) -> None:
    path = rig.export("deliveries", [delivery(1), delivery(2, campaign_id=None)])

    report = rig.run()

    counts = report.datasets["deliveries"]
    assert (counts.files, counts.rows, counts.inserted, counts.repeated) == (1, 2, 2, 0)
    names = ("workspace_id", "delivery_id", "campaign_id", "created_at", "seq_num", "other_columns", "file")
    assert rig.table("deliveries", *names) == [
        (WORKSPACE, "d1", 23, NOON, 1, None, path),
        (WORKSPACE, "d2", None, NOON, 1, None, path),
    ]


def test_every_dataset_is_loaded(rig: ExportRig) -> None:
    assert ROWS.keys() == DATASETS.keys()
    for number, (table, row) in enumerate(ROWS.items()):
        rig.export(table, [row], version=4 + number % 2)

    report = rig.run()

    assert report.failed == ()
    for table, row in ROWS.items():
        expected = {
            n: json.dumps(v, separators=(",", ":")) if isinstance(v, (dict, list)) else v
            for n, v in row.items()
        }
        assert rig.table(table, *row) == [tuple(expected.values())]
        assert rig.table(table, "workspace_id", "other_columns") == [(WORKSPACE, None)]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (pa.array(["2026-11-23 12:00:00"]), NOON),
        (pa.array(["2026-11-23T12:00:00Z"]), NOON),
        (pa.array(["2026-11-23 12:00:00 UTC"]), NOON),
        (pa.array(["2026-11-23 14:00:00.123456789+02:00"]), NOON.replace(microsecond=123456)),
        (pa.array([""]), None),
        (pa.array(["1970-01-01 00:00:00"]), None),
        (pa.array([NOON], pa.timestamp("ms", "Europe/Berlin")), NOON),
        (pa.array([NOON.replace(tzinfo=None)], pa.timestamp("ns")), NOON),
        (pa.array([date(2026, 11, 23)]), datetime(2026, 11, 23, tzinfo=UTC)),
        (pa.array([0], pa.timestamp("us", "UTC")), None),
        (pa.array([0], pa.timestamp("s")), None),
        (pa.nulls(1), None),
    ],
)
def test_moments_are_read_however_they_are_written(rig: ExportRig, column: pa.Array, value: object) -> None:
    rig.export_table("deliveries", pa.table({"delivery_id": ["d1"], "created_at": column}))

    assert rig.run().failed == ()

    assert rig.table("deliveries", "created_at") == [(value,)]


@pytest.mark.parametrize(
    ("name", "column", "value"),
    [
        ("campaign_id", pa.array([23], pa.int32()), 23),
        ("campaign_id", pa.array([23.0]), 23),
        ("campaign_id", pa.array(["23"]), 23),
        ("campaign_id", pa.array([" "]), None),
        ("campaign_id", pa.array([Decimal("23")]), 23),
        ("delivery_type", pa.array(["email"]).dictionary_encode(), "email"),
        ("delivery_type", pa.array([b"email"]), "email"),
        ("delivery_type", pa.array(["email"], pa.large_string()), "email"),
        ("event_id", pa.array([7]), "7"),
        ("event_id", pa.array([""]), ""),
    ],
)
def test_columns_are_read_whatever_their_type(
    rig: ExportRig, name: str, column: pa.Array, value: object
) -> None:
    rig.export_table("deliveries", pa.table({"delivery_id": ["d1"], name: column}))

    assert rig.run().failed == ()

    assert rig.table("deliveries", name) == [(value,)]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"delivery_id": ["d1"], "campaign_id": ["twenty"]}, "Column campaign_id"),
        ({"delivery_id": ["d1"], "campaign_id": [1.5]}, "Column campaign_id"),
        ({"delivery_id": ["d1"], "campaign_id": [True]}, "Column campaign_id"),
        ({"delivery_id": ["d1"], "created_at": [1_764_000_000]}, "has the type int64"),
        (
            {"delivery_id": ["d1"], "created_at": ["soon"]},
            "values in it that are not moments",
        ),
        ({"campaign_id": [1]}, "has no column delivery_id"),
    ],
)
def test_a_file_whose_columns_do_not_fit_fails_with_the_column_and_no_value(
    rig: ExportRig, columns: dict[str, Any], reason: str
) -> None:
    rig.export_table("deliveries", pa.table(columns))

    (failed,) = rig.run().failed

    assert reason in failed.reason
    assert "twenty" not in failed.reason
    assert rig.table("deliveries") == []


def test_columns_that_the_table_has_not_are_kept(rig: ExportRig) -> None:
    rows = [
        delivery(1, mood="good", score=Decimal("1.50"), tags=["a"]),
        delivery(2, seen_at=NOON),
        delivery(3),
    ]
    rig.export("deliveries", rows)

    rig.run()

    kept = [
        None if text is None else json.loads(text) for (text,) in rig.table("deliveries", "other_columns")
    ]
    assert kept == [
        {"mood": "good", "score": "1.50", "tags": ["a"]},
        {"seen_at": "2026-11-23T12:00:00Z"},
        None,
    ]


def test_tables_that_are_not_known_are_kept_whole(rig: ExportRig) -> None:
    rig.export("campaign_actions", [{"action_id": 1, "name": "A", "at": None}, {"action_id": 2}], version=5)
    rig.export("deliveries_archive", [delivery(1)], version=6)

    report = rig.run()

    counts = report.datasets["other"]
    assert (counts.files, counts.rows, counts.inserted, counts.quarantined) == (2, 3, 3, 0)
    first, second, whole = rig.other()
    assert (first, second) == (
        ("campaign_actions", 1, '{"action_id":1,"name":"A"}'),
        ("campaign_actions", 2, '{"action_id":2}'),
    )
    assert whole[:2] == ("deliveries_archive", 1)
    assert rig.manifest("dataset") == [("campaign_actions",), ("deliveries_archive",)]
    again = rig.run(only_new=False).datasets["other"]
    assert (again.rows, again.inserted, again.repeated) == (3, 0, 3)
    assert rig.other() == [first, second, whole]


def test_rows_without_a_key_are_kept_whole_and_counted(rig: ExportRig) -> None:
    path = rig.export("deliveries", [delivery(1), delivery(2, delivery_id=None), delivery(3)])

    counts = rig.run().datasets["deliveries"]
    rig.run(only_new=False)

    assert (counts.rows, counts.inserted, counts.quarantined) == (3, 2, 1)
    ((dataset, row, record),) = rig.other()
    assert (dataset, row, json.loads(record)["internal_customer_id"]) == ("deliveries", 2, "c2")
    assert rig.manifest("path", "rows", "inserted", "repeated", "quarantined") == [(path, 3, 0, 2, 1)]


def test_the_greatest_seq_num_wins_wherever_it_is(rig: ExportRig) -> None:
    rig.export("deliveries", [delivery(1, 5, campaign_id=5), delivery(1, 9, campaign_id=9), delivery(2, 1)])
    rig.run()
    rig.export("deliveries", [delivery(1, 7, campaign_id=7), delivery(2, 3), delivery(3, 1)], version=5)

    counts = rig.run().datasets["deliveries"]

    assert rig.table("deliveries", "delivery_id", "seq_num") == [("d1", 9), ("d2", 3), ("d3", 1)]
    assert (counts.inserted, counts.repeated) == (2, 1)


@pytest.mark.parametrize(
    ("table", "key", "newest"),
    [
        ("people", {"internal_customer_id": "c1"}, "updated_at"),
        ("attributes", {"internal_customer_id": "c1", "attribute_name": "plan"}, "timestamp"),
        ("campaigns", {"campaign_id": 1}, "updated_at"),
    ],
)
def test_the_latest_moment_wins_and_an_unknown_one_loses(
    rig: ExportRig, table: str, key: dict[str, Any], newest: str
) -> None:
    moments = [NOON, NOON + timedelta(hours=1), NOON - timedelta(hours=1), datetime(1970, 1, 1, tzinfo=UTC)]
    for moment in moments:
        rig.export(table, [{**key, newest: moment}])
        rig.run()

    assert rig.table(table, newest) == [(NOON + timedelta(hours=1),)]


def test_of_equally_new_rows_the_one_of_the_later_export_wins(rig: ExportRig) -> None:
    row = {"internal_customer_id": "c1", "attribute_name": "plan", "timestamp": NOON}
    old = rig.export("attributes", [{**row, "attribute_value": "free"}])
    late = rig.export("attributes", [{**row, "attribute_value": "a"}, {**row, "attribute_value": "pro"}])
    (rig.folder / old).rename(rig.folder / "aside")
    rig.run()
    (rig.folder / "aside").rename(rig.folder / old)
    rig.run()

    assert rig.table("attributes", "attribute_value", "file") == [("pro", late)]


def test_workspaces_are_kept_apart(rig: ExportRig) -> None:
    rig.export("deliveries", [delivery(1), delivery(1, 2, workspace_id=7)])

    rig.run()

    assert rig.table("deliveries", "workspace_id", "seq_num") == [(7, 2), (WORKSPACE, 1)]


def test_deleted_people_are_kept_with_their_flags(rig: ExportRig) -> None:
    person = {"internal_customer_id": "c1", "customer_id": "u1", "deleted": False, "suppressed": False}
    rig.export("people", [{**person, "updated_at": NOON}])
    gone = {**person, "deleted": True, "suppressed": True, "updated_at": NOON + timedelta(hours=1)}
    rig.export("people", [gone])

    rig.run()

    assert rig.table("people", "customer_id", "deleted", "suppressed") == [("u1", True, True)]


def test_loading_again_changes_nothing(rig: ExportRig) -> None:
    rig.export("deliveries", [delivery(n) for n in range(20)])
    rig.run()
    before = rig.table("deliveries")

    assert rig.run().total.files == 0
    again = rig.run(only_new=False).total

    assert (again.files, again.inserted, again.repeated) == (1, 0, 20)
    assert rig.table("deliveries") == before


def test_a_table_that_was_emptied_is_filled_from_the_files(rig: ExportRig) -> None:
    rig.export("deliveries", [delivery(n) for n in range(5)])
    rig.run()
    before = rig.table("deliveries")
    with rig.warehouse.connect() as connection:
        connection.execute(TABLES["deliveries"].delete())

    assert rig.run(only_new=False).total.inserted == 5
    assert rig.table("deliveries") == before


def test_only_the_datasets_asked_for_are_loaded(rig: ExportRig) -> None:
    rig.export("deliveries", [delivery(1)])
    rig.export("people", [{"internal_customer_id": "c1"}])

    report = rig.run("people")

    assert report.datasets.keys() == {"people"}
    assert rig.audit.rows("people") == 1
    assert rig.audit.rows("deliveries") == 0
    with pytest.raises(ValueError, match="no dataset 'persons'"):
        rig.run("persons")


def test_the_manifest_accounts_for_every_file(rig: ExportRig) -> None:
    path = rig.export("deliveries", [delivery(1)])
    data = (rig.folder / path).read_bytes()

    rig.run()

    names = (
        "path",
        "source",
        "dataset",
        "received_date",
        "status",
        "bytes",
        "checksum",
        "attempts",
        "run_id",
    )
    checksum = hashlib.sha256(data).hexdigest()
    assert rig.manifest(*names) == [
        (path, "exports", "deliveries", None, "loaded", len(data), checksum, 1, "run-1")
    ]


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
    assert set(rig.audit.unloaded("deliveries").failed) == {cut, empty, torn, name}


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


def test_files_that_are_no_exports_are_told(rig: ExportRig) -> None:
    rig.export("deliveries", [delivery(1)])
    (rig.folder / "notes.txt").write_text("x")
    (rig.folder / "deliveries.parquet").write_text("x")
    (rig.folder / ".partial-people_v4_1_1.parquet").write_text("x")
    (rig.folder / "folder").mkdir()

    found = rig.audit.unloaded("other")

    assert found.foreign == ("deliveries.parquet", "notes.txt")
    assert rig.audit.unloaded("deliveries").foreign == ()
    assert rig.audit.unloaded("deliveries").unread == tuple(f.name for f in rig.folder.glob("deliveries_*"))


class FailingConnection(PassingConnection):
    """Fails in the middle of a transaction: when the manifest is written."""

    def appends(self, table: sa.Table) -> None:
        if table is landed_files:
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


class CountingConnection(PassingConnection):
    """Notes how large the tables are that are appended to staging tables."""

    sizes: list[tuple[int, int]]

    def append(self, table: sa.Table, rows: pa.Table) -> None:
        if table.name.startswith("staged_"):
            self.sizes.append((rows.num_rows, rows.nbytes))
        super().append(table, rows)


@pytest.fixture
def sizes() -> Iterator[list[tuple[int, int]]]:
    CountingConnection.sizes = []
    yield CountingConnection.sizes
    del CountingConnection.sizes


def test_what_is_held_at_a_time_does_not_grow_with_a_file(
    rig: ExportRig, sizes: list[tuple[int, int]]
) -> None:
    rows = 230_000
    columns = {"delivery_id": [f"d{n}" for n in range(rows)], "seq_num": range(rows)}
    rig.export_table("deliveries", pa.table(columns), row_group_size=rows)
    bodies = pa.array(["x" * 40_000] * 1_200).dictionary_encode()
    contents = {"delivery_id": [f"d{n}" for n in range(1_200)], "body": bodies}
    rig.export_table("delivery_contents", pa.table(contents), row_group_size=1_200)
    load = ExportLoad(PassingWarehouse(rig.warehouse, CountingConnection), rig.zone)

    report = load.run(None, "run", only_new=True)

    assert report.total.inserted == 231_200
    assert sum(count for count, _ in sizes) == 231_200
    assert max(count for count, _ in sizes) <= 50_000
    assert max(size for _, size in sizes) < 25_000_000


ATTRIBUTE = st.fixed_dictionaries(
    {
        "internal_customer_id": st.sampled_from(["c1", "c2"]),
        "attribute_name": st.sampled_from(["plan", "name"]),
        "attribute_value": st.sampled_from(["a", "b", None]),
        "timestamp": st.sampled_from([None, NOON, NOON + timedelta(seconds=1)]),
    }
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_order_and_grouping_of_files_gives_the_same_table(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("order")
    one, other = (
        ExportRig(folder / "a"),
        ExportRig(folder / "b", portion_bytes=data.draw(st.sampled_from([1, 1_000]))),
    )
    files = data.draw(st.lists(st.lists(ATTRIBUTE, min_size=1, max_size=4), min_size=1, max_size=5))
    names = [one.export("attributes", rows, version=data.draw(st.sampled_from([4, 5]))) for rows in files]
    one.run()

    for name in data.draw(st.permutations(names)):
        (other.folder / name).write_bytes((one.folder / name).read_bytes())
        if data.draw(st.booleans()):
            other.run("attributes", only_new=data.draw(st.booleans()))
    other.run("attributes")

    assert other.table("attributes") == one.table("attributes")
    assert {path for (path,) in other.manifest("path")} == set(names)
