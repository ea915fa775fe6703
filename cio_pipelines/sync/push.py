"""Sending a plan: stream operations out, keep bodies in flight, write the ledger as they end.

Memory is bounded: one Arrow batch of the plan, the bodies in flight, and what the ledger has not taken yet.
"""

# pyarrow carries no types
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import pyarrow as pa
import sqlalchemy as sa

from cio_pipelines.customerio import (
    CustomerIOError,
    EncodedOperations,
    RateLimited,
    RetryBudgetExhausted,
    SendResult,
    ServerError,
    TrackClient,
    TransportError,
)
from cio_pipelines.customerio.errors import DeadlineExceeded
from cio_pipelines.sync.lease import Lease
from cio_pipelines.sync.ledger import Answered, Ledger
from cio_pipelines.warehouse import Warehouse, WarehouseConnection, WarehouseError

_T = TypeVar("_T")

Progress = Callable[[int, int], None]
"""Called with the number of operations answered so far, and of those to be sent."""

_PASSING = (TransportError, ServerError, RateLimited, RetryBudgetExhausted, DeadlineExceeded)
_MAX_FAILED_BODIES = 3
"""Bodies in a row that may end without an answer, each after all its retries, before the push stops."""
_HEARTBEAT_SECONDS = 30.0
_READY_BODIES = 10
"""Bodies that are cut ahead, 5 MB of them: enough for the time that the next rows take to come."""


@dataclass(frozen=True, slots=True)
class PushSettings:
    """The ledger is flushed after `flush_people` operations or `flush_seconds`, whichever comes first."""

    max_in_flight: int = 10
    flush_people: int = 10_000
    flush_seconds: float = 1.0
    rows_per_batch: int = 20_000


@dataclass(slots=True)
class Costs:
    """What sending cost so far.

    `ended_by` is the error that stopped the push; `unanswered` the latest one that left a body without an
    answer, which the others need not mind.
    """

    requests: int = 0
    attempts: int = 0
    bytes_sent: int = 0
    ended_by: CustomerIOError | None = None
    unanswered: CustomerIOError | None = None


@dataclass(slots=True)
class _Body:
    phase: int
    subjects: pa.Array[Any]
    operations: pa.Array[Any]
    encoded: EncodedOperations
    start: int
    stop: int


@dataclass(slots=True)
class Pusher:
    """Sends the plan of one run. Use `run` once.

    `phases` are statements that give a phase's operations: `subject` (as the ledger names it), `operation`,
    and `payload`, the JSON text with the comma that `EncodedOperations` wants behind it. One is read when all
    of the one before is answered and in the ledger.
    """

    warehouse: Warehouse
    connection: WarehouseConnection
    ledger: Ledger
    lease: Lease
    phases: Sequence[sa.Select[Any]]
    settings: PushSettings
    total: int = 0
    on_progress: Progress | None = None
    costs: Costs = field(default_factory=Costs)
    _answered: list[Answered] = field(default_factory=list[Answered])
    _done: int = 0
    _pending: int = 0
    _flushed_at: float = 0.0
    _beat_at: float = 0.0
    _bodies: int = 0
    _failed_in_a_row: int = 0
    _flushing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self, client: TrackClient) -> None:
        """Send one phase after the other. Whatever ends it, all that was answered is in the ledger.

        What it cost, and the error that stopped it early, are in `costs`.

        Raises WarehouseError when the ledger cannot be written, PlanOutdated when the lease is lost.
        """
        self._flushed_at = self._beat_at = time.monotonic()
        try:
            for phase, operations in enumerate(self.phases, 1):
                if self.costs.ended_by is None:
                    await self._send_phase(client, phase, operations)
                    await self._flush(force=True)
        finally:
            # Cancelled (Ctrl-C) or failed: the answers that came in are facts and must not be lost.
            await asyncio.shield(self._flush(force=True))

    async def _send_phase(self, client: TrackClient, phase: int, operations: sa.Select[Any]) -> None:
        queue: asyncio.Queue[_Body | None] = asyncio.Queue(_READY_BODIES)
        failure: Exception | None = None
        try:
            async with asyncio.TaskGroup() as beside:
                clock = beside.create_task(self._tick())
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._feed(phase, operations, queue))
                    for _ in range(self.settings.max_in_flight):
                        group.create_task(self._work(client, queue))
                clock.cancel()
        except* Exception as failures:  # noqa: BLE001  # unwrapped and raised below
            failure = _first(failures)
        if failure is not None:
            raise failure

    async def _tick(self) -> None:
        """Flush by the clock too: the next answer may be a minute away."""
        while True:
            await asyncio.sleep(self.settings.flush_seconds)
            await self._flush()

    async def _feed(self, phase: int, operations: sa.Select[Any], queue: asyncio.Queue[_Body | None]) -> None:
        batches = self._batches(operations)
        try:
            await self._cut(phase, batches, queue)
        finally:
            # Closed here and not when it is collected: until then the database stays open.
            batches.close()
        for _ in range(self.settings.max_in_flight):
            await queue.put(None)

    async def _cut(
        self, phase: int, batches: Generator[pa.RecordBatch], queue: asyncio.Queue[_Body | None]
    ) -> None:
        while self.costs.ended_by is None:
            batch = await _in_thread(partial(next, batches, None))
            if batch is None:
                break
            encoded = EncodedOperations.from_arrow(batch.column("payload"))
            for start, stop in encoded.pack():
                if self.costs.ended_by is not None:
                    break
                subjects, operations = (
                    batch.column(name).slice(start, stop - start) for name in ("subject", "operation")
                )
                await queue.put(_Body(phase, subjects, operations, encoded, start, stop))

    def _batches(self, operations: sa.Select[Any]) -> Generator[pa.RecordBatch]:
        yield from self.connection.batches(operations, rows_per_batch=self.settings.rows_per_batch)

    async def _work(self, client: TrackClient, queue: asyncio.Queue[_Body | None]) -> None:
        while (body := await queue.get()) is not None:
            if self.costs.ended_by is not None:
                continue
            result = await client.send(body.encoded, body.start, body.stop)
            self._take(body, result)
            await self._flush()

    def _take(self, body: _Body, result: SendResult) -> None:
        self._bodies += 1
        self.costs.requests += result.requests
        self.costs.attempts += result.attempts
        self.costs.bytes_sent += result.bytes_sent
        self._answered.append(Answered(self._bodies, body.phase, body.subjects, body.operations, result))
        count = result.stop - result.start
        self._pending += count
        self._done += count
        if self.on_progress is not None:
            self.on_progress(self._done, self.total)
        error = result.error
        if error is None:
            self._failed_in_a_row = 0
            return
        self._failed_in_a_row += 1
        self.costs.unanswered = error
        if not isinstance(error, _PASSING) or self._failed_in_a_row >= _MAX_FAILED_BODIES:
            self.costs.ended_by = self.costs.ended_by or error

    async def _flush(self, *, force: bool = False) -> None:
        elapsed = time.monotonic() - self._flushed_at
        due = self._pending >= self.settings.flush_people or elapsed >= self.settings.flush_seconds
        if not (force or due) or (self._flushing.locked() and not force):
            return
        async with self._flushing:
            answered, self._answered, self._pending = self._answered, [], 0
            self._flushed_at = time.monotonic()
            try:
                await _in_thread(partial(self._write, answered))
            except WarehouseError:
                # Nothing of it was kept: the last flush tries again.
                self._answered = answered + self._answered
                raise

    def _write(self, answered: list[Answered]) -> None:
        self.ledger.record(self.connection, answered)
        if time.monotonic() - self._beat_at > _HEARTBEAT_SECONDS:
            self.lease.renew(self.connection)
            self._beat_at = time.monotonic()


async def _in_thread(work: Callable[[], _T]) -> _T:
    """Run `work` beside the loop; when cancelled, wait for its end first, for it goes on all the same."""
    working = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait([working])
        raise


def _first(group: ExceptionGroup[Exception]) -> Exception:
    """The first plain exception in a group of groups."""
    found = group.exceptions[0]
    return _first(found) if isinstance(found, ExceptionGroup) else found
