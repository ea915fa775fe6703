"""From a request's operations to their effect and their place in the log, faults of operations included."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence

from cio_pipelines.sandbox.apply import DONE, Effect, apply
from cio_pipelines.sandbox.batch import BatchReader, Problem, Reading
from cio_pipelines.sandbox.faults import Fault, FaultPlan, struck
from cio_pipelines.sandbox.losses import lose
from cio_pipelines.sandbox.options import SandboxOptions
from cio_pipelines.sandbox.records import Logged
from cio_pipelines.sandbox.stats import Stats
from cio_pipelines.sandbox.wire import Operation
from cio_pipelines.sandbox.workspace import Workspace

_Work = tuple[Operation | None, Problem | None, Fault | None]
"""An operation, why it is refused (if it is), and the fault that strikes it."""
_RANDOM = random.Random()  # noqa: S311  # the order within a batch is no secret


class Intake:
    """Takes operations in. `settled` is called after changes to the workspace, to write them down."""

    def __init__(
        self,
        options: SandboxOptions,
        workspace: Workspace,
        stats: Stats,
        faults: FaultPlan,
        settled: Callable[[], None],
    ) -> None:
        self._options = options
        self._workspace = workspace
        self._stats = stats
        self._faults = faults
        self._settled = settled
        self._waiting: set[asyncio.Task[None]] = set()
        self.reader = BatchReader(
            exact=not options.discard,
            id_only=options.workspace_kind == "id",
            max_item_bytes=options.max_item_bytes,
        )

    def batch(self, body: bytes, path: str) -> list[dict[str, object]]:
        """Take a batch in; returns the entries for `errors`. Raises MalformedBatch, then nothing was done."""
        faults = self._faults.for_operations(path)
        reading = self.reader.read(body, keep=bool(faults) or not self._options.discard)
        if not faults and self._options.discard:
            self._count_only(reading)
            return [problem.entry(numbered=True) for problem in reading.problems]
        return [e for problem in self._take(reading, faults) for e in self._entries(problem, faults)]

    def one(self, operation: Operation, path: str) -> list[dict[str, object]]:
        """Take one valid operation in; returns the entries for `errors` when a fault refuses it."""
        reading = Reading(1, [operation])
        faults = self._faults.for_operations(path)
        problems = self._take(reading, faults)
        return [problem.entry(numbered=False) for problem in problems]

    def refuse(self, operation: Operation | None, problem: Problem) -> None:
        """Log an operation that was refused by itself."""
        self._log(operation, "rejected", problem)

    def forget(self) -> None:
        """Drop what was accepted and waits to be applied."""
        waiting, self._waiting = self._waiting, set()
        for task in waiting:
            task.cancel()

    def _count_only(self, reading: Reading) -> None:
        for (kind, action), count in reading.accepted.items():
            self._stats.operations(kind, action, "accepted", count)
        if reading.problems:
            self._stats.operations("unknown", "unknown", "rejected", len({p.index for p in reading.problems}))

    def _take(self, reading: Reading, faults: list[Fault]) -> list[Problem]:
        problems = {problem.index: problem for problem in reading.problems}
        work: list[_Work] = []
        for index, operation in enumerate(reading.operations):
            problem = problems.get(index)
            fault = struck(operation.subject, faults) if problem is None and operation is not None else None
            if fault is not None and fault.kind == "reject":
                problem = problems[index] = Problem(index, fault.reason, fault.field, fault.message)
            work.append((operation, problem, fault))
        if self._options.shuffle:
            _RANDOM.shuffle(work)
        if self._options.apply_delay and not self._options.discard:
            self._later(work)
        else:
            self._perform(work)
        return [problems[index] for index in sorted(problems)]

    def _later(self, work: Sequence[_Work]) -> None:
        async def wait() -> None:
            try:
                await asyncio.sleep(self._options.apply_delay)
            finally:  # a stop applies at once what still waits
                if task in self._waiting:
                    self._perform(work)
                    self._settled()

        task = asyncio.get_running_loop().create_task(wait())
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    def _perform(self, work: Sequence[_Work]) -> None:
        for operation, problem, fault in work:
            if operation is None or problem is not None:
                self._log(operation, "rejected", problem or DONE)
                continue
            if self._options.discard:
                effect = DONE
            elif fault is not None:
                effect = lose(self._workspace, operation, fault)
            else:
                effect = apply(self._workspace, operation)
            self._log(operation, effect.outcome, effect)

    def _log(self, operation: Operation | None, outcome: str, why: Effect | Problem) -> None:
        kind = (operation.type if operation is not None else None) or "unknown"
        action = (operation.action if operation is not None else None) or "unknown"
        self._stats.operations(kind, action, outcome)
        if self._options.discard:
            return
        workspace = self._workspace
        workspace.last_operation += 1
        workspace.log_operation(
            Logged(
                workspace.last_operation,
                action,
                kind,
                operation.subject if operation is not None else "",
                outcome,
                round(time.time(), 3),
                why.reason,
                why.field,
                why.message if isinstance(why, Problem) else "",
                (operation.name if operation is not None else None) or "",
                (operation.id if operation is not None else None) or "",
            )
        )

    @staticmethod
    def _entries(problem: Problem, faults: list[Fault]) -> list[dict[str, object]]:
        entry = problem.entry(numbered=True)
        times = max(
            (f.entries for f in faults if f.kind == "reject" and f.message == problem.message), default=1
        )
        return [entry] * times
