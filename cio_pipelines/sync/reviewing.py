"""Judging a plan that was just made: does it match the approved one, what changes, what will it cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from cio_pipelines.sync import approval
from cio_pipelines.sync.approval import Agreement
from cio_pipelines.sync.attribute_changes import UPDATES, AttributeChanges, count_changes
from cio_pipelines.sync.estimates import estimate_push
from cio_pipelines.sync.guards import EVERY_GUARD, Approvals, Verdict
from cio_pipelines.sync.planning import Planner
from cio_pipelines.sync.review import Review
from cio_pipelines.sync.runs import Runs
from cio_pipelines.sync.settings import SyncSettings
from cio_pipelines.sync.tallies import Tallies


@dataclass(frozen=True, slots=True)
class Reviewer:
    """Reviews the plan that `planner` has written. `agreement` is None when no plan was approved for it."""

    planner: Planner
    settings: SyncSettings
    agreement: Agreement | None

    @classmethod
    def of(
        cls, planner: Planner, runs: Runs, settings: SyncSettings, approved: sa.Row[Any] | None
    ) -> Reviewer:
        """`approved` is the row of the run whose plan was approved, if one was."""
        agreement = None
        if approved is not None:
            agreement = approval.compare(planner.connection, runs, approved, planner.run)
        return cls(planner, settings, agreement)

    def allowed(self, approvals: Approvals) -> Approvals:
        """Who approves of this plan approves of its being over the guards' limits."""
        return EVERY_GUARD if self.agreement is not None and self.agreement.passed else approvals

    def review(self, tallies: Tallies, verdicts: Sequence[Verdict], *, is_read: bool) -> Review:
        """The review. Unless somebody reads the plan (`is_read`), a warehouse that bills is spared a look."""
        stopped = self.agreement is not None and not self.agreement.passed
        is_read = is_read or stopped or not all(verdict.passed for verdict in verdicts)
        push = self.settings.push
        estimate = estimate_push(
            self.planner.connection, self.planner.run, self.planner.timestamp, push.rows_per_batch
        )
        return Review.of(
            self._changes(sum(tallies.sent(why=why) for why in UPDATES), is_read=is_read),
            estimate.at(self.settings.requests_per_second),
            verdicts,
            self.agreement,
        )

    def _changes(self, updates: int, *, is_read: bool) -> AttributeChanges:
        # the planner reads twice where that costs nothing
        if updates and not is_read and not self.planner.reads_twice:
            return AttributeChanges(
                updates, skipped="a run of the schedule does not pay for a second look at the snapshot"
            )
        names = tuple(self.planner.mart.mapping.described)
        return count_changes(self.planner.connection, self.planner.run, names, updates)
