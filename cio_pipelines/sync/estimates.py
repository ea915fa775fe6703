"""What a push of a plan will need, before it is sent: requests, bytes, and time at the configured rate."""

from __future__ import annotations

from dataclasses import dataclass, replace

import sqlalchemy as sa

from cio_pipelines.customerio.encoding import FRAME_BYTES, bodies_needed
from cio_pipelines.sync.candidates import frame_bytes
from cio_pipelines.sync.key import RunKey
from cio_pipelines.sync.state import sync_plan
from cio_pipelines.warehouse import WarehouseConnection
from cio_pipelines.warehouse import functions as fn


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the first try of every body needs. `minutes` is the least that the rate allows."""

    operations: int = 0
    requests: int = 0
    bytes_sent: int = 0
    requests_per_second: float = 100.0

    @property
    def minutes(self) -> float:
        return self.requests / self.requests_per_second / 60

    def at(self, requests_per_second: float) -> Estimate:
        """The same at another rate."""
        return replace(self, requests_per_second=requests_per_second)


def estimate_push(
    connection: WarehouseConnection, run: RunKey, timestamp: int, rows_per_batch: int
) -> Estimate:
    """Reckon from the lengths of what is planned.

    `timestamp` is that of the operations, in unix seconds; `rows_per_batch` how many of a phase are cut into
    bodies at once.

    The bodies are those of the encoder for operations that are all alike: real ones end a little earlier or
    later. An id is taken to need no escapes.
    """
    plan = sync_plan.c
    removals = sa.case(
        (sa.func.coalesce(plan.removals, "") == "", 0), else_=fn.byte_length(plan.removals) + 1
    )
    sizes = [fn.byte_length(plan.person_id), fn.byte_length(plan.attributes), removals]
    counted = (
        sa.select(plan.phase, plan.operation, sa.func.count(), *(sa.func.sum(size) for size in sizes))
        .where(run.owns(sync_plan), plan.fault_field.is_(None))
        .group_by(plan.phase, plan.operation)
    )
    phases: dict[int, tuple[int, int]] = {}
    for phase, operation, count, *lengths in connection.rows(counted):
        size = int(count) * (frame_bytes(operation, timestamp) + 2) + sum(int(n or 0) for n in lengths)
        before = phases.get(phase, (0, 0))
        phases[phase] = before[0] + int(count), before[1] + size
    requests = sum(_bodies(count, size, rows_per_batch) for count, size in phases.values())
    return Estimate(
        operations=sum(count for count, _ in phases.values()),
        requests=requests,
        bytes_sent=sum(size for _, size in phases.values()) + requests * FRAME_BYTES,
    )


def _bodies(count: int, size: int, rows_per_batch: int) -> int:
    """Bodies of a phase, which is read and cut in batches of rows."""
    full, rest = divmod(count, rows_per_batch)
    each = size / count
    return full * bodies_needed(rows_per_batch, each) + bodies_needed(rest, each)
