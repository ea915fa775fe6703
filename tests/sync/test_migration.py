"""A database that an older release has worked with for a while is brought up to date by the next run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cio_pipelines.sync.errors import UnknownRun
from cio_pipelines.sync.state import MIGRATIONS
from cio_pipelines.sync.windows import FULL

from .rig import Rig

VERSION_1 = {
    "sync_runs": """workspace varchar, sync varchar, run_id varchar, kind varchar, status varchar,
        window_start timestamp, window_end timestamp, extracted_at timestamp, finished_at timestamp,
        mapping_version varchar, mapping varchar, mapping_change varchar, extracted bigint, unchanged bigint,
        tombstoned bigint, left_alone bigint, planned bigint, requests bigint, attempts bigint,
        bytes_sent bigint, plan_seconds double, send_seconds double, commit_seconds double,
        ended_by varchar""",
    "sync_plan": """workspace varchar, sync varchar, run_id varchar, person_id varchar, operation varchar,
        phase integer, why varchar, attributes varchar, removals varchar, attributes_hash varchar,
        source_updated_at timestamp, attempts integer, fault_field varchar, fault_reason varchar,
        planned_at timestamp""",
    "sync_acks": "workspace varchar, sync varchar, run_id varchar, person_id varchar, phase integer",
    "sync_log": """workspace varchar, sync varchar, run_id varchar, logged_at timestamp, batch integer,
        entry varchar, person_id varchar, phase integer, operation varchar, operations bigint,
        accepted bigint, http_status integer, reason varchar, field varchar, message varchar, attempts bigint,
        bytes_sent bigint, seconds double""",
    "synced_people": """workspace varchar, sync varchar, person_id varchar, state varchar,
        attributes_hash varchar, attributes varchar, mapping_version varchar, source_updated_at timestamp,
        synced_at timestamp, run_id varchar""",
}
"""The tables that later versions changed, as version 1 made them, columns in its order."""


def bring_back(rig: Rig) -> None:
    """Give the state the form that version 1 gave it; its rows stay, but for what it did not know."""
    for table, columns in VERSION_1.items():
        rig.state(f"create table old_{table} ({columns})")
        names = ", ".join(
            name for name, *_ in rig.state(f"select name from pragma_table_info('old_{table}')")
        )
        rig.state(f"insert into old_{table} select {names} from {table}")
        rig.state(f"drop table {table}; alter table old_{table} rename to {table}")
    rig.state("delete from state_version where version > 1")


@pytest.fixture
def lived(rig: Rig) -> Rig:
    """A workspace with a history: people who were refused, quarantined, changed and suppressed."""
    rig.make_mart(6)
    rig.change("p3", "first_name = repeat('x', 1001)")
    rig.change("p4", "opted_out = true")
    with rig.faults({"kind": "reject", "ids": ["p1"]}):
        rig.run()
    rig.change("p2", "plan = 'pro'")
    return rig


def versions(rig: Rig) -> list[int]:
    return [version for (version,) in rig.state("select version from state_version order by version")]


def test_what_old_runs_did_is_told_as_before(lived: Rig) -> None:
    ran = lived.run()
    runs = [lived.engine().summary(run_id) for run_id in ("run-1", ran.run_id)]
    before = [replace(summary, review=None) for summary in runs]  # it kept none
    assert [summary.outcomes.planned for summary in before] == [6, 2]
    bring_back(lived)

    assert [lived.engine().summary(run_id) for run_id in ("run-1", ran.run_id)] == before
    assert versions(lived) == list(range(1, len(MIGRATIONS) + 1))
    assert lived.run().plan.planned == 0


def test_the_next_run_goes_on_where_version_1_stopped(lived: Rig) -> None:
    letters = lived.engine().letters()
    bring_back(lived)

    with lived.faults({"kind": "reject", "ids": ["p1"]}):
        ran = lived.run()

    # p1 was refused once, p2 has changed; p3 is as wrong as before, and p4 stays suppressed
    assert (ran.plan.planned, ran.plan.left_alone, ran.outcomes.accepted) == (2, 1, 1)
    assert lived.state("select person_id, attempts from open_people") == [("p1", 2)]
    assert lived.engine().letters() == letters
    assert lived.profiles().keys() == {"p0", "p2", "p5"}


def test_a_run_that_was_killed_under_version_1_is_finished(lived: Rig) -> None:
    engine = lived.engine()
    engine.extract("dead", FULL)
    assert engine.plan("dead").planned == 2
    lived.state(
        """update sync_runs set status = 'sending' where run_id = 'dead'; delete from sync_lease;
        insert into sync_acks by name
        select workspace, sync, run_id, run_date, person_id, phase from sync_plan
        where run_id = 'dead' and person_id = 'p2'"""
    )
    bring_back(lived)

    ran = lived.run()

    assert lived.sent()["p2"] == 1
    assert ran.plan.planned == 1
    finished = lived.engine().summary("dead")
    assert (finished.status, finished.ended_by) == ("committed", "killed")
    assert (finished.outcomes.accepted, finished.outcomes.due) == (1, 1)
    assert lived.state("select attributes like '%\"pro\"%' from synced_people where person_id = 'p2'") == [
        (True,)
    ]


def test_plans_and_ledgers_of_version_1_expire(lived: Rig) -> None:
    bring_back(lived)
    lived.state("update sync_runs set extracted_at = extracted_at - interval 31 day")

    lived.run()

    with pytest.raises(UnknownRun):
        lived.engine().summary("run-1")
    for table in VERSION_1.keys() - {"synced_people"}:
        assert lived.state(f"select count(*) from {table} where run_id = 'run-1'") == [(0,)], table
    assert lived.state("select count(*) from synced_people") == [(5,)]


def test_a_migration_that_was_killed_half_way_goes_on(lived: Rig) -> None:
    before = replace(lived.engine().summary("run-1"), review=None)
    bring_back(lived)
    lived.state("alter table sync_plan add column run_date date")

    assert lived.engine().summary("run-1") == before
    assert lived.run().plan.planned == 2
