"""What `cio bench` measures with, where a wrong figure would not be seen in its table."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cio_pipelines.cli.bench_steps import differing
from cio_pipelines.cli.measure import peak_rss_mb
from cio_pipelines.sandbox import SandboxServer
from cio_pipelines.sync.key import SyncKey
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


def test_a_process_is_not_charged_with_the_memory_of_the_one_that_started_it() -> None:
    ours = bytearray(os.urandom(1)) * 400_000_000
    command = "from cio_pipelines.cli.measure import peak_rss_mb; print(peak_rss_mb())"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    del ours

    assert peak_rss_mb() > 400
    assert 10 < float(done.stdout) < 300
