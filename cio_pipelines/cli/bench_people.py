"""`cio bench people`: how fast this machine syncs people."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from cio_pipelines.cli.console import err, out
from cio_pipelines.cli.measure import peak_rss_mb, this_machine
from cio_pipelines.settings import load_settings
from cio_pipelines.sync.guards import Approvals
from cio_pipelines.sync.windows import FULL


@dataclass(frozen=True, slots=True)
class Measured:
    """One sync in a process of its own; seconds are from extraction to the committed snapshot."""

    name: str
    planned: int
    accepted: int
    requests: int
    bytes_sent: int
    seconds: Mapping[str, float]
    peak_rss_mb: float

    @property
    def total(self) -> float:
        return sum(self.seconds.values())


def people(
    count: Annotated[int, typer.Option("--people", min=1_000, help="How many people.")] = 1_000_000,
    requests_per_second: Annotated[float, typer.Option(min=1, help="The client's rate limit.")] = 1_000,
    memory_limit: Annotated[str, typer.Option(help="DuckDB's memory limit while syncing.")] = "500MB",
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object.")] = False,
) -> None:
    """Measure a first sync, a 1% change and no change, on the embedded warehouse.

    The sandbox runs in discard mode on the same machine: it validates and counts.
    """
    from cio_pipelines.demo import change, seed
    from cio_pipelines.sandbox import SandboxOptions, SandboxServer

    with tempfile.TemporaryDirectory(prefix="cio-bench-") as folder:
        database = Path(folder) / "warehouse.duckdb"
        err.print(f"Seeding {count:,} people …")
        seed(database, count)
        with SandboxServer(SandboxOptions(discard=True)) as server:
            environment = {
                **os.environ,
                "WAREHOUSE_URL": f"duckdb:///{database}",
                "WAREHOUSE_MEMORY_LIMIT": memory_limit,
                "CUSTOMERIO_TRACK_URL": server.url,
                "CUSTOMERIO_REQUESTS_PER_SECOND": str(requests_per_second),
                "DAGSTER_HOME": folder,
            }
            dbt = [_dbt(environment)]
            measured = [_sync("first sync", environment)]
            changed = change(database)
            dbt.append(_dbt(environment))
            measured += [_sync("1% changed", environment), _sync("nothing changed", environment)]
    _show(measured, count, changed, dbt, requests_per_second, memory_limit)
    if as_json:
        sys.stdout.write(json.dumps([_as_json(item) for item in measured]) + "\n")


def _dbt(environment: Mapping[str, str]) -> float:
    """Build the mart as the job does; returns seconds, which are no part of the sync's."""
    from cio_pipelines.dbt import PROJECT_DIR, dbt_environment, dbt_executable
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
        [dbt_executable(), "--quiet", *command, *where, *target],
        env=variables,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        err.print(done.stdout)
        raise typer.Exit(1)
    return time.monotonic() - started


def _sync(name: str, environment: Mapping[str, str]) -> Measured:
    """A full sync in a process of its own, so that its peak of memory is its own."""
    err.print(f"Syncing: {name} …")
    done = subprocess.run(  # this Python, this module
        [sys.executable, "-c", "from cio_pipelines.cli.bench_people import sync_here; sync_here()"],
        env={**environment},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise typer.Exit(1)
    return Measured(name=name, **json.loads(done.stdout.splitlines()[-1]))


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


def _show(
    measured: list[Measured], people: int, changed: int, dbt: list[float], rate: float, memory_limit: str
) -> None:
    out.print(
        f"{people:,} people; {this_machine()}; DuckDB's memory_limit {memory_limit}, {rate:,.0f} requests/s "
        "allowed"
    )
    out.print(
        f"dbt built the mart in {dbt[0]:.1f} and {dbt[1]:.1f} s (not part of the syncs); {changed:,} changed"
    )
    first = measured[0].total
    for item in measured:
        stages = ", ".join(f"{name} {seconds:.2f}" for name, seconds in item.seconds.items())
        out.print(
            f"  {item.name:<16} {item.total:6.2f} s  ({stages})  ratio {item.total / first:.2f}  "
            f"{item.accepted:,} accepted, {item.requests:,} requests, {item.bytes_sent / 1e6:,.0f} MB, "
            f"peak {item.peak_rss_mb:,.0f} MB"
        )
    out.print(
        f"  first sync: {measured[0].accepted / first:,.0f} people per second, plan to committed snapshot"
    )


def _as_json(item: Measured) -> dict[str, Any]:
    return {
        "name": item.name,
        "planned": item.planned,
        "accepted": item.accepted,
        "requests": item.requests,
        "bytes": item.bytes_sent,
        "seconds": {**item.seconds, "total": item.total},
        "peak_rss_mb": item.peak_rss_mb,
    }
