"""What became of a request that nobody has the answer of, or that was refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from cio_pipelines.broadcasts.attempts import Attempt, Attempts
from cio_pipelines.broadcasts.errors import TriggerRefused, TriggerUnclear
from cio_pipelines.broadcasts.finding import candidates
from cio_pipelines.broadcasts.refusals import ErrorLine, error_lines
from cio_pipelines.broadcasts.specs import BroadcastSpec
from cio_pipelines.broadcasts.state import REFUSED, TRIGGERED
from cio_pipelines.customerio import AppClient, BadRequest, BroadcastTrigger, CustomerIOError, SyncAppClient


@dataclass(frozen=True, slots=True)
class Resolver:
    """Looks into Customer.io's own list of triggers."""

    spec: BroadcastSpec
    connect: Callable[[], AppClient]
    state: Callable[[], AbstractContextManager[Attempts]]

    def resolve(self, attempt: Attempt) -> Attempt:
        """A try of which nobody knows the end with the number of its trigger, written down.

        Raises TriggerUnclear when Customer.io's list does not tell, or cannot be read.
        """
        try:
            found, is_certain = self._candidates(attempt)
        except CustomerIOError as error:
            told = f"Customer.io's list of its triggers cannot be read: {error}"
            raise self._unclear(attempt, told) from error
        if len(found) == 1 and is_certain:
            return self._adopted(attempt, found[0])
        if found:
            numbers = ", ".join(str(trigger.id) for trigger in found)
            raise self._unclear(attempt, f"Customer.io lists triggers that may be it: {numbers}.")
        raise self._unclear(attempt, "Customer.io lists no trigger of that time that could be it.")

    def adopt(self, attempt: Attempt, trigger_id: int) -> Attempt:
        """The try with the number that a person gives for its trigger, written down.

        Raises TriggerUnclear when that is another try's trigger; NotFound and others of the client.
        """
        with self.state() as attempts:
            taken = attempts.taken()
        if trigger_id in taken:
            raise self._unclear(attempt, f"Trigger {trigger_id} is another day's.")
        with SyncAppClient(self.connect()) as client:
            return self._adopted(attempt, client.broadcast_trigger(self.spec.broadcast_id, trigger_id))

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
            found, is_certain = self._candidates(attempt)
            if len(found) != 1 or not is_certain:
                return
            trigger_id = found[0].id
            with SyncAppClient(self.connect()) as client:
                texts = client.broadcast_trigger_errors(self.spec.broadcast_id, trigger_id)
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

    def _candidates(self, attempt: Attempt) -> tuple[list[BroadcastTrigger], bool]:
        with self.state() as attempts:
            taken = attempts.taken()
            others = [each for each in attempts.unresolved() if each.key != attempt.key]
        with SyncAppClient(self.connect()) as client:
            return candidates(client, self.spec.broadcast_id, attempt, others, taken)

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
