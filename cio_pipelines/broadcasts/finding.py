"""Which trigger in Customer.io's list is the one of a try whose answer nobody has."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from cio_pipelines.broadcasts.attempts import Attempt
from cio_pipelines.customerio import BroadcastTrigger, SyncAppClient

_EARLIER = timedelta(seconds=60)
_LATER = timedelta(seconds=300)
"""A trigger of a try was made from so long before its intent was written to so long after: the client gives
up after 180 s, and the clocks may differ by a minute."""


def candidates(
    client: SyncAppClient,
    broadcast_id: int,
    attempt: Attempt,
    others: Iterable[Attempt],
    taken: set[int],
) -> tuple[list[BroadcastTrigger], bool]:
    """Triggers of a broadcast that may be the one of `attempt`, and whether it is the only one's.

    Customer.io's list of triggers says when each was made and nothing of its data, so that time tells. Left
    out are those that some try has, and those that cannot be it: to a filter or file, or to more people than
    were asked for.

    Args:
        client: of the workspace.
        broadcast_id: the broadcast.
        attempt: the try.
        others: tries of the broadcast with an unknown end. A trigger that may be theirs too makes it false.
        taken: numbers of triggers that some try has.

    Raises any member of the client's error tree.
    """
    made = [
        trigger
        for trigger in client.broadcast_triggers(broadcast_id)
        if trigger.id not in taken and _may_be(trigger, attempt.requested_at)
    ]
    told = [client.broadcast_trigger(broadcast_id, trigger.id) for trigger in made]
    fitting = [trigger for trigger in told if _fits(trigger, attempt)]
    is_certain = all(
        trigger.created_at is not None
        and not any(_may_be(trigger, other.requested_at) and _fits(trigger, other) for other in others)
        for trigger in fitting
    )
    return fitting, is_certain


def _may_be(trigger: BroadcastTrigger, requested_at: datetime) -> bool:
    if trigger.created_at is None:
        return True
    earliest, latest = requested_at - _EARLIER, requested_at + _LATER
    return earliest.timestamp() <= trigger.created_at <= latest.timestamp()


def _fits(trigger: BroadcastTrigger, attempt: Attempt) -> bool:
    if trigger.recipients_filter or trigger.data_file_processed:
        return False
    return trigger.recipients_count is None or trigger.recipients_count <= attempt.recipients
