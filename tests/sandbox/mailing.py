"""What the tests of messages send, and to whom."""

from __future__ import annotations

from typing import Any

from .conftest import identify, person

NEWSLETTER = {"newsletter_id": 10, "content_id": 3}
ORIGINS: dict[str, dict[str, int]] = {
    "newsletter": NEWSLETTER,
    "campaign": {"campaign_id": 5, "action_id": 12},
    "broadcast": {"broadcast_id": 2, "trigger_id": 1, "action_id": 7},
    "transactional": {"transactional_message_id": 4},
}
ENDS = ("drafted", "undeliverable", "failed", "dropped", "bounced")
ARRIVED = {
    "opened": 1,
    "clicked": 1,
    "converted": 1,
    "machine_opened": 1,
    "machine_clicked": 1,
    "delivered": 1,
}
SURE = dict.fromkeys(ENDS, 0) | {"attempted": 0, "unsubscribed": 0, "spammed": 0, "replied": 0}
NOTHING = dict.fromkeys((*SURE, *ARRIVED), 0)
DELIVERED = {**NOTHING, "delivered": 1}


def reachable(identifier: str, **attributes: Any) -> dict[str, Any]:
    return identify(identifier, email=f"{identifier}@example.com", phone="+15550100", **attributes)


def device(identifier: str) -> dict[str, Any]:
    return person("add_device", identifier, device={"token": f"t-{identifier}", "platform": "ios"})
