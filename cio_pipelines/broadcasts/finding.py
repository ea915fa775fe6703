"""Which trigger in Customer.io's list is the one of a try whose answer nobody has.

The list tells when a trigger was made, and of each more can be asked; the data of a request is in neither. So
time and number of recipients must do, and where they leave a doubt a person decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cio_pipelines.broadcasts.attempts import Attempt
from cio_pipelines.customerio import BroadcastTrigger, SyncAppClient

_EARLIER = timedelta(seconds=5)
_LATER = timedelta(seconds=185)
"""A trigger was made from so long before its intent was written to so long after: the client gives up after
180 s, and clocks that are kept by NTP differ by less than the rest. By others it is not found, and a person
is asked."""


@dataclass(frozen=True, slots=True)
class Found:
    """Triggers that may be the one of a try. `are_shared`: some may be another try's as well."""

    triggers: Sequence[BroadcastTrigger]
    are_shared: bool

    @property
    def only(self) -> BroadcastTrigger | None:
        """The one there is, unless it has no time or may be another's."""
        if len(self.triggers) != 1 or self.are_shared or self.triggers[0].created_at is None:
            return None
        return self.triggers[0]

    def __str__(self) -> str:
        if not self.triggers:
            return "Customer.io lists no trigger of that time that could be it."
        told = ", ".join(f"{trigger.id} ({_state(trigger)})" for trigger in self.triggers)
        return f"Customer.io lists triggers that may be it: {told}."


def look(
    client: SyncAppClient,
    broadcast_id: int,
    attempt: Attempt,
    others: Iterable[Attempt],
    taken: set[int],
) -> Found:
    """What may be the trigger of `attempt`.

    Args:
        client: of the workspace.
        broadcast_id: the broadcast.
        attempt: the try.
        others: other tries of the broadcast of which nobody knows what became of them.
        taken: numbers of triggers that some try has.

    Raises any member of the client's error tree.
    """
    made = [
        trigger
        for trigger in client.broadcast_triggers(broadcast_id)
        if trigger.id not in taken and _is_of_its_time(trigger, attempt.requested_at)
    ]
    told = [client.broadcast_trigger(broadcast_id, trigger.id) for trigger in made]
    fitting = [trigger for trigger in told if _fits(trigger, attempt)]
    are_shared = any(
        _is_of_its_time(trigger, other.requested_at) and _fits(trigger, other)
        for trigger in fitting
        for other in others
    )
    return Found(fitting, are_shared)


def convinces(trigger: BroadcastTrigger, attempt: Attempt, reached_share: float) -> bool:
    """Whether a trigger reached about as many people as the try was for. Somebody else's rarely does."""
    if not trigger.is_processed or not trigger.recipients_count:
        return False
    return trigger.recipients_count >= reached_share * (attempt.recipients - (attempt.unsynced or 0))


def _is_of_its_time(trigger: BroadcastTrigger, requested_at: datetime) -> bool:
    if trigger.created_at is None:
        return True
    earliest, latest = requested_at - _EARLIER, requested_at + _LATER
    return earliest.timestamp() <= trigger.created_at <= latest.timestamp()


def _fits(trigger: BroadcastTrigger, attempt: Attempt) -> bool:
    """Not to a filter or a file, nor to more people than were asked for."""
    if trigger.recipients_filter or trigger.data_file_processed:
        return False
    return trigger.recipients_count is None or trigger.recipients_count <= attempt.recipients


def _state(trigger: BroadcastTrigger) -> str:
    if not trigger.is_processed:
        return "not processed yet"
    return "recipients unknown" if trigger.recipients_count is None else f"to {trigger.recipients_count:,}"
