"""`cio bench messaging`: messages a second through the queue, and how long a caller waits to put one."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cio_pipelines.cli.console import out, warn
from cio_pipelines.cli.measure import this_machine
from cio_pipelines.cli.redis_server import find_server, redis_server

if TYPE_CHECKING:
    from cio_pipelines.cli.mail_run import MailRun


def messaging(
    messages: Annotated[int, typer.Option(min=1_000, help="How many identifies.")] = 200_000,
    alone: Annotated[int, typer.Option(min=100, help="How many of them without coalescing.")] = 5_000,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object.")] = False,
) -> None:
    """Measure one worker, with the sandbox (discarding) and the producer on the same machine.

    Messages are put and delivered at the same time. Once with the worker joining them to bodies, once with a
    request each; through the embedded queue and through Redis.
    """
    from cio_pipelines.cli.mail_run import mail_run

    runs: dict[str, MailRun] = {}
    with tempfile.TemporaryDirectory(prefix="cio-bench-") as folder, ExitStack() as stack:
        for store, url in _stores(Path(folder), stack):
            for name, count, body in (("joined", messages, 2_000), ("one by one", alone, 1)):
                runs[f"{store}, {name}"] = run = mail_run(url, count, body_messages=body)
                out.print(
                    f"  {store + ', ' + name:<32} {run.per_second:>8,.0f} messages/s ({run.messages:,} in "
                    f"{run.seconds:.1f} s, {run.requests:,} requests); put {run.puts_per_second:,.0f}/s; "
                    f"one put: median {run.put_ms_median:.1f} ms, 99th percentile {run.put_ms_99:.1f} ms"
                )
    out.print(f"Identifies of about {200} bytes; {this_machine()}")
    if as_json:
        sys.stdout.write(json.dumps({name: asdict(run) for name, run in runs.items()}) + "\n")


def _stores(folder: Path, stack: ExitStack) -> Iterator[tuple[str, str]]:
    yield "embedded", f"sqlite://{folder}/queue.sqlite"
    server = find_server()
    if server is None:
        warn("No valkey-server or redis-server is on the PATH: Redis is not measured.")
        return
    for appendfsync in ("everysec", "always"):
        place = folder / appendfsync
        place.mkdir()
        url = stack.enter_context(redis_server(server, place, appendfsync=appendfsync))
        yield f"Redis, fsync {appendfsync}", url
