"""`cio bench webhooks`: how many events a second the receiver takes, and whether it loses one in a storm."""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cio_pipelines.cli.console import complain, err, out
from cio_pipelines.cli.measure import this_machine

if TYPE_CHECKING:
    from cio_pipelines.cli.storm import Storm


def webhooks(
    events: Annotated[int, typer.Option(min=100, help="How many events, in each of two rounds.")] = 50_000,
    streams: Annotated[int, typer.Option(min=1, help="Connections that send at once.")] = 64,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object.")] = False,
) -> None:
    """Measure the receiver, with the sandbox as sender on the same machine.

    Once undisturbed; then with three kills and a landing zone that cannot be written for ten seconds. After
    each, what was acknowledged is loaded and compared with what was sent.
    """
    from cio_pipelines.cli.storm import storm

    rounds: dict[str, Storm] = {}
    for name, disturbances in (
        ("undisturbed", {}),
        ("3 kills, zone away 10 s", {"kills": 3, "outage_seconds": 10.0}),
    ):
        err.print(f"Sending {events:,} events: {name} …")
        with tempfile.TemporaryDirectory(prefix="cio-bench-") as folder:
            rounds[name] = storm(Path(folder), events, streams=streams, **disturbances)
    out.print(f"{events:,} events over HTTP, {streams} connections; {this_machine()}")
    for name, result in rounds.items():
        _show(name, result)
    if as_json:
        sys.stdout.write(json.dumps({name: asdict(result) for name, result in rounds.items()}) + "\n")
    lost = {what: number for result in rounds.values() for what, number in result.wrong.items() if number}
    if lost:
        complain(f"The receiver did not keep its promise: {lost}")
        raise typer.Exit(1)


def _show(name: str, result: Storm) -> None:
    reporting = result.reporting
    times = reporting["answer_ms"]["2xx"]
    statuses = ", ".join(f"{status}: {n:,}" for status, n in sorted(reporting["by_status"].items()))
    rate = reporting["events_per_second"]
    out.print(
        f"  {name:<24} {rate:>7,.0f} events/s  answers: median {times['p50']:.0f} ms, "
        f"99th percentile {times['p99']:.0f} ms, slowest {times['max']:.0f} ms"
    )
    out.print(
        f"  {'':<24} {result.loaded:,} of {result.events:,} in the warehouse from {result.files:,} objects "
        f"(loaded in {result.load_seconds:.1f} s); attempts by status {statuses}"
    )
    out.print(
        f"  {'':<24} duplicates sent {reporting['duplicates_sent']:,}; wrongly signed "
        f"{reporting['bad_signatures']['by_status']}; wrong: {sum(result.wrong.values())}"
    )
