"""What a load of landed events did, in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date


@dataclass(frozen=True, slots=True)
class Counts:
    """Lines of landed objects: `rows` = `inserted` + `repeated` + `quarantined`; `bytes` as stored."""

    files: int = 0
    bytes: int = 0
    rows: int = 0
    inserted: int = 0
    quarantined: int = 0

    @property
    def repeated(self) -> int:
        """Events that were known already, from this load or an earlier one."""
        return self.rows - self.inserted - self.quarantined

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.files + other.files,
            self.bytes + other.bytes,
            self.rows + other.rows,
            self.inserted + other.inserted,
            self.quarantined + other.quarantined,
        )


@dataclass(frozen=True, slots=True)
class FailedFile:
    """An object that could not be read, by its path; `attempts` counts this one."""

    path: str
    reason: str
    attempts: int


@dataclass(frozen=True, slots=True)
class LoadReport:
    """A load. `days`: UTC day of receipt → what was read of it. `quarantined`: reason → lines.

    `unsettled` counts failed objects that later runs shall try again, whether or not this one did.
    """

    days: Mapping[date, Counts] = field(default_factory=dict[date, Counts])
    failed: tuple[FailedFile, ...] = ()
    quarantined: Mapping[str, int] = field(default_factory=dict[str, int])
    unsettled: int = 0
    seconds: float = 0.0

    @property
    def total(self) -> Counts:
        """The sum over all days."""
        return sum(self.days.values(), Counts())


@dataclass(frozen=True, slots=True)
class Unloaded:
    """Landed objects that the warehouse has not: never read, failed (path → reason), or no object of events.

    `files` is how many objects of events there are.
    """

    files: int
    unread: tuple[str, ...]
    failed: Mapping[str, str]
    foreign: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Strangers:
    """Deliveries, those to people whom the warehouse does not know, and those that name nobody."""

    deliveries: int
    unknown: int
    unnamed: int
