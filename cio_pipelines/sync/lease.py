"""A run plans and pushes only while it holds the lease of its workspace and sync."""

from __future__ import annotations

import time
from dataclasses import dataclass

from cio_pipelines.sync.errors import PlanOutdated, SyncInProgress
from cio_pipelines.sync.key import SyncKey
from cio_pipelines.sync.state import sync_lease
from cio_pipelines.warehouse import WarehouseConnection, leases

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
"""Seconds between looks at a lease that another run holds; each pause is twice the one before."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The lease of one workspace and sync, as `owner` (a run id) sees it; a push beats with every flush."""

    key: SyncKey
    owner: str

    @property
    def _lease(self) -> leases.Lease:
        return leases.Lease(sync_lease, self.key.values, self.owner)

    def acquire(self, connection: WarehouseConnection, wait_seconds: float = 0.0) -> None:
        """Take the lease, or take it over from an owner that is dead or out of time.

        Raises:
            SyncInProgress: another run holds it, after so many seconds still.
        """
        until = time.monotonic() + wait_seconds
        pause = _FIRST_PAUSE
        while (holder := self._lease.acquire(connection)) is not None and time.monotonic() < until:
            time.sleep(min(pause, max(0.0, until - time.monotonic())))
            pause = min(2 * pause, _LONGEST_PAUSE)
        if holder is not None:
            raise SyncInProgress(
                f"Run {holder.owner} (process {holder.pid} on {holder.host}) is syncing this workspace.",
                f"Wait until it ends; a run that hangs loses its lease at {holder.expires_at:%H:%M:%S} UTC.",
            )

    def renew(self, connection: WarehouseConnection) -> None:
        """Show that the owner lives.

        Raises:
            PlanOutdated: the lease is no longer this run's.
        """
        if not self.is_held(connection):
            raise PlanOutdated(
                f"Run {self.owner} no longer holds the lease of this workspace.",
                "Run the sync again: it plans anew.",
            )

    def is_held(self, connection: WarehouseConnection) -> bool:
        """As `renew`, and whether the lease is this run's."""
        return self._lease.renew(connection)

    def release(self, connection: WarehouseConnection) -> None:
        """Give the lease back; nothing happens when it is not this run's."""
        self._lease.release(connection)
