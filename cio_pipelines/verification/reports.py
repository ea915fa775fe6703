"""What a verification found, and how it is set up. Never a value of anybody's attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from cio_pipelines.sync.ledger_audit import LedgerAudit
from cio_pipelines.sync.witness_reports import WitnessReport

Kind = Literal[
    "missing",
    "stale",
    "different",
    "unexpected_type",
    "person_missing",
    "person_present",
    "event_missing",
    "reported",
]
"""How something is otherwise than accepted:

- `missing`: an attribute that was sent is not there; `stale`: it was last set before the run, by what
  Customer.io says; `different`: it is another, or there although it was removed; `unexpected_type`: it cannot
  be read as what was sent (a number, a boolean, an object).
- `person_missing`: who was identified is not there; `person_present`: who was suppressed or deleted is.
- `event_missing`: the person's activities do not have the event.
- `reported`: the activity log says that it failed, and reading back is switched off.
"""

Verdict = Literal["verified", "verified with differences", "not verifiable"]

RESEND, DEAD_LETTER, REPORT = "resend", "dead_letter", "report"
Rule = Literal["resend", "dead_letter", "report"]
"""What becomes of operations that were not applied: sent again by the next run, until `max_attempts` in all,
and then dead letters; dead letters at once; or only told.
"""


class NotVerifiable(Exception):
    """Nothing can be read back, and the message says why."""


@dataclass(frozen=True, slots=True)
class VerificationSettings:
    """How much is looked at.

    Attributes:
        sample: people who are read back, everybody when fewer were accepted; 0 reads nobody back.
        events: the same of events, each of which takes a request of its own.
        wait_seconds: how long Customer.io may take, at most, until it has applied what it accepted.
        pages: of the activity log, 100 entries each, for each type of entry.
        rule: what becomes of operations that were not applied.
        max_attempts: acceptances without effect, and refusals, that make a dead letter.
    """

    sample: int = 1_000
    events: int = 100
    wait_seconds: float = 30.0
    pages: int = 10
    rule: Rule = RESEND
    max_attempts: int = 3


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that Customer.io accepted and has otherwise.

    `attribute` is empty where the person or the event is meant; `reason` the type of the activity that tells
    of it, empty for a silent one; `event_id` is empty but for events.
    """

    person_id: str
    attribute: str
    kind: Kind
    reason: str = ""
    event_id: str = ""


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What reading back found, in people or in events.

    Attributes:
        unverified: why nothing could be read; None when it could.
        sampled: who were looked at, those whom the activity log names among them.
        agreed: who are as accepted.
        overwritten: attributes that somebody else has set since, which is no loss.
        too_old: events left out, since Customer.io no longer shows activities of their time.
        waited_seconds: until they agreed, or until the wait was over.
    """

    unverified: str | None = None
    sampled: int = 0
    agreed: int = 0
    overwritten: int = 0
    too_old: int = 0
    waited_seconds: float = 0.0

    @property
    def differing(self) -> int:
        """Who are otherwise."""
        return self.sampled - self.agreed


@dataclass(frozen=True, slots=True)
class Applied:
    """What Customer.io's activity log says of the run's time.

    Attributes:
        unverified: why it could not be read; None when it could.
        entries: how many there are, by type.
        confirmed: people or events of the run that it names, and who are otherwise than accepted.
        settled: of the run too, and as accepted now.
        unattributed: entries that name nobody of the run.
        unread: types whose log goes on beyond the pages that were read.
    """

    unverified: str | None = None
    entries: Mapping[str, int] = field(default_factory=dict[str, int])
    confirmed: int = 0
    settled: int = 0
    unattributed: int = 0
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of whom was not applied. `left`: why nothing was done for them, if so."""

    resent: int = 0
    dead_lettered: int = 0
    left: str | None = None


@dataclass(frozen=True, slots=True)
class Verification:
    """What is known of a run's arrival. `accepted` counts people of whom all was accepted, or events."""

    run_id: str
    accepted: int
    read_back: ReadBack = ReadBack()
    applied: Applied = Applied()
    differences: tuple[Difference, ...] = ()
    settled: Settled = Settled()
    ledger: LedgerAudit = field(default_factory=LedgerAudit)
    witness: WitnessReport | None = None
    seconds: float = 0.0

    @property
    def why(self) -> str | None:
        """Why it is not verifiable."""
        if not self.accepted:
            return None
        return self.read_back.unverified

    @property
    def verdict(self) -> Verdict:
        """The verdict on the run."""
        if self.differences or (self.witness is not None and self.witness.findings):
            return "verified with differences"
        return "not verifiable" if self.why else "verified"

    @property
    def kinds(self) -> dict[str, int]:
        """Differences by kind."""
        found: dict[str, int] = {}
        for difference in self.differences:
            found[difference.kind] = found.get(difference.kind, 0) + 1
        return found

    @property
    def subjects(self) -> int:
        """People, or events, with a difference."""
        return len({difference.event_id or difference.person_id for difference in self.differences})


@dataclass(frozen=True, slots=True)
class Recorded:
    """A verdict as it was written down, in people or events; `differences` are the first of them."""

    verdict: str
    why: str | None
    accepted: int
    sampled: int
    agreed: int
    differing: int
    overwritten: int
    resent: int
    dead_lettered: int
    differences: tuple[Difference, ...] = ()
