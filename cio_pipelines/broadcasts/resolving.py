"""What became of a request that nobody has the answer of, or that was refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from cio_pipelines.broadcasts.attempts import Attempt, Attempts
from cio_pipelines.broadcasts.errors import TriggerRefused, TriggerUnclear
from cio_pipelines.broadcasts.finding import Found, convinces, look
from cio_pipelines.broadcasts.refusals import ErrorLine, error_lines
from cio_pipelines.broadcasts.specs import BroadcastSpec
from cio_pipelines.broadcasts.state import REFUSED, TRIGGERED
from cio_pipelines.broadcasts.waiting import awaited
from cio_pipelines.customerio import BadRequest, BroadcastTrigger, CustomerIOError, SyncAppClient

_LONGEST_WAIT = 120.0
"""Seconds. The lease of the broadcast is held meanwhile, and would expire after 300."""


@dataclass(frozen=True, slots=True)
class Resolver:
    """Looks into Customer.io's own list of triggers."""

    spec: BroadcastSpec
    client: Callable[[], SyncAppClient]
    state: Callable[[], AbstractContextManager[Attempts]]

    def resolve(self, attempt: Attempt, wait_seconds: float) -> Attempt:
        """A try of which nobody knows the end with the number of its trigger, written down.

        A trigger that may be it is waited for, up to two minutes: how many it reached tells whether it is.

        Raises TriggerUnclear when Customer.io's list does not tell, or cannot be read.
        """
        try:
            found = self._look(attempt)
            if found.only is not None and not found.only.is_processed:
                seconds = min(wait_seconds, _LONGEST_WAIT)
                trigger = awaited(self.client(), self.spec.broadcast_id, found.only.id, seconds)
                found = Found([trigger], are_shared=False)
        except CustomerIOError as error:
            told = f"Customer.io's list of its triggers cannot be read: {error}"
            raise self._unclear(attempt, told) from error
        if found.only is None or not convinces(found.only, attempt, self.spec.reached_share):
            raise self._unclear(attempt, str(found))
        return self._adopted(attempt, found.only)

    def adopt(self, attempt: Attempt, trigger_id: int) -> Attempt:
        """The try with the number that a person gives for its trigger, written down.

        Raises TriggerUnclear when that is another try's trigger; NotFound and others of the client.
        """
        with self.state() as attempts:
            taken = attempts.taken()
        if trigger_id in taken:
            raise self._unclear(attempt, f"Trigger {trigger_id} is another day's.")
        trigger = self.client().broadcast_trigger(self.spec.broadcast_id, trigger_id)
        return self._adopted(attempt, trigger)

    def _adopted(self, attempt: Attempt, trigger: BroadcastTrigger) -> Attempt:
        with self.state() as attempts:
            return attempts.change(
                attempt,
                status=TRIGGERED,
                trigger_id=trigger.id,
                adopted=True,
                triggered_at=moment(trigger.created_at),
            )

    def explain(self, attempt: Attempt, identifiers: Sequence[str], error: CustomerIOError) -> None:
        """Read what Customer.io says of the recipients for whom it refused a try.

        Raises TriggerRefused when it says something.
        """
        if not isinstance(error, BadRequest):
            return
        lines: list[ErrorLine] = []
        trigger_id = 0
        with suppress(CustomerIOError):  # the refusal is on its way; without this it goes unexplained
            trigger = self._look(attempt).only
            if trigger is None:
                return
            trigger_id = trigger.id
            texts = self.client().broadcast_trigger_errors(self.spec.broadcast_id, trigger_id)
            lines = error_lines(texts, identifiers)
        if not lines:
            return
        with self.state() as attempts:
            ended = attempts.end(attempt, lines, status=REFUSED, trigger_id=trigger_id)
            reasons = attempts.reasons(ended)
        raise TriggerRefused(
            f"Customer.io refused {self.spec.name} for {attempt.day} (trigger {trigger_id}) because of "
            f"{len(lines):,} of {attempt.recipients:,} recipients; nobody was sent anything.",
            "See the reasons; correct the model, or let the spec ignore_missing.",
            reasons,
        ) from error

    def _look(self, attempt: Attempt) -> Found:
        with self.state() as attempts:
            taken = attempts.taken()
            others = [each for each in attempts.unresolved() if each.key != attempt.key]
        return look(self.client(), self.spec.broadcast_id, attempt, others, taken)

    def _unclear(self, attempt: Attempt, told: str) -> TriggerUnclear:
        return TriggerUnclear(
            f"{self.spec.name} for {attempt.day} was about to be triggered at "
            f"{attempt.requested_at:%Y-%m-%d %H:%M:%S} UTC; whether Customer.io took it is not known. {told}",
            "Look at the broadcast in Customer.io: if one of its triggers is it, run again with its number "
            "as `adopt`; if none is, run again with `retrigger`. Else people may be written to twice.",
        )


def moment(seconds: int | None) -> datetime | None:
    """Unix seconds as a moment."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
