"""What a person reads before a plan is sent: attributes, guards, costs, and whether it is the approved one.

It is kept with the run, since the snapshot that the plan was compared with moves on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cio_pipelines.sync.approval import Agreement
from cio_pipelines.sync.attribute_changes import AttributeChange, AttributeChanges
from cio_pipelines.sync.estimates import Estimate
from cio_pipelines.sync.guards import Verdict


@dataclass(frozen=True, slots=True)
class Guarded:
    """A guard's verdict as it is kept: `word` is `within`, `approved` or `over`."""

    name: str
    people: int
    known: int
    limit_share: float
    limit_people: int
    word: str

    @property
    def share(self) -> float:
        return self.people / self.known if self.known else 0.0


@dataclass(frozen=True, slots=True)
class Review:
    """A plan as a person judges it. `agreement` is None when no plan was approved for the run."""

    changes: AttributeChanges
    estimate: Estimate
    guards: tuple[Guarded, ...]
    agreement: Agreement | None = None

    @property
    def text(self) -> str:
        """As JSON, to be kept."""
        return json.dumps(asdict(self))

    @classmethod
    def of(
        cls,
        changes: AttributeChanges,
        estimate: Estimate,
        verdicts: Sequence[Verdict],
        agreement: Agreement | None,
    ) -> Review:
        """From the parts of a plan."""
        guards = [
            Guarded(
                verdict.name,
                verdict.count,
                verdict.known,
                verdict.limits.share,
                verdict.limits.people,
                "within" if verdict.within else "approved" if verdict.approved else "over",
            )
            for verdict in verdicts
        ]
        return cls(changes, estimate, tuple(guards), agreement)

    @classmethod
    def read(cls, text: str | None) -> Review | None:
        """From what was kept; None for runs of a release that kept none."""
        if text is None:
            return None
        kept: dict[str, Any] = json.loads(text)
        changes = kept["changes"]
        attributes = tuple(AttributeChange(**each) for each in changes.pop("attributes"))
        return cls(
            AttributeChanges(attributes=attributes, **changes),
            Estimate(**kept["estimate"]),
            tuple(Guarded(**each) for each in kept["guards"]),
            Agreement(**kept["agreement"]) if kept["agreement"] else None,
        )
