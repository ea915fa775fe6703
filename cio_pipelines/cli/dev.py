"""`cio dev`: the Dagster UI beside the sandbox, the receiver and a worker, until Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Annotated

import typer

from cio_pipelines.cli.console import out
from cio_pipelines.cli.ports import is_taken
from cio_pipelines.cli.receiver import ReceiverProcess
from cio_pipelines.settings import LOCAL, ROOT, SANDBOX_PORT, SERVICE_PORT, SettingsError, load_settings

_STREAMS = 16
"""Events reported at once: Customer.io has one stream, but nobody who tries this wants to wait for it."""


def dev(
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port of the Dagster UI.")] = 3000,
) -> None:
    """Open the Dagster UI beside the sandbox, a receiver of its webhooks and a worker of the message queue.

    These are started only when no workspace is set.
    """
    from cio_pipelines.runs import dagster_home
    from cio_pipelines.sandbox import SandboxOptions, SandboxServer

    settings = load_settings()
    if is_taken(port):
        raise SettingsError(f"Port {port} is in use: stop what listens there, or give --port.")
    home = dagster_home()
    with contextlib.ExitStack() as stack:
        if settings.is_sandboxed and settings.customerio_track_url is None and not is_taken(SANDBOX_PORT):
            LOCAL.mkdir(exist_ok=True)
            receiver = ReceiverProcess(os.environ, 0 if is_taken(SERVICE_PORT) else SERVICE_PORT)
            stack.enter_context(receiver)
            options = SandboxOptions(
                port=SANDBOX_PORT,
                database=LOCAL / "sandbox.sqlite",
                workspace_kind=settings.customerio_workspace_kind,
                region=settings.customerio_region.value,
                webhook_url=receiver.url,
                webhook_signing_key=settings.webhook_signing_keys()[0],
                webhook_streams=_STREAMS,
            )
            stack.enter_context(SandboxServer(options))
            stack.enter_context(_worker())
            out.print(f"Receiver  {receiver.url}   (what it takes lies in {settings.landing_url})")
        out.print(f"Dagster   http://127.0.0.1:{port}   (home: {home}; ready in a quarter of a minute)")
        if settings.track_url is not None:
            out.print(f"Customer.io stands at {settings.track_url}")
        out.print("Ctrl-C stops all of it.")
        _serve_dagster(home, port)


@contextlib.contextmanager
def _worker() -> Generator[None]:
    """`cio worker`, whose complaints are shown."""
    command = [Path(sys.executable).with_name("cio"), "worker"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)  # noqa: S603  # our own
    try:
        yield
    finally:
        _stop(process)


def _serve_dagster(home: Path, port: int) -> None:
    dagster = str(Path(sys.executable).parent / "dagster")
    command = [dagster, "dev", "-w", str(ROOT / "workspace.yaml"), "-h", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(  # noqa: S603  # our own executable
        command,
        # elsewhere it would warn that the project's dagster.yaml, which `home` has a copy of, is not used
        cwd=home,
        env={**os.environ, "DAGSTER_HOME": str(home), "PYTHONWARNINGS": "ignore:Function"},
        start_new_session=True,
    )
    try:
        code = process.wait()
    except KeyboardInterrupt:
        code = 0
    finally:
        # Its web server, daemon and code servers are a group: none may outlive this command.
        _stop(process)
    raise typer.Exit(code)


def _stop(process: subprocess.Popen[bytes], patience: float = 15.0) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.1)
