"""A run plans and pushes only while it holds the lease of its workspace and sync."""

from __future__ import annotations

from dataclasses import dataclass

from cio_pipelines.sync.errors import PlanOutdated, SyncInProgress
from cio_pipelines.sync.key import SyncKey
from cio_pipelines.sync.state import sync_lease
from cio_pipelines.warehouse import WarehouseConnection, leases


@dataclass(frozen=True, slots=True)
class Lease:
    """The lease of one workspace and sync, as `owner` (a run id) sees it; a push beats with every flush."""

    key: SyncKey
    owner: str

    @property
    def _lease(self) -> leases.Lease:
        return leases.Lease(sync_lease, self.key.values, self.owner)

    def acquire(self, connection: WarehouseConnection) -> None:
        """Take the lease, or take it over from an owner that is dead or out of time.

        Raises:
            SyncInProgress: another run holds it.
        """
        holder = self._lease.acquire(connection)
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
