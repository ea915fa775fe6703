"""`cio bench`: how fast this machine is, measured, never asserted."""

from __future__ import annotations

import typer

from cio_pipelines.cli import bench_load, bench_messaging, bench_people, bench_startup, bench_webhooks

app = typer.Typer(no_args_is_help=True, help="Measure how fast this machine is.")
app.command()(bench_people.people)
app.command()(bench_webhooks.webhooks)
app.command()(bench_load.load)
app.command()(bench_messaging.messaging)
app.command()(bench_startup.startup)
