"""What is said of each thing that Customer.io reports: the members of `data`, as published.

Also which of them its activity log knows, and under which name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

Channel = Literal["email", "push", "sms", "in_app", "whatsapp", "slack", "webhook"]

ENCODE = msgspec.json.Encoder(order="deterministic").encode
"""An event as text: keys in alphabetical order, no spaces, as in what was recorded from Customer.io."""

_RECIPIENT = ("recipient",)
_LINK = ("recipient", "href", "link_id")
_FAILED = ("failure_message",)
_BOUNCED = ("recipient", "failure_message")
_REPLIED = ("recipient", "to", "inbound_event_id")
_MAIL = ("recipient", "subject")

MEMBERS: dict[str, dict[str, tuple[str, ...]]] = {
    "email": {
        "drafted": _MAIL,
        "attempted": _FAILED,
        "sent": _MAIL,
        "delivered": _MAIL,
        "opened": (*_MAIL, "proxied", "prefetched", "synthetic"),
        "clicked": (*_MAIL, "href", "link_id", "machine"),
        "converted": _MAIL,
        "unsubscribed": _MAIL,
        "bounced": (*_MAIL, "failure_message"),
        "dropped": (*_MAIL, "failure_message"),
        "spammed": _MAIL,
        "failed": (*_MAIL, "failure_message"),
        "undeliverable": (*_MAIL, "failure_message"),
    },
    "push": {
        "drafted": (),
        "attempted": _FAILED,
        "sent": ("recipients",),
        "delivered": ("recipients",),
        "opened": ("recipients",),
        "clicked": ("recipients", "href", "link_id"),
        "converted": ("recipients",),
        "bounced": ("failed_recipients",),
        "dropped": ("failed_recipients",),
        "failed": _FAILED,
        "undeliverable": _FAILED,
    },
    "sms": {
        "drafted": (),
        "attempted": _FAILED,
        "sent": _RECIPIENT,
        "delivered": _RECIPIENT,
        "clicked": _LINK,
        "converted": _RECIPIENT,
        "bounced": _BOUNCED,
        "failed": _FAILED,
        "undeliverable": _FAILED,
        "replied": _REPLIED,
    },
    "whatsapp": {
        "drafted": (),
        "attempted": _FAILED,
        "sent": _RECIPIENT,
        "delivered": _RECIPIENT,
        "opened": _RECIPIENT,
        "clicked": _LINK,
        "converted": _RECIPIENT,
        "bounced": _BOUNCED,
        "dropped": _BOUNCED,
        "failed": _FAILED,
        "undeliverable": _FAILED,
        "replied": _REPLIED,
    },
    "in_app": {
        "drafted": (),
        "attempted": _FAILED,
        "sent": _RECIPIENT,
        "opened": (),
        "clicked": (*_LINK, "tracked_response"),
        "converted": _RECIPIENT,
        "failed": _FAILED,
        "undeliverable": _FAILED,
    },
    "slack": {
        "drafted": (),
        "attempted": _FAILED,
        "sent": _RECIPIENT,
        "clicked": _LINK,
        "failed": _FAILED,
        "undeliverable": _FAILED,
    },
}
MEMBERS["webhook"] = MEMBERS["slack"]
"""Object type of a message → metric → members of `data` besides those of the delivery.

`failed_recipients` stands for `recipients` that each say why.
"""

_ACTIVITIES = {
    "email": "attempted bounced clicked converted delivered drafted dropped failed opened sent spammed "
    "undeliverable unsubscribed",
    "push": "attempted bounced clicked delivered drafted dropped failed opened sent undeliverable",
    "twilio": "attempted bounced clicked converted delivered drafted dropped failed sent undeliverable",
    "in_app": "attempted clicked converted drafted failed opened sent undeliverable",
    "whatsapp": "attempted bounced converted delivered failed sent undeliverable",
    "slack": "attempted converted drafted failed sent undeliverable",
    "webhook": "attempted clicked converted drafted dropped failed sent undeliverable",
}


def activity_type(channel: str, metric: str) -> str | None:
    """The type under which the activity log has it (a text message is `twilio` there); None: it has not."""
    family = "twilio" if channel == "sms" else channel
    return f"{metric}_{family}" if metric in _ACTIVITIES[family].split() else None


def message_data(
    channel: str, metric: str, delivery: Mapping[str, Any], details: Mapping[str, Any]
) -> dict[str, Any]:
    """The `data` of an event about a message.

    Args:
        channel: object type.
        metric: one that the channel has in `MEMBERS`.
        delivery: customer_id, identifiers, delivery_id and the members of the origin.
        details: whatever `MEMBERS` may ask for.
    """
    data = dict(delivery)
    for name in MEMBERS[channel][metric]:
        if name == "failed_recipients":
            message = details["failure_message"]
            data["recipients"] = [{**each, "failure_message": message} for each in details["recipients"]]
        else:
            data[name] = details[name]
    return data


def event(event_id: str, object_type: str, metric: str, timestamp: int, data: dict[str, Any]) -> bytes:
    """An event as it is sent."""
    return ENCODE(
        {
            "data": data,
            "event_id": event_id,
            "metric": metric,
            "object_type": object_type,
            "timestamp": timestamp,
        }
    )
