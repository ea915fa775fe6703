"""What a sync tells about itself. Frozen values; the adapters turn them into metadata and text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from cio_pipelines.sync.guards import Verdict
from cio_pipelines.sync.mapping import MappingChange
from cio_pipelines.sync.review import Review
from cio_pipelines.sync.windows import Window


@dataclass(frozen=True, slots=True)
class Extraction:
    """What a run looks at: `extracted` of `mart_rows`, with `tombstoned` ones among them."""

    run_id: str
    window: Window
    extracted_at: datetime
    mart_rows: int
    extracted: int
    tombstoned: int


@dataclass(frozen=True, slots=True)
class Refusals:
    """How many people were refused for one reason. `source` is `quarantine` or `customer.io`."""

    source: str
    field: str
    reason: str
    people: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run decided. Counts are people, but `operations` and `planned`, which are operations.

    extracted = unchanged + tombstoned + left_alone + people planned; a person who returns after a suppression
    is planned with two operations. `left_alone` are dead letters. `whys` counts people by the reason for
    planning them; `silent` ones changed without a new `updated_at`. `absent` people are in the snapshot and
    no longer in the mart (known after a full sync only). `ahead` of the unchanged are left as the application
    said itself, of later than what the mart knows. `estimated_bytes` is what the comparison was
    estimated to read, None for a warehouse where reading costs nothing.
    """

    run_id: str
    window: Window
    extracted_at: datetime
    extracted: int
    unchanged: int
    tombstoned: int
    left_alone: int
    planned: int
    operations: Mapping[str, int]
    whys: Mapping[str, int]
    quarantined: tuple[Refusals, ...]
    mapping_change: MappingChange
    mapping_version: str
    attributes: int
    verdicts: tuple[Verdict, ...]
    review: Review
    seconds: float
    dry_run: bool = False
    absent: int | None = None
    ahead: int = 0
    estimated_bytes: int | None = None

    @property
    def blocked(self) -> bool:
        """Whether a guard stopped the plan, or it is not the one that was approved."""
        agreement = self.review.agreement
        is_another = agreement is not None and not agreement.passed
        return is_another or not all(verdict.passed for verdict in self.verdicts)

    @property
    def quarantined_people(self) -> int:
        return sum(refusal.people for refusal in self.quarantined)

    @property
    def silent(self) -> int:
        """People whose attributes changed while `updated_at` stayed: no window would have found them."""
        return self.whys.get("silent", 0)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The ledger's word on a run: planned = accepted + rejected + quarantined + due, in operations.

    `unaccounted` counts what contradicts that in the tables, see `Ledger.outcomes`; all but 0 is a defect.
    """

    planned: int
    accepted: int
    rejected: int
    quarantined: int
    due: int
    unaccounted: int

    @property
    def complete(self) -> bool:
        """Whether every planned operation has exactly one outcome."""
        told = self.accepted + self.rejected + self.quarantined + self.due
        return self.unaccounted == 0 and self.planned == told

    @property
    def rejected_share(self) -> float:
        """Part of the operations that Customer.io answered which it refused, 0 to 1."""
        answered = self.accepted + self.rejected
        return self.rejected / answered if answered else 0.0


@dataclass(frozen=True, slots=True)
class PushReport:
    """What became of a plan, from the ledger, and what it cost.

    `ended_by` is why not everything was answered, None when it was.
    `preflight` says what could not be verified before sending.
    """

    run_id: str
    outcomes: Outcomes
    refusals: tuple[Refusals, ...] = ()
    dead_letters: int = 0
    requests: int = 0
    attempts: int = 0
    bytes_sent: int = 0
    send_seconds: float = 0.0
    commit_seconds: float = 0.0
    ended_by: str | None = None
    preflight: str | None = None


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run as the ledger tells it afterwards; None for what did not happen yet.

    Of events, `unchanged` were accepted before, of which `altered` have rows that say something else now.
    """

    run_id: str
    status: str
    window: Window
    extracted: int
    unchanged: int
    tombstoned: int
    left_alone: int
    operations: Mapping[str, int]
    whys: Mapping[str, int]
    mapping_change: str
    outcomes: Outcomes
    refusals: tuple[Refusals, ...]
    requests: int
    attempts: int
    bytes_sent: int
    seconds: Mapping[str, float] = field(default_factory=dict[str, float])
    ended_by: str | None = None
    estimated_bytes: int | None = None
    kind: str = "people"
    altered: int = 0
    review: Review | None = None
