"""What became of landed objects, in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counts:
    """Lines or rows of landed objects: `rows` = `inserted` + `repeated` + `quarantined`; stored `bytes`."""

    files: int = 0
    bytes: int = 0
    rows: int = 0
    inserted: int = 0
    quarantined: int = 0

    @property
    def repeated(self) -> int:
        """Those that were known already, from the same load or an earlier one."""
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
class Unloaded:
    """Landed objects that the warehouse has not: never read, failed (path → reason), or none of its kind.

    `files` is how many objects of the kind there are.
    """

    files: int
    unread: tuple[str, ...]
    failed: Mapping[str, str]
    foreign: tuple[str, ...]
