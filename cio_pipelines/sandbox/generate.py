"""Events of every kind in any number: a load for whatever takes them in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from random import Random
from typing import Annotated, Any

import msgspec

from cio_pipelines.sandbox.outbox import new_event_id
from cio_pipelines.sandbox.shapes import MEMBERS, event, message_data

_KINDS = [
    ("customer", "subscribed"),
    ("customer", "unsubscribed"),
    ("customer", "cio_subscription_preferences_changed"),
    *((channel, metric) for channel, metrics in MEMBERS.items() for metric in metrics),
]
_ORIGINS: tuple[dict[str, Any], ...] = (
    {"campaign_id": 5, "action_id": 12, "journey_id": "01GW20GXAAXBKZD8J96M8FNV3R"},
    {"newsletter_id": 10, "content_id": 3},
    {"broadcast_id": 2, "trigger_id": 1, "action_id": 7},
    {"transactional_message_id": 4},
)
_DETAILS: dict[str, Any] = {
    "recipients": [{"device_id": "c0ffee", "device_platform": "ios"}],
    "subject": "A generated message",
    "href": "https://example.com/offer",
    "link_id": 1,
    "machine": False,
    "proxied": False,
    "prefetched": False,
    "synthetic": False,
    "failure_message": "The provider refused the request",
    "tracked_response": "",
    "to": "+15550100000",
    "inbound_event_id": "4d2e5f",
}
_LISTED_EVERYWHERE = 3
"""How many of the origins the shapes of every channel list; those of e-mail and push list all."""


class Generate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How many events, of how many people, over how many hours until now. `seed` decides all but the ids."""

    generate: Annotated[int, msgspec.Meta(ge=0, le=10_000_000)]
    seed: int = 0
    people: Annotated[int, msgspec.Meta(ge=1)] = 1_000
    hours: Annotated[float, msgspec.Meta(ge=0, le=24 * 366)] = 24.0


def generate(wanted: Generate) -> Iterator[tuple[str, str, bytes]]:
    """Person, event id and body of each event; the kinds take turns, the moments rise."""
    random = Random(wanted.seed)  # noqa: S311  # no secret
    span = wanted.hours * 3600
    start = time.time() - span
    for number in range(wanted.generate):
        object_type, metric = _KINDS[number % len(_KINDS)]
        at = int(start + span * (number + 1) / wanted.generate)
        person = f"person-{random.randrange(wanted.people)}"
        email = f"{person}@example.com"
        event_id = new_event_id(at)
        who = {
            "customer_id": person,
            "identifiers": {"id": person, "email": email, "cio_id": f"d9c1{random.getrandbits(32):08x}"},
        }
        known = len(_ORIGINS) if object_type in ("email", "push") else _LISTED_EVERYWHERE
        delivery = {"delivery_id": f"ZAIAA{random.getrandbits(88):022x}="}
        whole = who | _ORIGINS[random.randrange(known)] | delivery
        if object_type != "customer":
            data = message_data(object_type, metric, whole, {**_DETAILS, "recipient": email})
        else:
            data = {**(whole if metric.endswith("changed") else who), "email_address": email}
            if metric.endswith("changed"):
                data["content"] = '{"topics":{"topic_1":true}}'
        yield person, event_id, event(event_id, object_type, metric, at, data)
