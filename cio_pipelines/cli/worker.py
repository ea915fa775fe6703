"""`cio worker`: deliver what waits in the queue."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from cio_pipelines.cli.console import complain
from cio_pipelines.cli.logs import log_to_standard_error
from cio_pipelines.messaging.fates import WorkerSettings
from cio_pipelines.messaging.handlers import CredentialsRefused
from cio_pipelines.messaging.queue.protocol import QUEUES
from cio_pipelines.messaging_setup import open_worker, worker_settings
from cio_pipelines.secret_files import watched
from cio_pipelines.settings import Settings, SettingsError, load_settings

if TYPE_CHECKING:
    from cio_pipelines.messaging.worker import Worker

_log = logging.getLogger(__name__)
_REPORT_SECONDS = 30.0


def worker(
    queues: Annotated[
        list[str] | None,
        typer.Option(
            "--queue", help="Serve only this one of identify, track, transactional, broadcast; repeatable."
        ),
    ] = None,
    until_empty: Annotated[
        bool, typer.Option("--until-empty", help="End when nothing waits that could go now, as from cron.")
    ] = False,
) -> None:
    """Deliver queued messages to Customer.io until SIGTERM or Ctrl-C, and then finish what is on its way."""
    settings = load_settings()
    chosen = _chosen(settings, queues or [])
    log_to_standard_error()
    try:
        while asyncio.run(_work(settings, chosen, until_empty=until_empty)):
            settings = load_settings()
            chosen = _chosen(settings, queues or [])
    except CredentialsRefused as error:
        complain(f"{error} What was taken is back in the queue.")
        raise typer.Exit(1) from None


def _chosen(settings: Settings, wanted: list[str]) -> WorkerSettings:
    """How to work. Raises SettingsError for a queue that there is not."""
    unknown = [name for name in wanted if name not in QUEUES]
    if unknown:
        raise SettingsError(f"There is no queue {unknown[0]}. Queues are: {', '.join(QUEUES)}.")
    configured = worker_settings(settings)
    if not wanted:
        return configured
    concurrency = {name: number for name, number in configured.concurrency.items() if name in wanted}
    return replace(configured, concurrency=concurrency)


async def _work(settings: Settings, how: WorkerSettings, *, until_empty: bool) -> bool:
    """Returns whether it ended because secrets have changed: then a new worker is to begin."""
    changed = told_to_end = False
    async with open_worker(settings, how) as worker:
        loop = asyncio.get_running_loop()

        def begin_anew() -> None:
            nonlocal changed
            changed = True
            worker.stop()

        def end() -> None:
            nonlocal told_to_end
            told_to_end = True
            worker.stop()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, end)
        _log.info("working", extra={"fields": {"queues": ",".join(how.queues)}})
        reporting = asyncio.create_task(_report(worker))
        look = settings.cio_secret_look_seconds
        with watched(os.environ, look, lambda: _tell(loop, begin_anew)):
            try:
                await worker.run(until_empty=until_empty)
            finally:
                reporting.cancel()
                _log.info("stopped", extra={"fields": dict(worker.counts)})
    return changed and not told_to_end


def _tell(loop: asyncio.AbstractEventLoop, begin_anew: Callable[[], None]) -> None:
    """From the thread that looks: a new worker, when what is set now can be used."""
    try:
        load_settings()
    except SettingsError as error:
        fields = {"reason": f"{error} What was set before holds."}
        _log.error("secrets are not taken", extra={"fields": fields})
        return
    _log.info("secrets were read again")
    loop.call_soon_threadsafe(begin_anew)


async def _report(worker: Worker) -> None:
    """Tell now and then what was done, when anything was."""
    told: dict[str, int] = {}
    while True:
        await asyncio.sleep(_REPORT_SECONDS)
        counts = dict(worker.counts)
        if counts != told:
            _log.info("delivered", extra={"fields": counts})
            told = counts
