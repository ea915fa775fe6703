"""One load at a time: two that read the same objects would both find their events new."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, suppress

from cio_pipelines.landing.errors import LoadInProgress
from cio_pipelines.landing.manifest import load_leases
from cio_pipelines.warehouse import WarehouseConnection, WarehouseError
from cio_pipelines.warehouse.leases import LEASE_SECONDS, Heartbeat, Lease


@contextmanager
def loading(connection: WarehouseConnection, source: str, run_id: str) -> Generator[Heartbeat]:
    """Hold the lease of a source of objects. Not in a transaction.

    Yields:
        Its heartbeat, which raises LoadInProgress when another run took over.

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

    def renew() -> None:
        if not lease.renew(connection):
            raise LoadInProgress(
                f"Run {run_id} was silent for {LEASE_SECONDS} s, and another load began.",
                "Nothing is lost or doubled, and the other run loads the rest: see that it ends well.",
            )

    try:
        yield Heartbeat(renew)
    except BaseException:
        with suppress(WarehouseError):  # what went wrong is on its way; the lease expires
            lease.release(connection)
        raise
    lease.release(connection)
