"""One load at a time: two that read the same objects would both find their events new."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager, suppress

from cio_pipelines.landing.errors import LoadInProgress
from cio_pipelines.landing.manifest import load_leases
from cio_pipelines.warehouse import WarehouseConnection, WarehouseError
from cio_pipelines.warehouse.leases import LEASE_SECONDS, Lease

_BEAT_SECONDS = LEASE_SECONDS / 5


class LoadLease:
    """The lease of one source of objects, held by a run."""

    def __init__(self, connection: WarehouseConnection, lease: Lease) -> None:
        self._connection = connection
        self._lease = lease
        self._beaten_at = time.monotonic()

    def beat(self) -> None:
        """Show, if it is time, that the run lives. Raises LoadInProgress when another one took over."""
        if time.monotonic() - self._beaten_at >= _BEAT_SECONDS:
            self.demand()

    def demand(self) -> None:
        """As `beat`, at once: before something is written."""
        self._beaten_at = time.monotonic()
        if not self._lease.renew(self._connection):
            raise LoadInProgress(
                f"Run {self._lease.owner} was silent for {LEASE_SECONDS} s, and another load began.",
                "Nothing is lost or doubled, and the other run loads the rest: see that it ends well.",
            )


@contextmanager
def loading(connection: WarehouseConnection, source: str, run_id: str) -> Generator[LoadLease]:
    """Hold the lease of a source of objects. Not in a transaction.

    Raises:
        LoadInProgress: another run holds it.
    """
    lease = Lease(load_leases, {"source": source}, run_id)
    holder = lease.acquire(connection)
    if holder is not None:
        raise LoadInProgress(
            f"Run {holder.owner} (process {holder.pid} on {holder.host}) is loading {source}.",
            f"Wait until it ends; a run that hangs loses its lease at {holder.expires_at:%H:%M:%S} UTC.",
        )
    try:
        yield LoadLease(connection, lease)
    except BaseException:
        with suppress(WarehouseError):  # what went wrong is on its way; the lease expires
            lease.release(connection)
        raise
    lease.release(connection)
