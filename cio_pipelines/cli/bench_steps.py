"""What `cio bench people` measures: the mart's build, and a full sync in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass

import typer

from cio_pipelines.cli.bench_profile import Profile
from cio_pipelines.cli.console import err
from cio_pipelines.cli.measure import apart, peak_rss_mb
from cio_pipelines.settings import load_settings
from cio_pipelines.sync.guards import Approvals
from cio_pipelines.sync.windows import FULL


@dataclass(frozen=True, slots=True)
class Measured:
    """A full sync; seconds are from extraction to the committed snapshot, by stage."""

    planned: int
    accepted: int
    requests: int
    bytes_sent: int
    seconds: Mapping[str, float]
    peak_rss_mb: float

    @property
    def total(self) -> float:
        return sum(self.seconds.values())


def build_mart(environment: Mapping[str, str]) -> float:
    """Build the mart as the job does; returns seconds, which are no part of the sync's."""
    from cio_pipelines.dbt import PROJECT_DIR
    from cio_pipelines.dbt_target import dbt_environment, dbt_executable
    from cio_pipelines.webhooks.tables import prepare_webhooks

    settings = load_settings(environment)
    with settings.warehouse().connect() as connection:
        prepare_webhooks(connection)
    started = time.monotonic()
    variables = {**environment, **dbt_environment(settings)}
    command = ["build", "--resource-type", "model", "--resource-type", "snapshot"]
    where = ["--project-dir", str(PROJECT_DIR), "--profiles-dir", str(PROJECT_DIR)]
    target = ["--target-path", environment["DAGSTER_HOME"], "--log-path", environment["DAGSTER_HOME"]]
    done = subprocess.run(  # noqa: S603  # our own executable
        [dbt_executable(settings), "--quiet", *command, *where, *target],
        env=variables,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        err.print(done.stdout)
        raise typer.Exit(1)
    return time.monotonic() - started


def sync(environment: Mapping[str, str], *, profiled: bool = False) -> Measured:
    """A full sync; `profiled`, where its time goes is told on standard error."""
    return Measured(**apart(__name__, "sync_here", environment, profiled=profiled))


def sync_here(*, profiled: bool) -> None:
    """One full sync in this process, told as one line of JSON."""
    # DuckDB imports it at the first statement with a parameter: start-up of the process, and no sync's time
    import pandas as pd  # noqa: F401  # pyright: ignore[reportUnusedImport]

    engine = load_settings().people_sync()
    run_id = f"bench-{os.getpid()}"
    with Profile() if profiled else nullcontext():
        started = time.monotonic()
        engine.extract(run_id, FULL)
        extracted = time.monotonic()
        plan = engine.plan(run_id, Approvals(changed=True, suppressed=True))
        planned = time.monotonic()
        report = engine.push(run_id)
    if report.ended_by is not None or not report.outcomes.complete:
        sys.exit(f"the benchmark's sync did not end well: {report.ended_by or report.outcomes}")
    seconds = {
        "extract": extracted - started,
        "plan": planned - extracted,
        "send": report.send_seconds,
        "commit": report.commit_seconds,
    }
    measured = {
        "planned": plan.planned,
        "accepted": report.outcomes.accepted,
        "requests": report.requests,
        "bytes_sent": report.bytes_sent,
        "seconds": seconds,
        "peak_rss_mb": peak_rss_mb(),
    }
    sys.stdout.write(json.dumps(measured) + "\n")
