"""A run as text and as JSON, from the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cio_pipelines.cli.console import complain, pairs, warn
from cio_pipelines.cli.measure import peak_rss_mb
from cio_pipelines.cli.plan_summary import review_as_json
from cio_pipelines.sync.reports import RunSummary
from cio_pipelines.sync.review import Review
from cio_pipelines.sync.runs import EVENTS

if TYPE_CHECKING:
    import pandas as pd

    from cio_pipelines.runs import RunResult


def tell(result: RunResult) -> bool:
    """Print what went wrong with a run, and say whether all is well."""
    if result.interrupted:
        raise KeyboardInterrupt
    for name, words in result.warnings.items():
        warn(f"{name}: {words}")
    for name, words in {**result.failures, **result.failed_checks}.items():
        complain(f"{name}: {words}")
    return result.success and not result.failed_checks


def as_table(frame: pd.DataFrame) -> Table:
    """A small frame, such as a plan's sample."""
    table = Table(box=None, padding=(0, 2, 0, 2), header_style="dim")
    for name in frame.columns:
        table.add_column(str(name))
    for row in frame.itertuples(index=False):
        table.add_row(*[escape(str(value)) for value in row])
    return table


def as_json(summary: RunSummary, total_seconds: float, **extra: Any) -> dict[str, Any]:
    """The keys that scripts rely on. `rejected` holds the quarantined ones too."""
    outcomes = summary.outcomes
    return {
        "run_id": summary.run_id,
        "status": summary.status,
        "extracted": summary.extracted,
        "unchanged": summary.unchanged,
        "tombstoned": summary.tombstoned,
        "left_alone": summary.left_alone,
        "planned": outcomes.planned,
        "operations": dict(summary.operations),
        "why": dict(summary.whys),
        **({"altered": summary.altered} if summary.kind == EVENTS else {}),
        "mapping_change": summary.mapping_change,
        **({} if summary.review is None else {"review": review_as_json(summary.review)}),
        **({} if summary.estimated_bytes is None else {"estimated_bytes": summary.estimated_bytes}),
        "accepted": outcomes.accepted,
        "rejected": outcomes.rejected + outcomes.quarantined,
        "quarantined": outcomes.quarantined,
        "due": outcomes.due,
        "requests": summary.requests,
        "bytes": summary.bytes_sent,
        "seconds": {
            **{name: round(seconds, 3) for name, seconds in summary.seconds.items()},
            "total": round(total_seconds, 3),
        },
        "peak_rss_mb": round(peak_rss_mb(), 1),
        "refusals": [
            {"by": r.source, "field": r.field, "reason": r.reason, "people": r.people}
            for r in summary.refusals
        ],
        **extra,
    }


def as_text(summary: RunSummary, total_seconds: float) -> Group:
    """The same for a person."""
    outcomes, seconds = summary.outcomes, summary.seconds
    of_events = summary.kind == EVENTS
    was_sent = summary.status in ("sending", "committed")
    busy = sum(seconds.values())
    speed = outcomes.accepted / busy if busy else 0.0
    subjects = "events" if of_events else "people"
    rows = [
        ("looked at", str(summary.window)),
        ("extracted", f"{summary.extracted:,}"),
        ("accepted before" if of_events else "unchanged", f"{summary.unchanged:,}"),
        *([("altered", f"{summary.altered:,} of them: what was sent stays")] if summary.altered else []),
        *([("tombstoned", f"{summary.tombstoned:,}")] if summary.tombstoned else []),
        *([("left alone", f"{summary.left_alone:,} (dead letters)")] if summary.left_alone else []),
        ("planned", _told(outcomes.planned, summary.operations)),
        ("older" if of_events else "why", _older(summary) if of_events else _told(None, summary.whys)),
        *([("mapping", summary.mapping_change)] if summary.mapping_change != "none" else []),
        *_reviewed(summary.review),
        *(
            []
            if summary.estimated_bytes is None
            else [("comparing reads", f"{summary.estimated_bytes / 1e9:,.3f} GB at most (estimated)")]
        ),
        *([("accepted", f"{outcomes.accepted:,}")] if was_sent else []),
        ("rejected", f"{outcomes.rejected + outcomes.quarantined:,}"),
        *[
            (
                "",
                f"{r.people:,} × {r.field or '(no field)'} {r.reason} "
                f"({'quarantined before sending' if r.source == 'quarantine' else 'refused by Customer.io'})",
            )
            for r in summary.refusals
        ],
        *(
            [
                ("due", f"{outcomes.due:,}"),
                ("requests", f"{summary.requests:,}"),
                ("bytes", f"{summary.bytes_sent:,}"),
            ]
            if was_sent
            else []
        ),
        (
            "seconds",
            ", ".join(f"{name} {spent:.2f}" for name, spent in [*seconds.items(), ("total", total_seconds)]),
        ),
        *([(f"{subjects} per second", f"{speed:,.0f} (plan to commit)")] if was_sent else []),
    ]
    title = f"run {summary.run_id}: {_STATUS.get(summary.status, summary.status)}"
    return Group(Text(title, style="bold"), pairs([row for row in rows if row[1]]))


def _reviewed(review: Review | None) -> list[tuple[str, str]]:
    """Which attributes differ for the most people, and whether the plan was approved."""
    if review is None:
        return []
    people: dict[str, int] = {}
    for change in review.changes.attributes:
        people[change.name] = people.get(change.name, 0) + change.people
    most = dict(sorted(people.items(), key=lambda item: -item[1])[:_ATTRIBUTES])
    more = len(people) - len(most)
    told = ", ".join(f"{count:,} {name}" for name, count in most.items())
    return [
        *([("attributes", told + (f" and {more} more" if more > 0 else ""))] if told else []),
        *([("approved", str(review.agreement))] if review.agreement is not None else []),
    ]


_ATTRIBUTES = 5
_STATUS = {"dry_run": "planned only, nothing was sent", "blocked": "stopped by a guard, nothing was sent"}


def _older(summary: RunSummary) -> str:
    late = summary.whys.get("late", 0)
    return f"{late:,} than 72 hours: stored, but no campaign is triggered by them" if late else ""


def _told(total: int | None, parts: Mapping[str, int]) -> str:
    told = ", ".join(f"{count:,} {name}" for name, count in sorted(parts.items(), key=lambda item: -item[1]))
    if total is None:
        return told
    return f"{total:,} ({told})" if told else f"{total:,}"
