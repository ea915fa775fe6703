"""A trigger until Customer.io is done with it: waited for, and its errors read."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from cio_pipelines.broadcasts.attempts import Attempt, Attempts
from cio_pipelines.broadcasts.errors import TriggerUnread
from cio_pipelines.broadcasts.refusals import error_lines
from cio_pipelines.broadcasts.reports import Outcome
from cio_pipelines.broadcasts.resolving import moment
from cio_pipelines.broadcasts.specs import BroadcastSpec
from cio_pipelines.broadcasts.state import FAILED, PROCESSED, TRIGGERED
from cio_pipelines.broadcasts.waiting import awaited
from cio_pipelines.customerio import CustomerIOError, SyncAppClient


@dataclass(frozen=True, slots=True)
class Follower:
    """Follows tries that are triggered."""

    spec: BroadcastSpec
    client: Callable[[], SyncAppClient]
    state: Callable[[], AbstractContextManager[Attempts]]

    def follow(self, attempt: Attempt, wait_seconds: float, *, triggered_here: bool) -> Outcome:
        """Wait until a trigger is processed, at most so long, and write down what came of it.

        Raises TriggerUnread when Customer.io does not tell.
        """
        if attempt.status == TRIGGERED and attempt.trigger_id is not None:
            try:
                attempt = self._ended(attempt, attempt.trigger_id, wait_seconds)
            except CustomerIOError as error:
                raise TriggerUnread(
                    f"{self.spec.name} for {attempt.day} is triggered (number {attempt.trigger_id}), and "
                    f"what became of it could not be read: {error}",
                    "Run it again: that triggers nothing, and only looks anew.",
                ) from error
        with self.state() as attempts:
            reasons = attempts.reasons(attempt) if attempt.errors else {}
        return Outcome(
            day=attempt.day,
            status=attempt.status,
            recipients=attempt.recipients,
            known=attempt.known_people,
            unsynced=attempt.unsynced,
            attempt=attempt,
            triggered_here=triggered_here,
            reasons=reasons,
            reached_share=self.spec.reached_share,
        )

    def _ended(self, attempt: Attempt, trigger_id: int, wait_seconds: float) -> Attempt:
        client, broadcast_id = self.client(), self.spec.broadcast_id
        trigger = awaited(client, broadcast_id, trigger_id, wait_seconds)
        if not trigger.is_processed:
            return attempt
        lines = error_lines(client.broadcast_trigger_errors(broadcast_id, trigger_id))
        came_to_nothing = bool(lines) and not trigger.recipients_count
        with self.state() as attempts:
            return attempts.end(
                attempt,
                lines,
                status=FAILED if came_to_nothing else PROCESSED,
                trigger_id=trigger_id,
                reached=trigger.recipients_count,
                triggered_at=moment(trigger.created_at) or attempt.triggered_at,
                processed_at=moment(trigger.processed_at),
            )
