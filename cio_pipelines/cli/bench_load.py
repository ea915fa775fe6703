"""`cio bench load`: how fast landed events are loaded into the warehouse, and how much memory that takes."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from cio_pipelines.cli.console import err, out
from cio_pipelines.cli.measure import peak_rss_mb, this_machine
from cio_pipelines.landing import LandingZone
from cio_pipelines.webhooks.layout import Received, lines, new_path


def load(
    events: Annotated[int, typer.Option(min=1_000, help="How many events.")] = 1_000_000,
    files: Annotated[int, typer.Option(min=10, help="In how many objects.")] = 500,
    memory_limit: Annotated[str, typer.Option(help="DuckDB's memory limit.")] = "500MB",
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object.")] = False,
) -> None:
    """Measure a load into DuckDB: in so many objects, in a tenth of them, and read once more.

    Each runs in a process of its own, on the same events: the peaks of memory can be compared.
    """
    measured: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="cio-bench-") as folder:
        for number in (files, files // 10):
            zone = Path(folder) / f"{number}"
            err.print(f"Landing {events:,} events in {number:,} objects …")
            size = _land(LandingZone(f"file://{zone}"), events, number)
            database = zone.with_suffix(".duckdb")
            err.print("Loading …")
            measured.append(_load(f"{number:,} objects", zone, database, memory_limit))
            if number == files:
                err.print("Loading again …")
                measured.append(_load(f"{number:,} objects, again", zone, database, memory_limit))
    out.print(
        f"{events:,} events, {size / 1e6:,.0f} MB of lines; {this_machine()}; DuckDB's memory_limit "
        f"{memory_limit}"
    )
    for item in measured:
        rate = item["rows"] / item["seconds"]
        out.print(
            f"  {item['name']:<22} {item['seconds']:6.2f} s  {rate:>9,.0f} events/s  {item['inserted']:,} "
            f"inserted, {item['repeated']:,} repeated, {item['stored'] / 1e6:,.0f} MB read, "
            f"peak {item['peak_rss_mb']:,.0f} MB"
        )
    if as_json:
        sys.stdout.write(json.dumps(measured) + "\n")


def _land(zone: LandingZone, events: int, files: int) -> int:
    """Generated events as the receiver would land them; returns the bytes of their lines."""
    from cio_pipelines.sandbox.generate import Generate, generate

    now = datetime.now(UTC)
    bodies: Iterator[bytes] = (body for _, _, body in generate(Generate(generate=events, people=100_000)))
    size = 0
    for number in range(files):
        share = events * (number + 1) // files - events * number // files
        path = new_path("email", now.date())
        text = lines(path, [Received(now, body) for body in islice(bodies, share)])
        size += len(text)
        zone.write(path, gzip.compress(text, 1))
    return size


def _load(name: str, zone: Path, database: Path, memory_limit: str) -> dict[str, Any]:
    command = "from cio_pipelines.cli.bench_load import load_here; load_here()"
    done = subprocess.run(  # noqa: S603  # this Python, this module
        [sys.executable, "-c", command, str(zone), str(database), memory_limit],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise typer.Exit(1)
    return {"name": name, **json.loads(done.stdout.splitlines()[-1])}


def load_here() -> None:
    """One load in this process, told as one line of JSON."""
    # DuckDB imports it at the first statement with a parameter: start-up of the process, and no load's time
    import pandas as pd  # noqa: F401  # pyright: ignore[reportUnusedImport]

    from cio_pipelines.warehouse import open_warehouse
    from cio_pipelines.webhooks.load import EventLoad
    from cio_pipelines.webhooks.objects import Landed

    folder, database, memory_limit = sys.argv[1:]
    zone = LandingZone(f"file://{folder}")
    warehouse = open_warehouse(f"duckdb:///{database}", memory_limit=memory_limit)
    started = time.monotonic()
    report = EventLoad(warehouse, zone).run(Landed(zone).days, "bench", only_new=False)
    total = report.total
    measured = {
        "seconds": time.monotonic() - started,
        "rows": total.rows,
        "inserted": total.inserted,
        "repeated": total.repeated,
        "stored": total.bytes,
        "peak_rss_mb": peak_rss_mb(),
    }
    sys.stdout.write(json.dumps(measured) + "\n")
