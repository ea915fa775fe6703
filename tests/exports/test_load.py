"""Files of storage exports become rows: the newest of each key, every file and row accounted for."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cio_pipelines.exports.tables import DATASETS, TABLES

from .rig import NOON, ROWS, WORKSPACE, ExportRig, delivery


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
    rig.number = 8  # the next are 9 and 10, which sort as numbers and not as texts
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
    assert rig.audit.rows(["people", "deliveries"]) == {"people": 1, "deliveries": 0}
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


def test_files_that_are_no_exports_are_told(rig: ExportRig) -> None:
    rig.export("deliveries", [delivery(1)])
    (rig.folder / "notes.txt").write_text("x")
    (rig.folder / "deliveries.parquet").write_text("x")
    (rig.folder / ".partial-people_v4_1_1.parquet").write_text("x")
    (rig.folder / "folder").mkdir()

    found = rig.audit.unloaded(["other", "deliveries"])

    assert found["other"].foreign == ("deliveries.parquet", "notes.txt")
    assert found["deliveries"].foreign == ()
    assert found["deliveries"].unread == tuple(f.name for f in rig.folder.glob("deliveries_*"))


ATTRIBUTE = st.fixed_dictionaries(
    {
        "internal_customer_id": st.sampled_from(["c1", "c2"]),
        "attribute_name": st.sampled_from(["plan", "name"]),
        "attribute_value": st.sampled_from(["a", "b", None]),
        "timestamp": st.sampled_from([None, NOON, NOON + timedelta(seconds=1)]),
    }
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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


def test_a_row_whose_key_is_an_empty_text_is_kept_whole(rig: ExportRig) -> None:
    rig.export("deliveries", [delivery(1, delivery_id=""), delivery(2, delivery_id="")])

    counts = rig.run().datasets["deliveries"]

    assert (counts.rows, counts.inserted, counts.quarantined) == (2, 0, 2)
    assert [position for _, position, _ in rig.other()] == [1, 2]


def test_all_datasets_can_be_audited_at_once(rig: ExportRig) -> None:
    rig.export("deliveries", [delivery(1)])
    rig.run()
    new, unknown = rig.export("deliveries", [delivery(2)]), rig.export("events", [{"event_id": 1}])

    found = rig.audit.unloaded()

    assert found.keys() == TABLES.keys()
    assert (found["deliveries"].files, found["deliveries"].unread) == (2, (new,))
    assert found["other"].unread == (unknown,)
    assert found["people"].files == 0
