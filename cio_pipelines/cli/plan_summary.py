"""A plan for the person who decides on it: attributes, guards, costs, and how to have it carried out."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from cio_pipelines.sync.approval import READABLE
from cio_pipelines.sync.attribute_changes import DATA, AttributeChanges
from cio_pipelines.sync.estimates import Estimate
from cio_pipelines.sync.reports import RunSummary
from cio_pipelines.sync.review import Guarded, Review

_ATTRIBUTES_SHOWN = 20
_MARKS = {"within": "[green]✓[/]", "approved": "[yellow]✓[/]", "over": "[bold red]✗[/]"}
_WORDS = {"within": "within the limit", "approved": "over the limit, and approved", "over": "over the limit"}
_CAUSES = {DATA: "data", "mapping": "the mart's columns"}


def review_as_json(review: Review) -> dict[str, Any]:
    """The keys that scripts rely on."""
    changes, estimate, agreement = review.changes, review.estimate, review.agreement
    return {
        "updates": {
            "people": changes.updates,
            "compared": changes.compared,
            "not_seen": changes.unseen,
            "not_counted_because": changes.skipped,
            "attributes": [
                {
                    "attribute": change.name,
                    "because_of": change.cause,
                    "added": change.added,
                    "changed": change.changed,
                    "removed": change.removed,
                }
                for change in changes.attributes
            ],
        },
        "guards": [
            {"guard": guard.name, "verdict": guard.word, "people": guard.people, "known": guard.known}
            for guard in review.guards
        ],
        "estimate": {
            "requests": estimate.requests,
            "bytes": estimate.bytes_sent,
            "minutes": round(estimate.minutes, 3),
        },
        "approval": None
        if agreement is None
        else {
            "plan": agreement.approved_plan,
            "same": agreement.passed,
            "new": agreement.new,
            "gone": agreement.gone,
            "different": agreement.different,
        },
    }


def review_as_text(summary: RunSummary) -> Group:
    """The same for a person; empty for runs of which no review was kept."""
    review = summary.review
    if review is None:
        return Group()
    parts: list[RenderableType] = []
    if review.changes.updates:
        parts += ["", f"  [bold]What changes[/]  {escape(_compared(review.changes))}"]
        if review.changes.attributes:
            parts.append(_attributes(review.changes))
    parts += ["", "  [bold]Guards[/]", _guards(review.guards)]
    return Group(*parts, "", f"  [bold]Sending it needs[/]  {_needs(review.estimate)}", "")


def how_to_approve(*plans: RunSummary) -> Group:
    """What to type so that these plans of one run, which can be approved, are sent as they are."""
    wanted = [plan for plan in plans if plan.status in READABLE and plan.outcomes.planned]
    if not wanted:
        return Group()
    both = " and erase as planned" if len(wanted) > 1 else ""
    return Group(
        f"\nTo send exactly this{both}, if nothing has moved on until then:",
        f"    [bold]cio sync people --approve {wanted[0].run_id}[/]",
    )


def _compared(changes: AttributeChanges) -> str:
    told = f"of {changes.updates:,} people who were synced before"
    if changes.skipped:
        return f"{told}: not counted, {changes.skipped}"
    if changes.compared < changes.updates:
        told += f": reckoned from {changes.compared:,} of them ({changes.share:.1%})"
    if changes.unseen:
        told += f"; of {changes.unseen:,} the difference cannot be seen (digits beyond JSON's, odd names)"
    return told


def _attributes(changes: AttributeChanges) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 2), header_style="dim")
    table.add_column("attribute")
    table.add_column("because of")
    for name in ("added", "changed", "removed"):
        table.add_column(name, justify="right")
    about = "≈" if changes.compared < changes.updates else ""
    for change in changes.attributes[:_ATTRIBUTES_SHOWN]:
        counts = (change.added, change.changed, change.removed)
        table.add_row(
            escape(change.name),
            _CAUSES[change.cause],
            *(f"{about}{count:,}" if count else "·" for count in counts),
        )
    more = len(changes.attributes) - _ATTRIBUTES_SHOWN
    if more > 0:
        table.add_row(f"and {more} more: see --json", "", "", "", "")
    return table


def _guards(guards: tuple[Guarded, ...]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 2), show_header=False)
    for guard in guards:
        limit = f"limit {guard.limit_share:.0%} or {guard.limit_people:,}"
        table.add_row(
            _MARKS[guard.word],
            guard.name.replace("_", " "),
            f"{guard.people:,} of {guard.known:,} ({guard.share:.1%}), {limit}: {_WORDS[guard.word]}",
        )
    return table


def _needs(estimate: Estimate) -> str:
    if not estimate.requests:
        return "nothing"
    seconds = estimate.minutes * 60
    lasts = "less than a second" if seconds < 1 else f"{seconds:.0f} seconds"
    lasts = f"{estimate.minutes:.1f} minutes" if seconds >= 90 else lasts
    requests = "1 request" if estimate.requests == 1 else f"{estimate.requests:,} requests"
    return (
        f"{requests}, {_size(estimate.bytes_sent)}, at {estimate.requests_per_second:g} "
        f"requests a second {lasts} at least"
    )


def _size(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count:,} bytes"
