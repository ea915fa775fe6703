"""The verdict on a run as text and as JSON: whether what Customer.io accepted is there."""

from __future__ import annotations

from typing import Any

from rich.markup import escape
from rich.table import Table

from cio_pipelines.cli.console import pairs
from cio_pipelines.sync.preview import mask
from cio_pipelines.verification.reports import Difference, Recorded


def verdict_json(found: Recorded | None) -> dict[str, Any]:
    """The keys that scripts rely on: `verification` is null when the run was not verified."""
    if found is None:
        return {"verification": None}
    names = ("verdict", "why", "accepted", "sampled", "agreed", "differing", "overwritten")
    told = {name: getattr(found, name) for name in (*names, "resent", "dead_lettered")}
    return {"verification": told}


def verdict_text(found: Recorded) -> Table:
    """The same for a person, with the first differences."""
    told = found.verdict if found.why is None else f"{found.verdict}: {found.why}"
    more = found.differing - len({each.event_id or each.person_id for each in found.differences})
    rows = [
        ("verdict", escape(told)),
        *(
            [("read back", f"{found.sampled:,} of {found.accepted:,}: {found.agreed:,} as accepted")]
            if found.sampled
            else []
        ),
        *(
            [("overwritten", f"{found.overwritten:,} attributes since, which is no loss")]
            if found.overwritten
            else []
        ),
        *([("differing", _fate(found))] if found.differing else []),
        *[("", _line(each)) for each in found.differences],
        *([("", f"and {more:,} more")] if more > 0 else []),
    ]
    return pairs(rows)


def _fate(found: Recorded) -> str:
    parts = [
        *([f"{found.resent:,} are sent again by the next run"] if found.resent else []),
        *([f"{found.dead_lettered:,} are dead letters"] if found.dead_lettered else []),
    ]
    return f"{found.differing:,}" + (f" ({', '.join(parts)})" if parts else "")


def _line(each: Difference) -> str:
    subject = each.event_id or each.person_id
    named = mask(subject) if "@" in subject else subject
    reason = f", {each.reason} in the activity log" if each.reason else ""
    return escape(f"{named} {each.attribute}: {each.kind}{reason}".replace(" :", ":"))
