"""Doing what has been planned: when its moment comes, and at the latest when somebody looks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from cio_pipelines.sandbox.app import broadcasts, sending
from cio_pipelines.sandbox.app.files import CannotFetch, fetch
from cio_pipelines.sandbox.app.recipients import entries_of_file, named
from cio_pipelines.sandbox.deliveries import STEPS, go_on
from cio_pipelines.sandbox.options import SandboxError
from cio_pipelines.sandbox.shelf import Trigger
from cio_pipelines.sandbox.workspace import Workspace

_LONGEST_SLEEP = 3600.0
_AGAIN_SECONDS = 1.0


class Duties:
    """Carries out a workspace's agenda. `settle` writes down what has changed; it may raise SandboxError."""

    def __init__(self, workspace: Workspace, settle: Callable[[], None]) -> None:
        self._workspace = workspace
        self._settle = settle
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = 0.0
        self._fetching: set[asyncio.Task[None]] = set()

    def restore(self) -> None:
        """Plan anew what a workspace read from its database still has to do."""
        workspace = self._workspace
        for key, delivery in workspace.deliveries.items():
            if delivery.held:
                workspace.agenda.add(delivery.send_at, sending.RELEASE, key)
            elif delivery.ahead:
                workspace.agenda.add(delivery.ahead[0].at, STEPS, key)
        for key, trigger in workspace.shelf.triggers.items():
            if trigger.processed_at is None:
                workspace.agenda.add(trigger.due_at, broadcasts.TRIGGER, key)

    def perform(self) -> None:
        """Do everything that is due, and wake up for the next thing. Needs a running event loop.

        Changes are not written down.
        """
        workspace = self._workspace
        for kind, key in workspace.agenda.due(time.time()):
            if kind == sending.RELEASE:
                sending.release(workspace, key)
            elif kind == STEPS:
                go_on(workspace, key)
            else:
                self._process(workspace.shelf.triggers.get(key))
        next_at = workspace.agenda.next_at
        if next_at is not None and (self._timer is None or next_at < self._wakes_at):
            self._sleep(next_at)

    def forget(self) -> None:
        """Stop fetching files, and sleeping."""
        fetching, self._fetching = self._fetching, set()
        for task in fetching:
            task.cancel()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sleep(self, until: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._wakes_at = until
        seconds = min(max(until - time.time(), 0.0), _LONGEST_SLEEP)
        self._timer = asyncio.get_running_loop().call_later(seconds, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._perform_and_write()

    def _perform_and_write(self) -> None:
        self.perform()
        try:
            self._settle()
        except SandboxError:
            # What could not be written stays noted as changed: the next attempt has it too.
            self._sleep(time.time() + _AGAIN_SECONDS)

    def _process(self, trigger: Trigger | None) -> None:
        if trigger is None or trigger.processed_at is not None:
            return
        if trigger.audience != "data_file_url":
            broadcasts.process(self._workspace, trigger)
            return
        task = asyncio.get_running_loop().create_task(self._fetch(trigger))
        self._fetching.add(task)
        task.add_done_callback(self._fetching.discard)

    async def _fetch(self, trigger: Trigger) -> None:
        request = trigger.request
        try:
            content = await fetch(request["data_file_url"])
        except CannotFetch as error:
            broadcasts.fail(self._workspace, trigger, str(error))
        else:
            audience = named(self._workspace, request, entries_of_file(content))
            broadcasts.process(self._workspace, trigger, audience)
        self._perform_and_write()
