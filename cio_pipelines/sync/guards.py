"""Nothing on this scale by accident: verdicts on a plan, before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """A plan is stopped when it would touch more than `share` of the people and more than `people` of them.

    The number keeps small workspaces usable, where a handful of people is a large share.
    """

    share: float
    people: int

    def allows(self, count: int, known: int) -> bool:
        """Whether `count` of `known` people may be touched."""
        return count <= self.people or count <= self.share * known


@dataclass(frozen=True, slots=True)
class GuardLimits:
    """Defaults of the design: 30% changed, 5% suppressed, 1% erased."""

    changed: Limits = Limits(0.30, 100)
    suppressed: Limits = Limits(0.05, 20)
    erased: Limits = Limits(0.01, 10)


@dataclass(frozen=True, slots=True)
class Approvals:
    """What a person allowed for one run, by guard."""

    changed: bool = False
    mapping: bool = False
    suppressed: bool = False
    erased: bool = False


EVERY_GUARD = Approvals(changed=True, mapping=True, suppressed=True, erased=True)
"""What the approval of a plan allows."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One guard's word on a plan."""

    name: str
    count: int
    known: int
    limits: Limits
    approved: bool
    remedy: str

    @property
    def share(self) -> float:
        """Part of the known people that the plan touches, 0 to 1."""
        return self.count / self.known if self.known else 0.0

    @property
    def within(self) -> bool:
        """Whether the plan stays within the limits."""
        return self.limits.allows(self.count, self.known)

    @property
    def passed(self) -> bool:
        """Whether the plan may go on: within the limits, or approved."""
        return self.within or self.approved

    def __str__(self) -> str:
        told = f"{self.count:,} of {self.known:,} people ({self.share:.1%}), limit {self.limits.share:.0%}"
        if self.within:
            return told
        if self.approved:
            return f"{told}: over the limit, and approved for this run"
        return f"{told}: over the limit, nothing was sent. {self.remedy}"


@dataclass(frozen=True, slots=True)
class Counts:
    """People whom a plan touches, by what happens to them; `known` is the larger of snapshot and mart."""

    known: int
    changed: int = 0
    mapping: int = 0
    suppressed: int = 0
    erased: int = 0


def people_verdicts(
    counts: Counts, limits: GuardLimits, approvals: Approvals, plan: str = "RUN_ID"
) -> tuple[Verdict, ...]:
    """The guards of the people sync. New people count for none of them. `plan` is its run's id."""
    return (
        Verdict(
            "changed_people",
            counts.changed,
            counts.known,
            limits.changed,
            approvals.changed,
            f"If it is meant, {_approve(plan)}, or run again with --allow-changes.",
        ),
        Verdict(
            "mapping_change",
            counts.mapping,
            counts.known,
            limits.changed,
            approvals.mapping,
            f"The mart's columns changed; if that is meant, {_approve(plan)}, or run again with "
            "--allow-mapping-change.",
        ),
        Verdict(
            "suppressed_people",
            counts.suppressed,
            counts.known,
            limits.suppressed,
            approvals.suppressed,
            f"Suppressing deletes people and their history in Customer.io; if it is meant, {_approve(plan)}, "
            "or run again with --allow-suppressions.",
        ),
    )


def erasure_verdict(
    counts: Counts, limits: GuardLimits, approvals: Approvals, plan: str = "RUN_ID"
) -> Verdict:
    """The guard of the erasure, whose run's id is `plan`."""
    return Verdict(
        "erased_people",
        counts.erased,
        counts.known,
        limits.erased,
        approvals.erased,
        f"Erasing cannot be undone; if it is meant, {_approve(plan)}, or run again with --allow-erasures.",
    )


def _approve(plan: str) -> str:
    return f"approve this very plan: cio sync people --approve {plan}"
