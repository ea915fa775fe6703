"""Approving a plan by its run's id: it is planned anew, and sent if that gives the very same operations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from cio_pipelines.sync.errors import ApprovalRefused
from cio_pipelines.sync.key import RunKey
from cio_pipelines.sync.runs import UNFINISHED, Runs, run_key
from cio_pipelines.sync.state import sync_plan
from cio_pipelines.sync.windows import Window
from cio_pipelines.warehouse import WarehouseConnection

READABLE = ("dry_run", "blocked")
"""Statuses of a run whose plan was kept to be read."""

_CARRIED_OUT = (*UNFINISHED, "committed")


@dataclass(frozen=True, slots=True)
class Agreement:
    """How a plan compares with the approved one, in operations; `moved` is set when it looked elsewhere."""

    approved_plan: str
    new: int = 0
    gone: int = 0
    different: int = 0
    moved: str | None = None

    @property
    def passed(self) -> bool:
        """Whether both plans are the same set of operations."""
        return self.new == self.gone == self.different == 0

    def __str__(self) -> str:
        if self.passed:
            return f"This is the plan that was approved as {self.approved_plan}, operation by operation."
        return (
            f"This is not the plan that was approved as {self.approved_plan}: {self.new:,} operations are "
            f"new, {self.gone:,} are gone and {self.different:,} are different.{self.moved or ''} "
            "Nothing was sent."
        )


def approvable(runs: Runs, run_id: str, kind: str, days: int, asker: str | None = None) -> sa.Row[Any]:
    """The row of a run of this `kind` whose plan can be approved now.

    `days` is how long plans are kept, `asker` the run that wants to carry it out. Raises ApprovalRefused.
    """
    found = runs.look_up(run_id)
    anew = "Plan anew (cio sync people --dry-run), read that plan, and approve it by its own id."
    if found is None:
        raise ApprovalRefused(
            f"There is no plan {run_id} of this workspace to approve: it is mistyped, of another workspace, "
            f"or was forgotten after {days} days (CIO_RETENTION_DAYS).",
            anew,
        )
    if found.kind != kind:
        raise ApprovalRefused(f"Run {run_id} is of kind {found.kind}, and no plan of kind {kind}.", anew)
    if found.status in _CARRIED_OUT:
        raise ApprovalRefused(f"Plan {run_id} was carried out by its own run ({found.status}).", anew)
    if found.status not in READABLE:
        raise ApprovalRefused(f"Run {run_id} ended before it had a plan ({found.status}).", anew)
    if found.extracted_at < datetime.now(UTC) - timedelta(days=days):
        raise ApprovalRefused(
            f"Plan {run_id} is older than the {days} days that plans are kept (CIO_RETENTION_DAYS).", anew
        )
    users = [user for user in runs.carried_out(run_id) if user != asker]
    if users:
        raise ApprovalRefused(
            f"Plan {run_id} was approved before, and carried out by run {users[0]}: an approval is good for "
            "one push.",
            anew,
        )
    return found


def compare(connection: WarehouseConnection, runs: Runs, approved: sa.Row[Any], run: RunKey) -> Agreement:
    """Whether a run has planned what the approved one had: the same operations on the same people.

    An operation is the same when its phase, hash and removals are, and when both are sent or both held back.
    """
    columns = ("person_id", "phase", "operation", "attributes_hash", "removals", "fault_field")
    old, new = (
        sa.select(*(sync_plan.c[name] for name in columns)).where(each.owns(sync_plan)).subquery(name)
        for name, each in (("approved", run_key(runs.key, approved)), ("planned", run))
    )
    same = sa.and_(
        old.c.operation == new.c.operation,
        old.c.attributes_hash.is_not_distinct_from(new.c.attributes_hash),
        sa.func.coalesce(old.c.removals, "") == sa.func.coalesce(new.c.removals, ""),
        old.c.fault_field.is_not_distinct_from(new.c.fault_field),
    )
    is_new, is_gone = old.c.person_id.is_(None), new.c.person_id.is_(None)
    kinds = is_new, is_gone, sa.not_(sa.or_(is_new, is_gone, same))
    both = old.join(new, sa.and_(old.c.person_id == new.c.person_id, old.c.phase == new.c.phase), full=True)
    counts = sa.select(
        *(sa.func.coalesce(sa.func.sum(sa.case((kind, 1), else_=0)), 0) for kind in kinds)
    ).select_from(both)
    found = [int(n) for n in connection.rows(counts)[0]]
    before = Window(approved.window_start, approved.window_end)
    mine = runs.find(run.run_id, "extracted")
    now = Window(mine.window_start, mine.window_end)
    moved = "" if before == now else f" It looked at {before}, and this run at {now}."
    return Agreement(approved.run_id, *found, moved=moved or None)
