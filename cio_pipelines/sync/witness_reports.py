"""What the comparison of the snapshot with an export found, in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

MISSING, REMOVED, DIFFERENT, STILL_THERE = "missing", "removed", "different", "still_there"
AGREED, OVERWRITTEN, PENDING = "agreed", "overwritten", "pending"

FINDINGS = (MISSING, REMOVED, DIFFERENT, STILL_THERE)
"""Verdicts on people that say: Customer.io accepted it, and has something else."""


@dataclass(frozen=True, slots=True)
class AttributeFinding:
    """People in whom an attribute is not what was accepted, by how it differs.

    Attributes:
        differing: there with another value.
        absent: accepted, and not there.
        left_over: there although there is none in the warehouse.
        overwritten: any of these, set or removed in Customer.io after the sync: no finding.
    """

    attribute: str
    differing: int = 0
    absent: int = 0
    left_over: int = 0
    overwritten: int = 0


@dataclass(frozen=True, slots=True)
class WitnessReport:
    """The people of the snapshot, each with one verdict.

    Attributes:
        known_until: what was synced until then (UTC) the export can know of; None when there is nothing to
            compare with, and `unverified` says why.
        verdicts: verdict → people of the snapshot.
            `agreed`: as accepted. `missing`: not there. `removed`: deleted or suppressed there, not by us.
            `different`: there with other attributes. `still_there`: suppressed or deleted by us, and there.
            `overwritten`: other attributes, all of them set in Customer.io after the sync. `pending`: synced
            too lately for the export to know.
        unknown: people whom the export has and the snapshot has not, who come from elsewhere.
        attributes: the attributes that differ in someone.
        unwitnessed: attributes of the sync that this export cannot testify to.
        sample: finding → ids of some of its people.
        failed_files: exports of people and attributes that are not loaded because they cannot be read.
    """

    known_until: datetime | None = None
    unverified: str | None = None
    verdicts: Mapping[str, int] = field(default_factory=dict[str, int])
    unknown: int = 0
    attributes: tuple[AttributeFinding, ...] = ()
    unwitnessed: tuple[str, ...] = ()
    sample: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    failed_files: int = 0

    @property
    def people(self) -> int:
        """People of the snapshot."""
        return sum(self.verdicts.values())

    @property
    def findings(self) -> int:
        """People whom Customer.io accepted and has otherwise."""
        return sum(self.verdicts.get(verdict, 0) for verdict in FINDINGS)

    @property
    def compared(self) -> int:
        """People on whom the export could testify."""
        return self.people - self.verdicts.get(PENDING, 0)
