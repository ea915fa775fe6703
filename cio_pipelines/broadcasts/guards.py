"""No broadcast to far more people than it is meant for, by accident."""

from __future__ import annotations

from dataclasses import dataclass

from cio_pipelines.broadcasts.specs import AudienceLimits


@dataclass(frozen=True, slots=True)
class AudienceVerdict:
    """The guard's word on an audience of `people`, where `known` are in the workspace."""

    people: int
    known: int
    limits: AudienceLimits
    approved: bool = False

    @property
    def share(self) -> float:
        """Part of the known people who are written to; 1 when none is known and somebody would be."""
        return self.people / self.known if self.known else float(self.people > 0)

    @property
    def within(self) -> bool:
        """Whether the audience is within both limits. An audience of nobody always is."""
        if self.people > self.limits.people:
            return False
        return self.limits.share is None or not self.people or self._is_small_enough(self.limits.share)

    @property
    def passed(self) -> bool:
        """Whether the broadcast may go on: within the limits, or approved."""
        return self.within or self.approved

    def _is_small_enough(self, share: float) -> bool:
        return self.known > 0 and self.people <= share * self.known

    def __str__(self) -> str:
        limits = f"limits {self.limits.people:,} people"
        limits += "" if self.limits.share is None else f" and {self.limits.share:.0%}"
        told = f"{self.people:,} of {self.known:,} known people ({self.share:.1%}), {limits}"
        if self.within:
            return told
        if self.approved:
            return f"{told}: over the limit, and approved for this run"
        nobody = " Nobody was synced to this workspace yet." if not self.known else ""
        return (
            f"{told}: over the limit, nothing was sent.{nobody} Look at the model; if it is meant, run again "
            "with allow_audience in the run's config."
        )
