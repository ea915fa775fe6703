"""The state tables: made when missing, refused when newer, and forgotten when old."""

from __future__ import annotations

import subprocess
import sys

import pytest
import sqlalchemy as sa

from cio_pipelines.sync.errors import UnknownRun
from cio_pipelines.sync.state import MIGRATIONS, metadata, prepare_state
from cio_pipelines.sync.windows import FULL
from cio_pipelines.warehouse import StateVersionError, WarehouseError

from .passing import PassingConnection, PassingWarehouse
from .rig import Rig


def test_the_state_is_made_once_and_making_it_again_changes_nothing(rig: Rig) -> None:
    rig.make_mart(2)
    rig.run()
    before = rig.state("select version, applied_at from state_version")
    with rig.warehouse.connect() as connection:
        prepare_state(connection)
        prepare_state(connection)
    assert rig.state("select version, applied_at from state_version") == before
    assert [version for version, _ in before] == list(range(1, len(MIGRATIONS) + 1))
    assert rig.state("select count(*) from synced_people") == [(2,)]


def test_every_migration_can_be_repeated(rig: Rig) -> None:
    rig.make_mart(2)
    rig.run()
    rig.state("delete from state_version")  # killed after the tables, before the version
    assert rig.run().plan.planned == 0


def test_state_of_a_newer_release_is_refused_and_left_alone(rig: Rig) -> None:
    rig.make_mart(1)
    rig.run()
    rig.state("insert into state_version values (99, now())")
    with pytest.raises(StateVersionError, match="version 99") as caught:
        rig.engine().extract("a", FULL)
    assert "Install" in caught.value.remedy
    assert rig.state("select count(*) from synced_people") == [(1,)]


def test_plans_and_ledgers_expire_and_the_snapshot_never_does(rig: Rig) -> None:
    rig.make_mart(3)
    with rig.faults({"kind": "reject", "ids": ["p1"]}):
        old = rig.run()
        rig.change("p2", "plan = 'pro'")
        recent = rig.run()
    rig.age(31, old.run_id)
    after = rig.run()
    for table in ("sync_runs", "sync_plan", "sync_acks", "sync_log"):
        runs = {run for (run,) in rig.state(f"select distinct run_id from {table}")}
        assert old.run_id not in runs, table
        assert recent.run_id in runs, table
    assert after.plan.planned == 1
    assert rig.state("select count(*) from synced_people") == [(3,)]
    with pytest.raises(UnknownRun):
        rig.engine().summary(old.run_id)


def test_a_killed_run_does_not_expire_before_it_was_finished(rig: Rig) -> None:
    rig.make_mart(3)
    engine = rig.engine(retention_days=1)
    engine.extract("dead", FULL)
    engine.plan("dead")
    rig.state(
        """update sync_runs set status = 'sending'; insert into sync_acks by name
        select workspace, sync, run_id, run_date, person_id, phase from sync_plan
        where person_id = 'p0'; delete from sync_lease"""
    )
    rig.age(9, "dead")
    ran = rig.run(retention_days=1)
    assert ran.plan.planned == 2
    assert "p0" not in rig.profiles()


def test_other_workspaces_keep_what_expires_here(rig: Rig) -> None:
    rig.make_mart(1)
    other = rig.run(workspace="other")
    mine = rig.run()
    rig.age(2_000)
    rig.run()
    assert rig.engine(workspace="other").summary(other.run_id).outcomes.accepted == 1
    with pytest.raises(UnknownRun):
        rig.engine().summary(mine.run_id)


def test_every_table_has_the_key_of_its_owner_and_says_what_it_is_for() -> None:
    for table in metadata.sorted_tables:
        if table.name != "state_version":
            assert {"workspace", "sync"} <= set(table.c.keys()), table.name
            assert table.comment, table.name


class FailingOnce(PassingConnection):
    """The first table that is appended to a run's ledger does not arrive."""

    failed = False

    def appends(self, table: sa.Table) -> None:
        if not FailingOnce.failed:
            FailingOnce.failed = True
            raise WarehouseError("The warehouse hiccuped.", "Run again.")


def test_answers_whose_writing_failed_once_are_written_before_the_push_ends(rig: Rig) -> None:
    rig.make_mart(5)
    FailingOnce.failed = False
    engine = rig.engine(warehouse=PassingWarehouse(rig.warehouse, FailingOnce))
    engine.extract("a", FULL)
    engine.plan("a")
    with pytest.raises(WarehouseError, match="hiccuped"):
        engine.push("a")
    assert FailingOnce.failed
    assert rig.state("select count(*) from synced_people") == [(5,)]
    assert engine.outcomes("a").complete
    assert rig.run().plan.planned == 0


FULL_DISK = """
import os, resource, signal, sys
from cio_pipelines.customerio import TrackClient
from cio_pipelines.sync.engine import PeopleSync, SyncSettings
from cio_pipelines.sync.specs import PEOPLE
from cio_pipelines.sync.windows import FULL
from cio_pipelines.warehouse import WarehouseFull, open_warehouse

path, url = sys.argv[1:]
engine = PeopleSync(
    open_warehouse("duckdb:///" + path, threads=1), PEOPLE, SyncSettings(workspace="tests"),
    lambda: TrackClient(site_id="sandbox-site", api_key="sandbox-key", base_url=url))
engine.extract("full", FULL)
engine.plan("full")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
size = os.path.getsize(path)
resource.setrlimit(resource.RLIMIT_FSIZE, (size // 8, size // 8))
try:
    engine.push("full")
    print("sent")
except WarehouseFull as error:
    print("full:", error)
"""


def test_a_disk_that_fills_up_in_mid_push_loses_nobody(apart: Rig) -> None:
    apart.make_mart(20_000)
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(apart.path), apart.sandbox.url],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stdout.startswith("full: There is no room left on the disk"), done.stdout + done.stderr
    apart.run()
    assert len(apart.profiles()) == 20_000
    assert apart.run().plan.planned == 0
    assert apart.state("select count(*), count(distinct person_id) from synced_people") == [(20_000, 20_000)]
