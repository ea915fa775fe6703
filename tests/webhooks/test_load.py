"""Landed objects become rows: each event once, each line accounted for."""

from __future__ import annotations

import gzip
import hashlib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cio_pipelines.landing import LoadInProgress, ObjectBroken
from cio_pipelines.landing.lease import loading
from cio_pipelines.landing.manifest import EXPORTS, MAX_ATTEMPTS, WEBHOOKS, landed_files, load_leases
from cio_pipelines.warehouse import WarehouseError, open_warehouse
from cio_pipelines.warehouse.merge import Merge
from cio_pipelines.webhooks.layout import Received, lines
from cio_pipelines.webhooks.lines import read_lines
from cio_pipelines.webhooks.load import EventLoad
from cio_pipelines.webhooks.parsing import new_events
from cio_pipelines.webhooks.tables import webhook_events
from tests.sync.passing import PassingConnection, PassingWarehouse

from .rig_load import MONDAY, NOON, LoadRig, event


@pytest.fixture
def rig(tmp_path: Path) -> LoadRig:
    return LoadRig(tmp_path)


def test_an_event_becomes_a_row_of_typed_columns(rig: LoadRig) -> None:
    body = event(1)
    path = rig.land([body])

    report = rig.run()

    assert (report.total.files, report.total.rows, report.total.inserted) == (1, 1, 1)
    ((*columns,),) = rig.events(
        "object_type", "metric", "event_at", "event_date", "received_at", "person_id", "cio_id", "delivery_id"
    )
    assert columns == [
        "email",
        "sent",
        datetime.fromtimestamp(1_764_000_001, UTC),
        date(2025, 11, 24),
        NOON,
        "u1",
        "c1",
        "d1",
    ]
    assert rig.events("campaign_id", "action_id", "newsletter_id", "file", "event") == [
        (23, 42, None, path, body.decode())
    ]


@pytest.mark.parametrize(
    ("data", "column", "value"),
    [
        ({"customer_id": "u7"}, "person_id", "u7"),
        ({"customer_id": "", "identifiers": {"id": None}}, "person_id", None),
        ({"customer_id": "old", "identifiers": {"id": "new"}}, "person_id", "new"),
        ({"journey_id": 12}, "journey_id", "12"),
        ({"journey_id": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}, "journey_id", "01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        ({"transactional_message_id": 3}, "transactional_message_id", "3"),
        ({"transactional_message_id": "receipt"}, "transactional_message_id", "receipt"),
        ({"newsletter_id": 9_007_199_254_740_993}, "newsletter_id", 9_007_199_254_740_993),
        ({"campaign_id": "23"}, "campaign_id", 23),
        ({"campaign_id": "x"}, "campaign_id", None),
        ({"campaign_id": 23.5}, "campaign_id", None),
        ({"campaign_id": None}, "campaign_id", None),
        ({}, "person_id", None),
    ],
)
def test_members_are_read_leniently(rig: LoadRig, data: dict[str, Any], column: str, value: object) -> None:
    rig.land([event(1, data=data)])
    rig.run()

    assert rig.events(column) == [(value,)]


def test_an_event_without_data_is_kept(rig: LoadRig) -> None:
    rig.land([event(1, data=None, object_type="nova", metric="exploded")])
    rig.run()

    assert rig.events("object_type", "metric", "person_id") == [("nova", "exploded", None)]


def test_loading_again_changes_nothing(rig: LoadRig) -> None:
    rig.land([event(n) for n in range(20)])
    rig.run()
    before = rig.events(), rig.manifest("path", "rows", "inserted", "repeated")

    again = rig.run()
    read_again = rig.run(only_new=False)

    assert (again.total.files, read_again.total.files) == (0, 1)
    assert (read_again.total.inserted, read_again.total.repeated) == (0, 20)
    assert (rig.events(), rig.manifest("path", "rows", "inserted", "repeated")) == before


def test_an_event_that_comes_more_often_is_there_once(rig: LoadRig) -> None:
    first = rig.land([event(1), event(2), event(1)])
    rig.run()
    second = rig.land([event(2), event(3)], day=MONDAY + timedelta(days=1), at=NOON + timedelta(days=1))

    report = rig.run(MONDAY + timedelta(days=1))

    assert (report.total.inserted, report.total.repeated) == (1, 1)
    assert rig.events("file") == [(first,), (first,), (second,)]
    assert rig.manifest("rows", "inserted", "repeated") == [(3, 2, 1), (2, 1, 1)]
    assert rig.audit.duplicates() == 0


def test_of_one_event_in_two_objects_of_one_load_the_first_receipt_is_kept(rig: LoadRig) -> None:
    rig.land([event(1)], at=NOON + timedelta(hours=1))
    earlier = rig.land([event(1)], at=NOON)

    rig.run()

    assert rig.events("received_at", "file") == [(NOON, earlier)]


def test_lines_that_are_no_event_go_to_quarantine_with_their_reason(rig: LoadRig) -> None:
    good = rig.land([event(1)])
    bad = b"\n".join(
        [
            b"{",
            b"",
            b'{"received_at":"2026-11-23T12:00:00Z"}',
            b'{"body":"{}"}',
            b'{"received_at":"2026-11-23T12:00:00Z","body":"{"}',
            b'{"received_at":"2026-11-23T12:00:00Z","body":"[1]"}',
            b'{"received_at":"2026-11-23T12:00:00Z","body":"{\\"a\\":1}"}',
            b"\xff",
        ]
    )
    path = rig.land_raw(bad)
    odd = rig.land(
        [
            event(2, metric=None),
            event(3, timestamp="soon"),
            event(4, timestamp=1_764_000_000_000),
            event(5, timestamp=1.5),
        ]
    )

    report = rig.run()

    assert [row[:3] for row in rig.quarantine()] == [
        (path, 1, "the line is not JSON"),
        (path, 3, "the line has no body"),
        (path, 4, "the line has no received_at"),
        (path, 5, "the body is not a JSON object"),
        (path, 6, "the body is not a JSON object"),
        (path, 7, "the event has no event_id"),
        (path, 8, "the line is not UTF-8"),
        (odd, 1, "the event has no metric"),
        (odd, 2, "the event has no timestamp in whole seconds"),
        (odd, 3, "the event's timestamp is not in seconds since 1970"),
        (odd, 4, "the event has no timestamp in whole seconds"),
    ]
    assert rig.quarantine()[0][3] == "{\n"
    assert sum(report.quarantined.values()) == report.total.quarantined == 11
    assert rig.events("file") == [(good,)]
    # read again, they are not there twice
    rig.run(only_new=False)
    assert len(rig.quarantine()) == 11


def test_the_manifest_accounts_for_every_object(rig: LoadRig) -> None:
    path = rig.land([event(1)], object_type="push")
    data = rig.zone.read(path)

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
    assert rig.manifest(*names) == [
        (path, "webhooks", "push", MONDAY, "loaded", len(data), hashlib.sha256(data).hexdigest(), 1, "run-1")
    ]


def test_an_object_that_ends_too_early_fails_alone_and_is_tried_again(rig: LoadRig) -> None:
    good = rig.land([event(1)])
    whole = gzip.compress(b"".join(b"x" * 200 + b"\n" for _ in range(1_000)))
    broken = rig.land_object(whole[:-10])

    report = rig.run()

    assert [(item.path, item.attempts) for item in report.failed] == [(broken, 1)]
    assert "not whole gzip" in report.failed[0].reason
    assert report.unsettled == 1
    assert rig.events("file") == [(good,)]
    assert rig.quarantine() == []
    # its next try is not due; a backfill tries at once
    assert rig.run().failed == ()
    assert rig.run().unsettled == 1
    assert rig.run(only_new=False).failed[0].attempts == 2
    assert dict(rig.audit.unloaded().failed) == {broken: report.failed[0].reason}


def test_a_failed_object_is_tried_when_it_is_due_and_left_alone_in_the_end(rig: LoadRig) -> None:
    rig.land_object(b"no gzip")
    rig.run()

    def age(by: timedelta, **values: Any) -> None:
        with rig.warehouse.connect() as connection:
            moved = landed_files.update().values(loaded_at=datetime.now(UTC) - by, **values)
            connection.execute(moved)

    age(timedelta(seconds=31))
    assert [item.attempts for item in rig.run().failed] == [2]
    age(timedelta(seconds=31))
    assert rig.run().failed == ()
    age(timedelta(seconds=61))
    assert [item.attempts for item in rig.run().failed] == [3]
    age(timedelta(days=1), attempts=MAX_ATTEMPTS)
    settled = rig.run()
    assert (settled.failed, settled.unsettled) == ((), 0)


def test_what_is_known_of_an_object_stays_when_it_cannot_be_read_again(rig: LoadRig) -> None:
    path = rig.land_raw(lines("elsewhere", [Received(NOON, event(1))]) + b"{\n")
    rig.run()
    before = rig.events(), rig.quarantine()
    (rig.folder / path).write_bytes(b"no gzip")

    report = rig.run(only_new=False)

    assert [item.path for item in report.failed] == [path]
    assert len(rig.quarantine()) == 1
    assert (rig.events(), rig.quarantine()) == before


def test_days_are_loaded_apart(rig: LoadRig) -> None:
    days = [MONDAY + timedelta(days=n) for n in range(3)]
    for number, day in enumerate(days):
        rig.land([event(number)], day=day)

    report = rig.run(days[0], days[2])

    assert {day: counts.inserted for day, counts in report.days.items()} == {days[0]: 1, days[2]: 1}
    assert len(rig.events("event_id")) == 2
    assert len(rig.audit.unloaded().unread) == 1
    assert rig.audit.unloaded([days[0]]).unread == ()


def test_a_table_that_was_emptied_is_filled_from_the_landing_zone(rig: LoadRig) -> None:
    rig.land([event(n) for n in range(5)])
    rig.run()
    before = rig.events(), rig.manifest("inserted", "repeated")
    with rig.warehouse.connect() as connection:
        connection.execute(webhook_events.delete())

    assert rig.run().total.files == 0
    assert rig.run(only_new=False).total.inserted == 5

    assert (rig.events(), rig.manifest("inserted", "repeated")) == before


def test_a_file_that_is_no_object_of_events_is_told(rig: LoadRig) -> None:
    path = rig.land([event(1)])
    stray = (rig.folder / path).with_name("notes.txt")
    stray.write_text("x")
    rig.run()

    found = rig.audit.unloaded()

    assert (found.files, found.unread) == (1, ())
    assert [name.rpartition("/")[2] for name in found.foreign] == ["notes.txt"]


class FailingConnection(PassingConnection):
    """Fails in the middle of a transaction: when the manifest is written."""

    def passes(self, statement: sa.Executable) -> None:
        if isinstance(statement, Merge) and statement.table is landed_files:
            raise WarehouseError("The disk is gone.", "Find it.")


def test_a_crash_between_load_and_manifest_changes_nothing(rig: LoadRig) -> None:
    rig.land([event(1)])
    rig.run()
    path = rig.land([event(2)])
    rig.land_raw(b"{\n")
    before = rig.events(), rig.quarantine(), rig.manifest("path")

    failing = EventLoad(PassingWarehouse(rig.warehouse, FailingConnection), rig.zone)
    with pytest.raises(WarehouseError, match="disk is gone"):
        failing.run([MONDAY], "crash", only_new=True)
    assert (rig.events(), rig.quarantine(), rig.manifest("path")) == before

    rig.run()
    assert path in {file for (file,) in rig.events("file")}
    assert len(rig.quarantine()) == 1


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_backfill_of_all_days_gives_the_same_table_as_loading_as_they_came(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Events in any grouping, with repetitions and bad lines, one run an object or one run for all."""
    folder = tmp_path_factory.mktemp("backfill")
    came, backfilled = LoadRig(folder, portion_bytes=1), LoadRig(folder)
    backfilled.database = folder / "other.duckdb"
    backfilled.warehouse = open_warehouse(f"duckdb:///{backfilled.database}")
    portion = data.draw(st.sampled_from([1, 700, 10_000_000]))
    backfilled.load = EventLoad(backfilled.warehouse, backfilled.zone, portion_bytes=portion)
    days = [MONDAY + timedelta(days=n) for n in range(3)]
    numbers = data.draw(
        st.lists(st.lists(st.integers(0, 12), min_size=1, max_size=4), min_size=1, max_size=8)
    )
    for position, group in enumerate(numbers):
        day = days[position * 3 // len(numbers)]
        moment = datetime(day.year, day.month, day.day, position, tzinfo=UTC)
        bodies = [event(n, metric=None if n == 12 else "sent") for n in group]
        came.land(bodies, day=day, at=moment)
        came.run(day)

    backfilled.run(*days, only_new=data.draw(st.booleans()))

    assert backfilled.events() == came.events()
    assert backfilled.quarantine() == came.quarantine()
    columns = ("path", "rows", "inserted", "repeated", "quarantined")
    assert backfilled.manifest(*columns) == came.manifest(*columns)


@given(
    text=st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")), max_size=12),
    ends=st.booleans(),
    size=st.integers(1, 40),
)
def test_lines_are_the_same_whatever_is_decompressed_at_a_time(
    text: list[bytes], ends: bool, size: int
) -> None:
    whole = b"\n".join(text) + (b"\n" if ends and text else b"")
    # gzip files may be glued together
    data = gzip.compress(whole[:5]) + gzip.compress(whole[5:])

    tables = list(read_lines("o", data, size))
    rows = [row for table in tables for row in table.to_pylist()]

    expected = [(n, line) for n, line in enumerate(whole.split(b"\n"), 1) if line]
    assert [(row["line"], row["text"].removesuffix("\n")) for row in rows] == [
        (n, line.decode(errors="replace")) for n, line in expected
    ]
    assert [row["fault"] is None for row in rows] == [_is_utf8(line) for _, line in expected]


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.parametrize(
    "data",
    [b"", b"plain text", gzip.compress(b"a\nb\n")[:-4]],
    ids=["nothing", "plain text", "cut off"],  # the last holds the time, and workers must agree on names
)
def test_what_is_not_whole_gzip_is_broken(data: bytes) -> None:
    if not data:
        assert list(read_lines("o", data)) == []
        return
    with pytest.raises(ObjectBroken, match="o is not whole gzip"):
        list(read_lines("o", data))


def test_of_two_loads_at_once_one_is_told_to_wait(rig: LoadRig) -> None:
    rig.land([event(1)])
    rig.run()
    with (
        rig.warehouse.session(),
        rig.warehouse.connect() as connection,
        loading(connection, WEBHOOKS, "other"),
    ):
        with pytest.raises(
            LoadInProgress, match=r"Run other \(process \d+ on .*\) is loading webhooks\. Wait"
        ):
            rig.run()
        # exports have a lease of their own
        with loading(connection, EXPORTS, "another"):
            pass
    assert rig.run().failed == ()


def test_a_load_that_lost_its_lease_writes_nothing(rig: LoadRig) -> None:
    rig.land([event(1)])
    rig.run()
    rig.land([event(2)])
    before = rig.events()

    class RobbedConnection(PassingConnection):
        def passes(self, statement: sa.Executable) -> None:
            # another run takes over before the portion is written
            if isinstance(statement, sa.Insert) and statement.table.name == "new_events":
                self._inner.execute(load_leases.update().values(owner="other"))

    robbed = EventLoad(PassingWarehouse(rig.warehouse, RobbedConnection), rig.zone)
    with pytest.raises(LoadInProgress, match="another load began"):
        robbed.run([MONDAY], "robbed", only_new=True)

    assert rig.events() == before


def test_events_that_got_in_meanwhile_are_not_doubled(rig: LoadRig) -> None:
    rig.land([event(1), event(2)])

    class OvertakenConnection(PassingConnection):
        def passes(self, statement: sa.Executable) -> None:
            # as if another load had ended after this one found what is new
            if isinstance(statement, Merge) and statement.table is webhook_events:
                names = [column.name for column in new_events.columns]
                self._inner.execute(
                    webhook_events.insert().from_select(names, sa.select(new_events).limit(1))
                )

    EventLoad(PassingWarehouse(rig.warehouse, OvertakenConnection), rig.zone).run(
        [MONDAY], "a", only_new=True
    )

    assert len(rig.events("event_id")) == 2
    assert rig.audit.duplicates() == 0


def test_an_id_with_another_day_is_told(rig: LoadRig) -> None:
    rig.land([event(1)])
    rig.run()
    rig.land([event(1, timestamp=1_700_000_000)])
    rig.run()

    assert rig.audit.duplicates() == 1


def test_a_manifest_of_an_older_release_is_brought_up_to_date(rig: LoadRig) -> None:
    rig.land([event(1)])
    rig.run()
    with rig.warehouse.connect() as connection:
        for statement in (
            "alter table customerio.landed_files drop column generation",
            "alter table customerio.landed_files drop column newest_receipt",
            "drop table customerio.load_leases",
            "delete from customerio.landing_version where version > 1",
        ):
            connection.execute(sa.text(statement))
    rig.land([event(2)])

    report = rig.run()

    assert (report.total.files, report.total.inserted) == (1, 1)
    assert rig.manifest("generation") == [(None,), (0,)]
    assert rig.audit.newest_receipt(MONDAY) == NOON
