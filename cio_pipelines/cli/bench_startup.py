"""`cio bench startup`: the load of the code location, and a sync with nothing to do, from start to end."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Annotated

import typer

from cio_pipelines.cli.console import err, out
from cio_pipelines.cli.measure import this_machine

_LOAD = "import cio_pipelines.definitions as d; d.defs().get_repository_def()"


def startup(
    count: Annotated[
        int, typer.Option("--people", min=1_000, help="How many people the company has.")
    ] = 20_000,
    times: Annotated[int, typer.Option(min=1, help="How often each is measured.")] = 3,
) -> None:
    """Measure the code location's load, and a sync with nothing to do, each as a process from start to end.

    The sync is the schedule's: dbt, all checks, and the running day, on the demo company and the embedded
    warehouse.
    """
    from cio_pipelines.demo import seed
    from cio_pipelines.sandbox import SandboxOptions, SandboxServer

    cio = str(Path(sys.executable).with_name("cio"))
    with (
        tempfile.TemporaryDirectory(prefix="cio-bench-") as folder,
        SandboxServer(SandboxOptions()) as server,
    ):
        database = Path(folder) / "warehouse.duckdb"
        err.print(f"Seeding {count:,} people and syncing them …")
        seed(database, count)
        environment = {
            **os.environ,
            "WAREHOUSE_URL": f"duckdb:///{database}",
            "LANDING_URL": f"file://{folder}/landing",
            "QUEUE_URL": f"sqlite:///{folder}/queue.sqlite",
            "CUSTOMERIO_TRACK_URL": server.url,
            "DAGSTER_HOME": f"{folder}/dagster",
        }
        for request in (["--full"], []):
            _run([cio, "sync", "people", *request], environment)
        err.print("Measuring …")
        loads = [_run([sys.executable, "-c", _LOAD], environment) for _ in range(times)]
        syncs = [_run([cio, "sync", "people"], environment) for _ in range(times)]
    out.print(f"{count:,} people; {this_machine()}; processes from start to end, the median of {times}")
    out.print(f"  code location loaded       {_told(loads)}")
    out.print(f"  sync with nothing to do    {_told(syncs)}")


def _run(command: Sequence[str], environment: dict[str, str]) -> float:
    started = time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True)  # noqa: S603  # our own
    if done.returncode:
        err.print(done.stdout + done.stderr, highlight=False)
        raise typer.Exit(1)
    return time.monotonic() - started


def _told(seconds: Sequence[float]) -> str:
    return f"{median(seconds):5.1f} s  ({min(seconds):.1f} to {max(seconds):.1f})"
