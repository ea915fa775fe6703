"""One writer: a run plans and pushes only while it holds the lease of its workspace and sync.

A lease ends by release, by expiry, or by its owner's death, which is seen at once when the owner ran on this
machine: a sync killed with SIGKILL can be started again immediately.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psutil
import sqlalchemy as sa

from cio_pipelines.sync.errors import PlanOutdated, SyncInProgress
from cio_pipelines.sync.key import SyncKey
from cio_pipelines.sync.state import sync_lease
from cio_pipelines.warehouse import WarehouseConnection

LEASE_SECONDS = 300
"""How long a lease holds without a heartbeat; a push beats with every flush of the ledger."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The lease of one workspace and sync, as `owner` (a run id) sees it."""

    key: SyncKey
    owner: str

    @property
    def _any(self) -> sa.ColumnElement[bool]:
        return self.key.owns(sync_lease)

    @property
    def _mine(self) -> sa.ColumnElement[bool]:
        return sa.and_(self._any, sync_lease.c.owner == self.owner)

    def acquire(self, connection: WarehouseConnection) -> None:
        """Take the lease, or take it over from an owner that is dead or out of time.

        Raises:
            SyncInProgress: another run holds it.
        """
        now = datetime.now(UTC)
        with connection.transaction():
            for held in connection.rows(sa.select(sync_lease).where(self._any)):
                if held.owner != self.owner and held.expires_at > now and not _is_dead(held):
                    raise SyncInProgress(
                        f"Run {held.owner} (process {held.pid} on {held.host}) is syncing this workspace.",
                        "Wait until it ends; a run that hangs loses its lease at "
                        f"{held.expires_at:%H:%M:%S} UTC.",
                    )
            connection.execute(sync_lease.delete().where(self._any))
            me = psutil.Process()
            connection.execute(
                sync_lease.insert().values(
                    **self.key.values,
                    owner=self.owner,
                    host=socket.gethostname(),
                    pid=os.getpid(),
                    process_started=me.create_time(),
                    acquired_at=now,
                    expires_at=now + timedelta(seconds=LEASE_SECONDS),
                )
            )

    def renew(self, connection: WarehouseConnection) -> None:
        """Show that the owner lives.

        Raises:
            PlanOutdated: the lease is no longer this run's.
        """
        now = datetime.now(UTC)
        if connection.scalar(sa.select(sa.func.count()).select_from(sync_lease).where(self._mine)) != 1:
            raise PlanOutdated(
                f"Run {self.owner} no longer holds the lease of this workspace.",
                "Run the sync again: it plans anew.",
            )
        connection.execute(
            sync_lease.update().where(self._mine).values(expires_at=now + timedelta(seconds=LEASE_SECONDS))
        )

    def release(self, connection: WarehouseConnection) -> None:
        """Give the lease back; nothing happens when it is not this run's."""
        connection.execute(sync_lease.delete().where(self._mine))


def _is_dead(held: sa.Row[tuple[object, ...]]) -> bool:
    if held.host != socket.gethostname():
        return False
    try:
        owner = psutil.Process(held.pid)
        # a process id is used again after a while; its start time tells the two apart
        return owner.status() == psutil.STATUS_ZOMBIE or abs(owner.create_time() - held.process_started) > 1.0
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False  # it is there, and another user's
