"""Plans of events as Dagster metadata."""

from __future__ import annotations

from cio_pipelines.metadata import Metadata
from cio_pipelines.sync.events.reports import EventPlan


def of_plan(plan: EventPlan) -> Metadata:
    """What a plan decided; numbers are what the UI plots. What became of it is `metadata.of_push`."""
    return {
        "extracted": plan.extracted,
        "accepted_before": plan.accepted_before,
        "altered_since_accepted": plan.altered,
        "left_alone": plan.left_alone,
        "older_than_72_hours": plan.late,
        "properties": plan.properties,
        "plan_seconds": plan.seconds,
        "window": str(plan.window),
        **({} if plan.estimated_bytes is None else {"estimated_bytes": plan.estimated_bytes}),
    }
