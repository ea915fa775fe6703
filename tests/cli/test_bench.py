"""What `cio bench` measures with, where a wrong figure would not be seen in its table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cio_pipelines.cli.bench_floors import differing, ready_bodies
from cio_pipelines.cli.bench_profile import Profile
from cio_pipelines.cli.measure import peak_rss_mb
from cio_pipelines.sandbox import SandboxServer
from cio_pipelines.sync.key import SyncKey
from tests.cli.conftest import CIO
from tests.sync.rig import Rig


@pytest.fixture
def rig(tmp_path: Path, sandbox: SandboxServer) -> Iterator[Rig]:
    rig = Rig(tmp_path / "warehouse.duckdb", sandbox)
    with rig.kept_open():
        rig.make_mart(5)
        yield rig


def found(rig: Rig) -> set[str]:
    statement = differing(rig.engine().mart(), SyncKey("tests", "people"))
    with rig.warehouse.connect() as connection:
        return {row[0] for row in connection.rows(statement)}


def test_the_plain_diff_finds_whom_the_sync_would_send(rig: Rig) -> None:
    rig.plan()
    assert found(rig) == {"p0", "p1", "p2", "p3", "p4"}

    rig.run()
    assert found(rig) == set()

    rig.change("p1", "plan = 'pro'")
    rig.change("p2", "plan = 'pro'", touch=False)
    rig.change("p3", "plan = plan")
    rig.change("p4", "deleted_at = updated_at")
    assert found(rig) == {"p1", "p2"}
    assert rig.plan().planned == len(found(rig))


def test_the_bare_sending_sends_the_bodies_of_the_sync(rig: Rig, sandbox: SandboxServer) -> None:
    rig.run()
    taken = sandbox.operations()

    with rig.warehouse.connect() as connection:
        requests, bodies = ready_bodies(connection, SyncKey("tests", "people"))
    assert requests == len(bodies) == 1
    sent = json.loads(bodies[0])["batch"]
    assert sorted((each["action"], each["identifiers"]["id"]) for each in sent) == sorted(
        (each["action"], each["id"]) for each in taken
    )


def test_a_profile_names_what_a_statement_did_with_which_tables(rig: Rig) -> None:
    with Profile() as profile:
        rig.run()
    told = profile.statements()
    assert any("INSERT customerio_sync.synced_people, customerio_sync.sync_plan" in line for line in told)
    assert not any("p1@" in line for line in told)


def test_made_up_people_are_sent_to_a_sandbox_only() -> None:
    command = [CIO, "bench", "people", "--against", "http://127.0.0.1:9"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "nothing there answers as a sandbox does" in " ".join(done.stderr.split())


def test_a_process_is_not_charged_with_the_memory_of_the_one_that_started_it() -> None:
    ours = bytearray(os.urandom(1)) * 400_000_000
    command = "from cio_pipelines.cli.measure import peak_rss_mb; print(peak_rss_mb())"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    del ours

    assert peak_rss_mb() > 400
    assert 10 < float(done.stdout) < 300
