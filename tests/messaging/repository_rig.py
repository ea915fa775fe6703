"""The repository over a rig's mart and sandbox."""

from __future__ import annotations

from typing import Any

from cio_pipelines.messaging.instruments import Instruments
from cio_pipelines.messaging.repository import UserMessagingRepository
from cio_pipelines.sync.settings import SyncSettings
from tests.sync.rig import SyncRig


def repository(
    rig: SyncRig, *, wait_seconds: float = 10.0, instruments: Instruments | None = None, **settings: Any
) -> UserMessagingRepository:
    """A repository of the rig's workspace."""
    chosen = {"workspace": "tests", **rig.defaults, **settings}
    return UserMessagingRepository(
        rig.warehouse, SyncSettings(**chosen), rig.client, wait_seconds=wait_seconds, instruments=instruments
    )


class Watch:
    """What the sandbox has received since the watch began."""

    def __init__(self, rig: SyncRig) -> None:
        self._rig = rig
        self.restart()

    def restart(self) -> None:
        self._seen = len(self._rig.log())

    @property
    def log(self) -> list[tuple[str, str, str]]:
        """(action, id, outcome), in order."""
        return self._rig.log()[self._seen :]
