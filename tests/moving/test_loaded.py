"""What was loaded of Customer.io moves, and is not loaded again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from cio_pipelines.exports.load import ExportLoad
from cio_pipelines.exports.tables import TABLES
from cio_pipelines.landing.manifest import landed_files
from cio_pipelines.moving.move import MoveReport, move
from cio_pipelines.moving.tables import EVENTS, EXPORTS, HISTORY, HISTORY_TABLE
from cio_pipelines.sync.errors import MoveRefused
from cio_pipelines.sync.key import SyncKey
from cio_pipelines.warehouse import Warehouse, open_warehouse
from cio_pipelines.webhooks.tables import webhook_events, webhook_quarantine
from tests.exports.rig import ROWS, ExportRig
from tests.webhooks.rig_load import LoadRig, event

Rows = list[tuple[object, ...]]


def rows_of(warehouse: Warehouse, *tables: sa.Table) -> dict[str, Rows]:
    found: dict[str, Rows] = {}
    with warehouse.connect() as connection:
        for table in tables:
            found[table.name] = sorted((tuple(row) for row in connection.rows(sa.select(table))), key=repr)
    return found


def moved(source: Warehouse, target: Warehouse, parts: Sequence[str], *, replace: bool = False) -> MoveReport:
    return move(source, target, SyncKey("tests", "people"), max_attempts=3, parts=parts, replace=replace)


@pytest.fixture
def target(postgres_url: str) -> Warehouse:
    return open_warehouse(postgres_url)


def test_events_move_with_all_that_is_known_of_their_objects(tmp_path: Path, target: Warehouse) -> None:
    old = LoadRig(tmp_path)
    old.land(event(number, data={"recipient": "Zoë \x7f 王"}) for number in range(50))
    old.land_raw(b"no event\n")
    gone = old.land([event(50)])
    old.run()
    tables = (webhook_events, webhook_quarantine, landed_files)
    before = rows_of(old.warehouse, *tables)
    assert [len(rows) for rows in before.values()] == [51, 1, 3]
    (old.folder / gone).unlink()  # it has expired

    report = moved(old.warehouse, target, [EVENTS])

    assert report.rows == {
        "customerio.webhook_events": 51,
        "customerio.webhook_quarantine": 1,
        "customerio.landed_files": 3,
    }
    assert rows_of(target, *tables) == before
    new = LoadRig(tmp_path, zone=old.zone, warehouse=target)
    assert new.run().total.files == 0
    new.land([event(0), event(51)])
    assert (new.run().total.inserted, new.audit.events()) == (1, 52)


def test_a_target_that_has_loaded_events_itself_keeps_them(tmp_path: Path, target: Warehouse) -> None:
    old = LoadRig(tmp_path)
    old.land([event(1)])
    old.run()
    new = LoadRig(tmp_path, zone=old.zone, warehouse=target)
    new.land([event(2)])
    new.run()
    before = rows_of(target, webhook_events, landed_files)

    with pytest.raises(MoveRefused, match="already has events that were reported"):
        moved(old.warehouse, target, [EVENTS])

    assert rows_of(target, webhook_events, landed_files) == before
    moved(old.warehouse, target, [EVENTS], replace=True)
    assert rows_of(target, webhook_events, landed_files) == rows_of(
        old.warehouse, webhook_events, landed_files
    )


def test_exports_move_apart_from_events(tmp_path: Path, target: Warehouse) -> None:
    events = LoadRig(tmp_path)
    events.land([event(1)])
    events.run()
    exports = ExportRig(tmp_path)
    for name, row in ROWS.items():
        exports.export(name, [{"workspace_id": 7, **row}])
    exports.run()
    before = rows_of(exports.warehouse, *TABLES.values())
    assert sum(map(len, before.values())) == len(ROWS)

    report = moved(exports.warehouse, target, [EXPORTS])

    assert rows_of(target, *TABLES.values()) == before
    assert report.rows["customerio.landed_files"] == len(ROWS)
    assert ExportLoad(target, exports.zone).run(None, "again", only_new=True).total.files == 0
    assert "customerio.webhook_events" not in report.rows
    moved(exports.warehouse, target, [EVENTS])
    assert len(rows_of(target, landed_files)["landed_files"]) == len(ROWS) + 1


NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def make_history(warehouse: Warehouse, closed: Sequence[str], present: Sequence[str]) -> None:
    """A consent history in the form that dbt gives it: versions that ended, and those of today."""
    day = NOON + timedelta(days=1)
    versions = [(name, "NULL") for name in present] + [(name, f"'{day:%Y-%m-%d}'") for name in closed]
    rows = " UNION ALL ".join(
        f"SELECT CAST('{name}' AS VARCHAR) AS user_id, TRUE AS marketing_opt_in, "
        f"CAST('{NOON:%Y-%m-%d}' AS TIMESTAMP) AS dbt_valid_from, CAST({until} AS TIMESTAMP) AS dbt_valid_to"
        for name, until in versions
    )
    with warehouse.connect() as connection:
        connection.execute(sa.schema.CreateSchema("snapshots", if_not_exists=True))
        connection.execute(sa.text(f"CREATE TABLE {HISTORY_TABLE} AS {rows}"))


def history(warehouse: Warehouse) -> Rows:
    names = ("user_id", "marketing_opt_in", "dbt_valid_from", "dbt_valid_to")
    table = sa.table("app_consent_history", *map(sa.column, names), schema="snapshots")
    with warehouse.connect() as connection:
        return sorted((tuple(row) for row in connection.rows(sa.select(table))), key=repr)


@pytest.mark.parametrize("is_built", [False, True])
def test_a_consent_history_replaces_what_a_first_build_has_made(
    tmp_path: Path, target: Warehouse, is_built: bool
) -> None:
    old = open_warehouse(f"duckdb:///{tmp_path / 'old.duckdb'}")
    make_history(old, ["1"], ["1", "2"])
    if is_built:
        make_history(target, [], ["2"])

    assert moved(old, target, [HISTORY]).rows == {HISTORY_TABLE: 3}

    assert history(target) == history(old)


def test_a_consent_history_of_its_own_is_kept(tmp_path: Path, target: Warehouse) -> None:
    old = open_warehouse(f"duckdb:///{tmp_path / 'old.duckdb'}")
    make_history(old, ["1"], ["1"])
    make_history(target, ["2"], ["2", "3"])

    with pytest.raises(MoveRefused, match="already has a history of consent"):
        moved(old, target, [HISTORY])

    assert len(history(target)) == 3
    moved(old, target, [HISTORY], replace=True)
    assert history(target) == history(old)


def test_a_consent_history_of_other_columns_is_refused(tmp_path: Path, target: Warehouse) -> None:
    old = open_warehouse(f"duckdb:///{tmp_path / 'old.duckdb'}")
    make_history(old, ["1"], ["1"])
    make_history(target, [], ["3"])
    with target.connect() as connection:
        connection.execute(sa.text(f"ALTER TABLE {HISTORY_TABLE} DROP COLUMN marketing_opt_in"))

    with pytest.raises(MoveRefused, match="differ in columns: marketing_opt_in"):
        moved(old, target, [HISTORY])
