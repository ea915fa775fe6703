"""What a run is asked for, and what it reports of a day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from cio_pipelines.broadcasts.attempts import Attempt
from cio_pipelines.broadcasts.guards import AudienceVerdict
from cio_pipelines.broadcasts.state import FAILED, PROCESSED

EMPTY, BLOCKED, DRY_RUN = "empty", "blocked", "dry_run"
"""What a day is that was not triggered, besides the statuses of a try."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a person asks of a run beyond triggering what is due.

    Attributes:
        dry_run: count only.
        allow_audience: go beyond the limits of the audience.
        allow_late: trigger days that are over for longer than the broadcast allows.
        retrigger: trigger a day again of which it is not known whether it was triggered, or that failed. One
            that is triggered is never triggered again.
        adopt: the number of the trigger in Customer.io that is the one of such a day; 0 for none.
        wait_seconds: how long to wait for a trigger to be processed.
    """

    dry_run: bool = False
    allow_audience: bool = False
    allow_late: bool = False
    retrigger: bool = False
    adopt: int = 0
    wait_seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a day stands when a run is done with it.

    Attributes:
        day: the partition.
        status: `empty`, `blocked`, `dry_run`, or the status of the try.
        recipients, known, unsynced: as `Attempt` has them.
        attempt: the try, when there is one.
        triggered_here: whether this run made the request.
        verdict: the guard's word, when this run asked for it.
        reasons: Customer.io's errors about recipients, scrubbed, with their numbers.
        reached_share: the part of the audience that must be reached.
    """

    day: date
    status: str
    recipients: int
    known: int
    unsynced: int | None
    attempt: Attempt | None = None
    triggered_here: bool = False
    verdict: AudienceVerdict | None = None
    reasons: Mapping[str, int] = field(default_factory=dict[str, int])
    reached_share: float = 1.0

    @property
    def reached(self) -> int | None:
        """Recipients as Customer.io counts them; None as long as it does not say."""
        return None if self.attempt is None else self.attempt.reached

    @property
    def errors(self) -> int:
        """Lines of error about recipients."""
        return 0 if self.attempt is None else self.attempt.errors

    @property
    def is_failed(self) -> bool:
        """Whether the trigger came to nothing."""
        return self.status == FAILED

    @property
    def is_delivered(self) -> bool:
        """Whether enough of the audience was reached, without errors; true when nothing was triggered."""
        if self.attempt is None:
            return True
        if self.status != PROCESSED or self.reached is None or self.errors:
            return False
        return self.reached >= self.reached_share * self.recipients
