"""Of two who want a lease at the same moment one gets it, on every engine that two can write to."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from cio_pipelines.warehouse.leases import Lease, lease_table

from .rig import EngineRig, open_url

ROOT = Path(__file__).parents[2]
leases = lease_table("leases", sa.MetaData(schema="tests"), sa.Column("name", sa.String))
ROUNDS = 5

CONTENDER = """
import sys
from tests.engines.rig import open_url
from tests.engines.test_leases import Lease, leases

url, endpoint, owner = sys.argv[1:]
with open_url(url, endpoint).connect() as connection:
    for line in sys.stdin:
        lease = Lease(leases, {"name": line.strip()}, owner)
        holder = lease.acquire(connection)
        print("got" if holder is None and lease.renew(connection) else "missed", flush=True)
"""


@pytest.fixture
def rig(rig: EngineRig) -> EngineRig:
    """With a table of leases."""
    with rig.warehouse.connect() as connection:
        connection.execute(sa.schema.CreateSchema("tests", if_not_exists=True))
        connection.execute(sa.schema.CreateTable(leases, if_not_exists=True))
    return rig


def test_a_lease_is_held_renewed_and_given_back(rig: EngineRig) -> None:
    first = Lease(leases, {"name": rig.workspace}, "first")
    second = Lease(leases, {"name": rig.workspace}, "second")
    with rig.warehouse.connect() as connection:
        assert first.acquire(connection) is None
        holder = second.acquire(connection)
        assert holder is not None
        assert holder.owner == "first"
        assert first.renew(connection)
        assert not second.renew(connection)
        first.release(connection)
        assert second.acquire(connection) is None
        assert not first.renew(connection)


def test_a_row_left_over_from_two_who_began_at_the_same_moment_disturbs_nobody(rig: EngineRig) -> None:
    lease = Lease(leases, {"name": rig.workspace}, "first")
    past = datetime(1970, 1, 1, tzinfo=UTC)
    with rig.warehouse.connect() as connection:
        assert lease.acquire(connection) is None
        connection.execute(leases.insert().values(name=rig.workspace, owner="", expires_at=past))
        assert lease.renew(connection)
        assert lease.acquire(connection) is None


@pytest.mark.slow
@pytest.mark.parametrize("is_new", [True, False], ids=["new", "known"])
def test_of_two_processes_at_the_same_moment_at_most_one_gets_it(
    engine: str, rig: EngineRig, is_new: bool
) -> None:
    if engine == "duckdb":
        # the file opens for one process alone, which is all the lease it needs
        return
    names = [f"{rig.workspace}-{is_new}-{number}" for number in range(ROUNDS)]
    if not is_new:
        with open_url(rig.url, rig.endpoint).connect() as connection:
            for name in names:
                known = Lease(leases, {"name": name}, "before")
                known.acquire(connection)
                known.release(connection)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CONTENDER, rig.url, rig.endpoint, owner],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for owner in ("one", "other")
    ]
    try:
        won = []
        for name in names:
            for process in processes:
                assert process.stdin is not None
                process.stdin.write(f"{name}\n")
                process.stdin.flush()
            answers = [process.stdout.readline().strip() for process in processes if process.stdout]
            won.append(answers.count("got"))
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert max(won) == 1
    if not is_new:
        assert won == [1] * ROUNDS
