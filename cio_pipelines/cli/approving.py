"""`cio sync people --approve`: the request that carries out a plan somebody has read."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from cio_pipelines.settings import Settings
from cio_pipelines.sync.errors import ApprovalRefused

if TYPE_CHECKING:
    from cio_pipelines.runs import Request


def approving(settings: Settings, plan: str, today: str) -> Request:
    """What was approved, over the window that the plan has looked at. Raises ApprovalRefused.

    Args:
        settings: the workspace must be the plan's.
        plan: the run's id; that of an erasure ends with `/erasure`. Of a plan of everybody the erasure that
            was planned beside it is approved too, if it can be.
        today: the partition on which a look at everybody is recorded.
    """
    from cio_pipelines.metadata import ERASURE as SUFFIX
    from cio_pipelines.metadata import erasure_run
    from cio_pipelines.partitions import partition_of
    from cio_pipelines.runs import Request
    from cio_pipelines.sync.runs import ERASURE

    engine = settings.people_sync()
    if plan.endswith(SUFFIX):
        engine.approvable(plan, ERASURE)
        return Request(full=True, partition=today, approved_erasure=plan)
    window = engine.approvable(plan)
    if window.start is not None and window.end is not None:
        ends = partition_of(window.start), partition_of(window.end - timedelta(microseconds=1))
        if ends[0] == ends[1]:
            return Request(partition=ends[0], approved_plan=plan)
        return Request(partition_range=ends, approved_plan=plan)
    erasure: str | None = erasure_run(plan)
    try:
        engine.approvable(erasure_run(plan), ERASURE)
    except ApprovalRefused:
        # There was none, or it was carried out beside a plan that was stopped: nothing is left to approve.
        erasure = None
    return Request(full=True, partition=today, approved_plan=plan, approved_erasure=erasure)
