"""All commands, and what becomes of their errors."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Any

import typer
from typer.core import TyperGroup

from cio_pipelines.cli import (
    bench,
    dead_letters,
    demo,
    dev,
    doctor,
    load,
    move,
    sandbox,
    serve,
    sync,
    tokens,
    worker,
)
from cio_pipelines.cli.console import complain
from cio_pipelines.cli.receiver import ReceiverError
from cio_pipelines.customerio import CustomerIOError
from cio_pipelines.landing import LandingError
from cio_pipelines.messaging.queue.errors import QueueError
from cio_pipelines.sandbox.options import SandboxError
from cio_pipelines.settings import SettingsError
from cio_pipelines.sync.errors import SyncError
from cio_pipelines.warehouse import WarehouseError


class _Commands(TyperGroup):
    """All commands; Ctrl-C in any of them says what to do next."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            complain("Interrupted. What was accepted or loaded is committed; run the same command again.")
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Keep a data warehouse and a Customer.io workspace in step.",
)
app.add_typer(sync.app, name="sync")
app.add_typer(load.app, name="load")
app.add_typer(dead_letters.app, name="dead-letters")
app.command()(move.move)
app.command()(doctor.doctor)
app.command()(sandbox.sandbox)
app.command()(serve.serve)
app.command()(worker.worker)
app.add_typer(tokens.app, name="tokens")
app.command()(demo.demo)
app.command()(dev.dev)
app.add_typer(bench.app, name="bench")


def _end_as_by_ctrl_c(number: int, frame: FrameType | None) -> None:
    """A scheduler's SIGTERM ends a sync as a person's Ctrl-C does: what was answered is committed."""
    del number, frame
    # A shell starts background commands deaf to SIGINT; Dagster's own handler, inside a step, is not.
    if signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, None):
        raise KeyboardInterrupt
    signal.raise_signal(signal.SIGINT)


def main() -> None:
    """Entry point: errors that a person can act on are told in a line, without a traceback."""
    signal.signal(signal.SIGTERM, _end_as_by_ctrl_c)
    try:
        app()
    except SettingsError as error:
        complain(str(error))
        sys.exit(2)
    except (
        SyncError,
        WarehouseError,
        LandingError,
        CustomerIOError,
        ReceiverError,
        SandboxError,
        QueueError,
    ) as error:
        complain(str(error))
        sys.exit(1)
