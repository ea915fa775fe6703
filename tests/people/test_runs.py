"""Runs of `cio` whose process was killed: what ends them, and what is left alone."""

from __future__ import annotations

import importlib
import socket
import subprocess
import sys
from pathlib import Path

import dagster as dg
import psutil
import pytest
from dagster import DagsterRunStatus

from cio_pipelines.runs import dagster_home, end_orphans


@dg.job
def some_job() -> None:
    """A run needs a job."""


@pytest.fixture
def dead_process() -> str:
    """Host, id and start of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    name = f"{socket.gethostname()}:{process.pid}:{psutil.Process(process.pid).create_time():.1f}"
    process.communicate()
    return name


def started(instance: dg.DagsterInstance, owner: str | None) -> str:
    tags = {} if owner is None else {"cio/process": owner}
    return instance.create_run_for_job(some_job, status=DagsterRunStatus.STARTED, tags=tags).run_id


def status(instance: dg.DagsterInstance, run_id: str) -> DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def test_only_runs_of_killed_processes_of_this_machine_are_ended(dead_process: str) -> None:
    me = psutil.Process()
    with dg.DagsterInstance.ephemeral() as instance:
        dead = started(instance, dead_process)
        alive = started(instance, f"{socket.gethostname()}:{me.pid}:{me.create_time():.1f}")
        reused = started(instance, f"{socket.gethostname()}:{me.pid}:{me.create_time() - 60:.1f}")
        elsewhere = started(instance, f"another-{dead_process}")
        not_ours = started(instance, None)

        assert end_orphans(instance) == 2

        assert status(instance, dead) is DagsterRunStatus.FAILURE
        assert status(instance, reused) is DagsterRunStatus.FAILURE
        for run_id in (alive, elsewhere, not_ours):
            assert status(instance, run_id) is DagsterRunStatus.STARTED


def test_the_sensor_ends_them_too_and_asks_for_no_run(dead_process: str) -> None:
    repository = importlib.import_module("cio_pipelines.definitions").defs().get_repository_def()
    with dg.DagsterInstance.ephemeral() as instance:
        dead = started(instance, dead_process)
        context = dg.build_sensor_context(instance=instance, repository_def=repository)

        ticked = repository.get_sensor_def("killed_runs").evaluate_tick(context)

        assert not ticked.run_requests
        assert "1" in (ticked.skip_message or "")
        assert status(instance, dead) is DagsterRunStatus.FAILURE


def test_an_empty_home_is_made_ready_and_a_used_one_is_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "new"))

    home = dagster_home()

    assert home == tmp_path / "new"
    assert "granularity: run" in (home / "dagster.yaml").read_text(encoding="utf-8")
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    assert dagster_home() == home
    assert (home / "dagster.yaml").read_text(encoding="utf-8") == "telemetry: {enabled: false}\n"
