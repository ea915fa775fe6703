"""`cio sandbox`: Customer.io on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cio_pipelines.cli.console import complain
from cio_pipelines.settings import LOCAL, SANDBOX_PORT, SANDBOX_SIGNING_KEY, SERVICE_PORT, load_settings

_RECEIVER = f"http://127.0.0.1:{SERVICE_PORT}/webhooks/customerio"
_CLOCK = 60.0
"""An hour's wait is a minute: a receiver that is started later has its events soon, one that never is costs
a refused connection now and then."""


def sandbox(
    host: Annotated[
        str, typer.Option(help="Address to listen on; the page shows personal data.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = SANDBOX_PORT,
    database: Annotated[Path, typer.Option(help="Where the state is kept.")] = LOCAL / "sandbox.sqlite",
    memory: Annotated[bool, typer.Option("--memory", help="Keep the state in memory only.")] = False,
    discard: Annotated[bool, typer.Option("--discard", help="Only validate and count.")] = False,
    tls: Annotated[bool, typer.Option("--tls", help="HTTPS, with a certificate made at start.")] = False,
    webhook_url: Annotated[
        str,
        typer.Option(
            help="Where events are reported, by default to `cio serve`; they wait while nothing is there. "
            "Empty: they are kept and not sent."
        ),
    ] = _RECEIVER,
    webhook_clock: Annotated[
        float,
        typer.Option(
            help="How much faster the waits between attempts pass: 60 makes Customer.io's hour a minute."
        ),
    ] = _CLOCK,
) -> None:
    """Run a local Customer.io with a page to look at, for development and tests."""
    from cio_pipelines.sandbox import SandboxError, SandboxOptions, run_sandbox

    settings = load_settings()
    # the receiver of this environment must know who signs
    keys = (
        settings.webhook_signing_keys() if settings.customerio_webhook_signing_key else (SANDBOX_SIGNING_KEY,)
    )
    if not memory and not discard:
        database.parent.mkdir(parents=True, exist_ok=True)
    try:
        run_sandbox(
            SandboxOptions(
                host=host,
                port=port,
                database=None if memory or discard else database,
                discard=discard,
                tls=tls,
                webhook_url=webhook_url or None,
                webhook_signing_key=keys[0],
                webhook_clock=webhook_clock,
            )
        )
    except SandboxError as error:
        complain(str(error))
        raise typer.Exit(2) from None
