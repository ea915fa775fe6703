"""What a load of landed events did, in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from cio_pipelines.landing.reports import Counts, FailedFile


@dataclass(frozen=True, slots=True)
class LoadReport:
    """A load. `days`: UTC day of receipt → what was read of it. `quarantined`: reason → lines.

    `unsettled` counts failed objects that later runs shall try again, whether or not this one did.
    `by_warehouse` counts objects that the warehouse loaded by itself; `read_here` has reason → objects that
    it could have loaded, and that this process read instead.
    """

    days: Mapping[date, Counts] = field(default_factory=dict[date, Counts])
    failed: tuple[FailedFile, ...] = ()
    quarantined: Mapping[str, int] = field(default_factory=dict[str, int])
    unsettled: int = 0
    by_warehouse: int = 0
    read_here: Mapping[str, int] = field(default_factory=dict[str, int])
    seconds: float = 0.0

    @property
    def total(self) -> Counts:
        """The sum over all days."""
        return sum(self.days.values(), Counts())


@dataclass(frozen=True, slots=True)
class Strangers:
    """Deliveries, those to people whom the warehouse does not know, and those that name nobody."""

    deliveries: int
    unknown: int
    unnamed: int
