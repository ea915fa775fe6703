"""The handlers that are built in, and how a team's own are found."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterable

from prometheus_client import Counter

from cio_pipelines.webhooks.bus import EventBus, WebhookEvent

_log = logging.getLogger(__name__)

CONSENT_KINDS = {
    "subscribed": "subscribed",
    "unsubscribed": "unsubscribed",
    "cio_subscription_preferences_changed": "preferences",
    "spammed": "spam_report",
}
"""Metrics that say how a person may be written to, whatever they are about, and what they are counted as."""


class HandlersError(Exception):
    """Handlers that were asked for cannot be had. The message names them and says what to do."""


def watch_consent(bus: EventBus, changes: Counter) -> None:
    """Count consent changes as they arrive, by kind, and log the id of each.

    They reach the consent columns by way of the landing zone and dbt, which miss none. The counter is for
    seeing within seconds what the warehouse knows after its next load: a campaign that makes people leave.

    Args:
        bus: where to subscribe.
        changes: a counter with the label `kind`.
    """

    def consent_changed(event: WebhookEvent) -> None:
        kind = CONSENT_KINDS[event.metric or ""]
        changes.labels(kind).inc()
        _log.info("consent changed", extra={"fields": {"kind": kind, "event_id": event.event_id}})

    for metric in CONSENT_KINDS:
        bus.subscribe(consent_changed, metric=metric)


def register_handlers(names: Iterable[str], bus: EventBus) -> None:
    """Let a team's own code subscribe.

    Args:
        names: `module:function` each; the function is called with the bus.
        bus: where they subscribe.

    Raises:
        HandlersError: a module cannot be imported, or has no such function, or that failed.
    """
    for name in names:
        module_name, _, function_name = name.partition(":")
        if not module_name or not function_name:
            raise HandlersError(f"{name!r} does not name handlers: write module:function.")
        try:
            register = getattr(importlib.import_module(module_name), function_name)
            register(bus)
        except Exception as error:
            raise HandlersError(
                f"{name!r} cannot be used ({type(error).__name__}: {error}). Check that the module can be "
                "imported (installed, or in a folder of PYTHONPATH) and that the function takes an EventBus."
            ) from error
