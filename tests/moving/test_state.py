"""A workspace moves to another engine, and nobody is sent anything who did not change."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from cio_pipelines.moving.contents import contents
from cio_pipelines.moving.copying import SCHEMA
from cio_pipelines.sync.errors import MoveRefused, SyncInProgress
from cio_pipelines.sync.state import (
    dead_letters,
    open_people,
    sync_acks,
    sync_lease,
    sync_log,
    sync_plan,
    sync_runs,
    synced_people,
)
from cio_pipelines.sync.windows import FULL
from tests.engines.rig import EngineRig
from tests.sync.rig import YEARS_AGO

from .child import MOMENTS
from .rig import PERSON, MovingRig, person

PEOPLE = [person(number) for number in range(40)]
TABLES = (synced_people, open_people, dead_letters, sync_runs, sync_plan, sync_acks, sync_log)


@contextlib.contextmanager
def silence(rig: MovingRig) -> Iterator[None]:
    """Customer.io hears of nobody."""
    before = rig.new.sandbox.operations()
    yield
    assert rig.new.sandbox.operations() == before


def state(rig: EngineRig, *tables: sa.Table) -> dict[str, list[tuple[object, ...]]]:
    return {table.name: rig.state(table, *table.c.keys()) for table in tables or TABLES}


def test_after_a_move_nothing_is_planned_but_who_changed(moving: MovingRig) -> None:
    moving.old.make_mart(PEOPLE, **PERSON)
    old = moving.old.run()
    summary = moving.old.engine().summary(old.run_id)
    moving.new.make_mart(PEOPLE, **PERSON)

    report = moving.move()

    assert report.rows["customerio_sync.synced_people"] == len(PEOPLE)
    assert state(moving.new) == state(moving.old)
    # without the adoption everybody would be sent again, by one engine's spelling or the other's
    assert moving.new.plan().planned == len(PEOPLE)
    adoption = moving.adopt()
    assert (adoption.people, adoption.differing, adoption.mapping_change) == (len(PEOPLE), 0, "none")
    with silence(moving):
        ran = moving.new.run()
    assert (ran.plan.planned, ran.report.requests) == (0, 0)
    assert moving.new.engine().summary(old.run_id) == summary

    moving.new.change("p0", score=0.5)
    moving.new.change("p1", plan="pro")
    moving.new.change("p2", first_name=None)
    ran = moving.new.run()
    assert ran.outcomes.accepted == 3
    assert ran.plan.whys == {"changed": 3}
    assert moving.new.profile("p2") == {"email": "p2@example.com", "plan": "free", "score": 2}


def test_who_changed_meanwhile_differs_and_is_sent(moving: MovingRig) -> None:
    moving.old.make_mart(PEOPLE, **PERSON)
    moving.old.run()
    changed = [person(0, plan="pro"), person(1, score=1.5), person(2, first_name="Zoe"), *PEOPLE[3:]]
    moving.new.make_mart(changed, **PERSON)

    moving.move()
    adoption = moving.adopt()
    again = moving.adopt()
    ran = moving.new.run()

    assert (adoption.people, adoption.differing) == (len(PEOPLE) - 3, 3)
    assert (again.people, again.differing) == (0, 3)
    assert ran.plan.planned == ran.outcomes.accepted == 3
    assert {name for name, times in moving.new.sent().items() if times > 1} == {"p0", "p1", "p2"}


LONG = "x" * 1_001


def make_trouble(rig: EngineRig) -> None:
    """Dead letters of both kinds, somebody who waits, and somebody who is suppressed."""
    people = [
        *(person(number) for number in range(5)),
        person(5, first_name=LONG),
        person(6, email="a@example.com"),
        person(7, email="A@example.com"),
        person(8, opted_out=True),
    ]
    rig.make_mart(people, **PERSON)
    with rig.faults({"kind": "reject", "ids": ["p1", "p4"]}):
        for _ in range(2):
            rig.run()
    with rig.faults({"kind": "reject", "ids": ["p1", "p2", "p4"]}):
        rig.change("p2", plan="pro")
        rig.run()
    assert rig.state(dead_letters, "person_id") == [("p1",), ("p4",), ("p5",), ("p6",), ("p7",)]
    assert rig.state(open_people, "person_id", "attempts") == [("p2", 1)]


def copy_mart(moving: MovingRig, **changes: object) -> None:
    """The new mart: what the old one has, and p4 with changes."""
    names = moving.old.mart.columns.keys()
    rows = [dict(zip(names, row, strict=True)) for row in moving.old.rows(sa.select(moving.old.mart))]
    moving.new.make_mart([row | (changes if row["person_id"] == "p4" else {}) for row in rows], **PERSON)


@pytest.mark.parametrize("lost", ["nothing", "the plans", "the mart"])
def test_dead_letters_and_open_people_are_what_they_were(moving: MovingRig, lost: str) -> None:
    make_trouble(moving.old)
    copy_mart(moving, plan="pro")
    if lost == "the plans":
        moving.old.execute(sync_plan.delete().where(sa.true()))

    report = moving.move(**({"mart": None} if lost == "the mart" else {}))
    adoption = moving.adopt()

    assert report.contents == 6
    # p4 is another person now, and is tried anew
    assert (adoption.waiting, adoption.waiting_differing) == (5, 1)
    with moving.new.faults({"kind": "reject", "ids": ["p1", "p2"]}):
        ran = moving.new.run()
    assert sorted(person for (person,) in moving.new.rows(planned(ran.run_id))) == ["p2", "p4"]
    assert (ran.plan.left_alone, ran.outcomes.accepted, ran.outcomes.rejected) == (4, 1, 1)
    assert moving.new.state(open_people, "person_id", "attempts") == [("p2", 2)]
    with moving.new.faults({"kind": "reject", "ids": ["p2"]}):
        moving.new.run(YEARS_AGO)
    letters = [("p1",), ("p2",), ("p5",), ("p6",), ("p7",)]
    assert moving.new.state(dead_letters, "person_id") == letters
    assert moving.new.rows(sa.select(contents)) == []


def planned(run_id: str) -> sa.Select[tuple[str]]:
    return sa.select(sync_plan.c.person_id).where(sync_plan.c.run_id == run_id)


def test_a_run_that_was_killed_is_finished_before_its_state_moves(moving: MovingRig) -> None:
    moving.old.make_mart(PEOPLE, **PERSON)
    moving.new.make_mart(PEOPLE, **PERSON)
    engine = moving.old.engine()
    engine.extract("dead", FULL)
    engine.plan("dead")

    with pytest.raises(SyncInProgress, match=r"Run dead .* is syncing this workspace"):
        moving.move()

    moving.old.execute(sync_lease.delete().where(sa.true()))
    accepted = [column for column in sync_plan.c if column.name in sync_acks.c]
    moving.old.execute(
        sync_acks.insert().from_select(
            [column.name for column in accepted],
            sa.select(*accepted).where(sync_plan.c.person_id.in_(["p0", "p1"])),
        )
    )
    report = moving.move()
    moving.adopt()

    assert report.rows["customerio_sync.synced_people"] == 2
    assert report.rows["customerio_sync.open_people"] == len(PEOPLE) - 2
    moving.new.run(YEARS_AGO)
    assert moving.new.sent().keys() == {f"p{number}" for number in range(2, len(PEOPLE))}


def test_a_target_with_a_snapshot_of_its_own_is_left_as_it_is(moving: MovingRig) -> None:
    moving.old.make_mart(PEOPLE, **PERSON)
    moving.old.run()
    moving.new.make_mart(PEOPLE[:3], **PERSON)
    moving.new.run()
    before = state(moving.new)

    with pytest.raises(MoveRefused, match="already has a snapshot of this workspace") as caught:
        moving.move()

    assert "--replace" in caught.value.remedy
    assert state(moving.new) == before
    moving.move(replace=True)
    assert state(moving.new) == state(moving.old)


def test_moving_again_doubles_nothing(moving: MovingRig) -> None:
    moving.old.make_mart(PEOPLE, **PERSON)
    moving.old.run()
    moving.new.make_mart(PEOPLE, **PERSON)
    moving.new.plan()  # a look at what would be sent is in nobody's way

    moving.move()
    with pytest.raises(MoveRefused):
        moving.move()
    moving.move(replace=True)

    assert state(moving.new) == state(moving.old)


def test_other_workspaces_stay_where_they_are(moving: MovingRig) -> None:
    moving.old.make_mart(PEOPLE, **PERSON)
    moving.old.run()
    moving.old.run(workspace="another")
    moving.new.make_mart(PEOPLE[:2], **PERSON)
    moving.new.run(workspace="another")

    moving.move()

    snapshot = sa.select(synced_people.c.workspace, sa.func.count()).group_by(synced_people.c.workspace)
    assert sorted(moving.new.rows(snapshot)) == sorted([("another", 2), (moving.key.workspace, len(PEOPLE))])


def test_a_source_without_the_workspace_says_whose_state_it_has(moving: MovingRig) -> None:
    moving.old.make_mart(PEOPLE, **PERSON)
    moving.old.run(workspace="another")
    moving.new.make_mart(PEOPLE, **PERSON)

    with pytest.raises(MoveRefused, match=f"nothing of workspace {moving.key.workspace}") as caught:
        moving.move()

    assert "another (people)" in caught.value.remedy


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_move_that_was_killed_is_simply_run_again(moving: MovingRig, moment: str) -> None:
    moving.old.make_mart(PEOPLE, **PERSON)
    moving.old.run()
    moving.new.make_mart(PEOPLE, **PERSON)
    command = [sys.executable, "-m", "tests.moving.child"]
    where = [moving.old.url, moving.new.url, moving.key.workspace, moment]

    done = subprocess.run([*command, *where], cwd=Path(__file__).parents[2], timeout=60, check=False)

    assert done.returncode == -signal.SIGKILL
    moved = moment == "after the transaction"
    assert len(moving.new.state(synced_people, "person_id")) == (len(PEOPLE) if moved else 0)
    if moved:
        with pytest.raises(MoveRefused, match="already has"):
            moving.move()
    else:
        moving.move()
    moving.adopt()
    assert state(moving.new, sync_runs, sync_plan, sync_acks) == state(
        moving.old, sync_runs, sync_plan, sync_acks
    )
    with silence(moving):
        assert moving.new.run().plan.planned == 0


def test_nothing_is_left_on_the_way(moving: MovingRig) -> None:
    moving.old.make_mart(PEOPLE, **PERSON)
    moving.old.run()
    moving.new.make_mart(PEOPLE, **PERSON)
    moving.move()
    moving.adopt()

    tables = sa.table(
        "tables", sa.column("table_name"), sa.column("table_schema"), schema="information_schema"
    )
    left = moving.new.rows(sa.select(tables.c.table_name).where(tables.c.table_schema == SCHEMA))
    assert left == [("contents",)]
    assert moving.new.rows(sa.select(contents)) == []


def test_a_workspace_moves_back(moving: MovingRig) -> None:
    moving.old.make_mart(PEOPLE, **PERSON)
    moving.old.run()
    moving.new.make_mart(PEOPLE, **PERSON)
    moving.move()
    moving.adopt()
    moving.new.change("p1", plan="pro")
    moving.new.run()
    moving.old.change("p1", plan="pro")
    back = MovingRig(moving.new, moving.old)

    back.move(replace=True)
    adoption = back.adopt()

    assert (adoption.people, adoption.differing) == (len(PEOPLE), 0)
    with silence(back):
        assert moving.old.run().plan.planned == 0
