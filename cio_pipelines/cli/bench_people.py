"""`cio bench people`: how fast this machine syncs people."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from cio_pipelines.cli.bench_floors import PlainDiff, RawSending, plain_diff, raw_sending
from cio_pipelines.cli.bench_steps import Measured, build_mart, sync
from cio_pipelines.cli.console import err, out
from cio_pipelines.cli.measure import this_machine
from cio_pipelines.cli.ports import is_sandbox


@dataclass(frozen=True, slots=True)
class Line:
    """One sync, and its floor: bare sending after a first sync, the plain diff before a later one."""

    name: str
    sync: Measured
    diff: PlainDiff | None = None
    raw: RawSending | None = None

    @property
    def ratio(self) -> float | None:
        """How many times as long as the plain diff the sync took."""
        return self.sync.total / self.diff.seconds if self.diff else None

    @property
    def sending_ratio(self) -> float | None:
        """How many times as long as bare sending the sync's sending took."""
        return self.sync.seconds["send"] / self.raw.seconds if self.raw else None


def people(
    count: Annotated[int, typer.Option("--people", min=1_000, help="How many people.")] = 1_000_000,
    requests_per_second: Annotated[float, typer.Option(min=1, help="The client's rate limit.")] = 1_000,
    memory_limit: Annotated[str, typer.Option(help="DuckDB's memory limit while syncing.")] = "500MB",
    against: Annotated[
        str | None,
        typer.Option(metavar="URL", help="A sandbox that runs elsewhere, in place of its own."),
    ] = None,
    latency_ms: Annotated[float, typer.Option(min=0, help="How long each answer is held back.")] = 0,
    profile: Annotated[bool, typer.Option(help="Tell where the time of each sync goes.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object.")] = False,
) -> None:
    """Measure a first sync, a 1% change and no change, on the embedded warehouse.

    The sandbox runs in discard mode on the same machine: it validates and counts. The first sync is compared
    with bare sending of the same bodies, the two later ones with a plain SQL diff of the same mart and
    snapshot. Everything lies in the folder for temporary files (TMPDIR) and takes up to 1 GB for each million
    people, most of it while syncing.
    """
    from cio_pipelines.demo import change, seed

    with _sandbox(against, latency_ms) as url, tempfile.TemporaryDirectory(prefix="cio-bench-") as folder:
        database = Path(folder) / "warehouse.duckdb"
        err.print(f"Seeding {count:,} people …")
        seed(database, count)
        environment = {
            **os.environ,
            "WAREHOUSE_URL": f"duckdb:///{database}",
            "WAREHOUSE_MEMORY_LIMIT": memory_limit,
            "CUSTOMERIO_TRACK_URL": url,
            "CUSTOMERIO_REQUESTS_PER_SECOND": str(requests_per_second),
            "DAGSTER_HOME": folder,
        }
        dbt = [_build_mart(environment)]
        lines = [_measure("first sync", environment, is_first=True, profiled=profile)]
        err.print("Changing 1% …")
        changed = change(database)
        dbt.append(_build_mart(environment))
        lines += [_measure(name, environment, profiled=profile) for name in ("1% changed", "nothing changed")]
        size = database.stat().st_size
    out.print(
        f"{count:,} people; {this_machine()}; DuckDB's memory_limit {memory_limit}, "
        f"{requests_per_second:,.0f} requests/s allowed"
        + (f", answers held back for {latency_ms:g} ms" if latency_ms else "")
    )
    out.print(
        f"dbt built the mart in {dbt[0]:.1f} and {dbt[1]:.1f} s (not part of the syncs); {changed:,} "
        f"changed; the file ends at {size / 1e9:.1f} GB"
    )
    _show(lines, requests_per_second)
    if as_json:
        sys.stdout.write(json.dumps([_as_json(line) for line in lines]) + "\n")


@contextmanager
def _sandbox(against: str | None, latency_ms: float) -> Generator[str]:
    """The address of a sandbox: the one at `against`, or one of our own that is slow to answer."""
    from cio_pipelines.sandbox import SandboxOptions, SandboxServer

    if against is None:
        slow = ({"kind": "slow", "seconds": latency_ms / 1000},) if latency_ms else ()
        with SandboxServer(SandboxOptions(discard=True, faults=slow)) as server:
            yield server.url
        return
    if latency_ms:
        raise typer.BadParameter("it can be had of a sandbox of its own only: leave --against out")
    if not is_sandbox(against):
        raise typer.BadParameter(
            "nothing there answers as a sandbox does, and made-up people are sent to nobody else: "
            "start one with `cio sandbox --discard`"
        )
    yield against.rstrip("/")


def _build_mart(environment: dict[str, str]) -> float:
    err.print("Building the mart …")
    return build_mart(environment)


def _measure(
    name: str, environment: dict[str, str], *, is_first: bool = False, profiled: bool = False
) -> Line:
    err.print(f"Syncing: {name} …")
    if is_first:
        return Line(name, sync(environment, profiled=profiled), raw=raw_sending(environment))
    diff = plain_diff(environment)
    return Line(name, sync(environment, profiled=profiled), diff)


def _show(lines: Sequence[Line], requests_per_second: float) -> None:
    first = lines[0].sync
    for line in lines:
        took = line.sync
        stages = ", ".join(
            f"{name} {seconds:.2f} = {seconds / took.total:.0%}" for name, seconds in took.seconds.items()
        )
        out.print(
            f"  {line.name:<16} {took.total:6.2f} s  ({stages})  ratio {took.total / first.total:.2f}  "
            f"{took.accepted:,} accepted, {took.requests:,} requests, {took.bytes_sent / 1e6:,.0f} MB, "
            f"peak {took.peak_rss_mb:,.0f} MB"
        )
        if line.diff is not None:
            out.print(
                f"  {'':<16} {line.diff.seconds:6.2f} s  plain SQL diff: {line.diff.people:,} differ, peak "
                f"{line.diff.peak_rss_mb:,.0f} MB; the sync took {line.ratio:.2f} times as long"
            )
        if line.raw is not None:
            rate = took.requests / took.seconds["send"]
            out.print(
                f"  {'':<16} {line.raw.seconds:6.2f} s  bare sending of {line.raw.requests:,} such bodies; "
                f"the sync's took {line.sending_ratio:.2f} times as long, at {rate:,.0f} requests/s, "
                f"{rate / requests_per_second:.1%} of those allowed"
            )
    out.print(
        f"  first sync: {first.accepted / first.total:,.0f} people per second, plan to committed snapshot"
    )


def _as_json(line: Line) -> dict[str, Any]:
    measured, diff, raw = line.sync, line.diff, line.raw
    return {
        "name": line.name,
        "planned": measured.planned,
        "accepted": measured.accepted,
        "requests": measured.requests,
        "bytes": measured.bytes_sent,
        "seconds": {**measured.seconds, "total": measured.total},
        "peak_rss_mb": measured.peak_rss_mb,
        "plain_diff": diff and {"people": diff.people, "seconds": diff.seconds, "ratio": line.ratio},
        "raw_sending": raw
        and {"requests": raw.requests, "seconds": raw.seconds, "ratio": line.sending_ratio},
    }
