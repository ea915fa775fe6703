"""What a plan of events tells about itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cio_pipelines.sync.reports import Refusals
from cio_pipelines.sync.windows import Window


@dataclass(frozen=True, slots=True)
class EventPlan:
    """What a run decided, in events: extracted = accepted_before + left_alone + planned.

    `altered` of those accepted before have rows that say something else now, which changes nothing. `late`
    ones of those planned are older than 72 hours: Customer.io stores them, and no campaign is triggered by
    them. `left_alone` are dead letters. `estimated_bytes` is what the comparison was estimated to read, None
    for a warehouse where reading costs nothing.
    """

    run_id: str
    window: Window
    extracted_at: datetime
    extracted: int
    accepted_before: int
    altered: int
    left_alone: int
    planned: int
    late: int
    quarantined: tuple[Refusals, ...]
    properties: int
    seconds: float
    dry_run: bool = False
    estimated_bytes: int | None = None

    @property
    def quarantined_events(self) -> int:
        return sum(refusal.people for refusal in self.quarantined)
