"""What `cio bench people` measures, each in a process of its own, so that its peak of memory is its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
import typer

from cio_pipelines.cli.console import err
from cio_pipelines.cli.measure import peak_rss_mb
from cio_pipelines.settings import load_settings
from cio_pipelines.sync.candidates import Mart
from cio_pipelines.sync.guards import Approvals
from cio_pipelines.sync.key import SyncKey
from cio_pipelines.sync.specs import PEOPLE
from cio_pipelines.sync.state import synced_people
from cio_pipelines.sync.windows import FULL
from cio_pipelines.warehouse import functions as fn


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


@dataclass(frozen=True, slots=True)
class PlainDiff:
    """One bare statement over mart and snapshot: how many people differ, in how many seconds."""

    people: int
    seconds: float
    peak_rss_mb: float


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


def sync(environment: Mapping[str, str]) -> Measured:
    """A full sync."""
    return Measured(**_apart("sync_here", environment))


def plain_diff(environment: Mapping[str, str]) -> PlainDiff:
    """The floor of what any sync must do, over the same mart and snapshot."""
    return PlainDiff(**_apart("diff_here", environment))


def _apart(name: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """Run a function of this module in a process of its own, which ends with a line of JSON."""
    done = subprocess.run(  # noqa: S603  # this Python, this module
        [sys.executable, "-c", f"from cio_pipelines.cli import bench_steps; bench_steps.{name}()"],
        env={**environment},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise typer.Exit(1)
    return json.loads(done.stdout.splitlines()[-1])


def sync_here() -> None:
    """One full sync in this process, told as one line of JSON."""
    # DuckDB imports it at the first statement with a parameter: start-up of the process, and no sync's time
    import pandas as pd  # noqa: F401  # pyright: ignore[reportUnusedImport]

    settings = load_settings()
    engine = settings.people_sync()
    run_id, started = f"bench-{os.getpid()}", time.monotonic()
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


def diff_here() -> None:
    """The plain diff in this process, told as one line of JSON."""
    import pandas as pd  # noqa: F401  # pyright: ignore[reportUnusedImport]  # as above

    settings = load_settings()
    statement = differing(settings.people_sync().mart(), SyncKey(settings.workspace, PEOPLE.name))
    with settings.warehouse().connect() as connection:
        started = time.monotonic()
        people = sum(len(batch) for batch in connection.batches(statement))
        seconds = time.monotonic() - started
    measured = {"people": people, "seconds": seconds, "peak_rss_mb": peak_rss_mb()}
    sys.stdout.write(json.dumps(measured) + "\n")


def differing(mart: Mart, key: SyncKey) -> sa.Select[tuple[str]]:
    """Ids of people whose canonical text has another MD5 than the snapshot's, or who are not in it."""
    people = mart.candidates(sa.true()).subquery("people")
    snapshot = sa.select(synced_people).where(key.owns(synced_people)).subquery("snapshot")
    joined = people.outerjoin(snapshot, snapshot.c.person_id == people.c.person_id)
    digest = fn.hash_text(people.c.attributes)
    return (
        sa.select(people.c.person_id)
        .select_from(joined)
        .where(snapshot.c.attributes_hash.is_distinct_from(digest))
    )
