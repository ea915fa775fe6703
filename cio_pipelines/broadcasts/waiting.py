"""Waiting for Customer.io to process a trigger."""

from __future__ import annotations

import time

from cio_pipelines.customerio import BroadcastTrigger, SyncAppClient

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 15.0
"""Seconds between two looks; each pause is twice the one before."""


def awaited(
    client: SyncAppClient, broadcast_id: int, trigger_id: int, wait_seconds: float
) -> BroadcastTrigger:
    """A trigger when it is processed, or as it is after so many seconds.

    Raises any member of the client's error tree.
    """
    until, pause = time.monotonic() + wait_seconds, _FIRST_PAUSE
    while True:
        trigger = client.broadcast_trigger(broadcast_id, trigger_id)
        left = until - time.monotonic()
        if trigger.is_processed or left <= 0:
            return trigger
        time.sleep(min(pause, left))
        pause = min(2 * pause, _LONGEST_PAUSE)
