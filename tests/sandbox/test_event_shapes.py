"""Everything that can be reported, held to the published shapes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cio_pipelines.sandbox import SandboxOptions
from cio_pipelines.sandbox.shapes import MEMBERS, activity_type

from . import specification
from .conftest import Variant, identify, variant
from .mailing import ARRIVED, DELIVERED, ENDS, NEWSLETTER, NOTHING, ORIGINS, SURE, device, reachable


@pytest.fixture
def sandbox() -> Iterator[Variant]:
    with variant(SandboxOptions()) as running:
        yield running


@specification.needs_documents
@pytest.mark.parametrize("kind", ["email_or_id", "id"])
def test_every_event_has_its_published_shape(kind: Any) -> None:
    document = specification.webhooks()
    seen: set[tuple[str, str]] = set()
    with variant(SandboxOptions(workspace_kind=kind)) as sandbox:
        for channel in MEMBERS:
            sandbox.track(*(reachable(name, unsubscribed=False) for name in ("a", "b")), device("a"))
            for end in ENDS:
                sandbox.send(channel=channel, newsletter=NEWSLETTER, mix={**NOTHING, end: 1})
            everything = {**SURE, **ARRIVED, "attempted": 1, "replied": 1}
            for origin, ids in ORIGINS.items():
                if origin != "transactional" or channel in ("email", "push"):
                    sandbox.send(channel=channel, **{origin: ids}, mix=everything)
            sandbox.send(channel=channel, newsletter=NEWSLETTER, mix={**DELIVERED, "spammed": 1})
            sandbox.track(reachable("a", unsubscribed=False))
            sandbox.send(channel=channel, newsletter=NEWSLETTER, mix={**DELIVERED, "unsubscribed": 1})
        sandbox.track(identify("a", cio_subscription_preferences={"topics": {"topic_1": True}}))
        events = sandbox.reported()
    for event in events:
        specification.check_event(document, event)
        seen.add((event["object_type"], event["metric"]))
    everything = {(channel, metric) for channel, metrics in MEMBERS.items() for metric in metrics}
    customer = ("subscribed", "unsubscribed", "cio_subscription_preferences_changed")
    assert seen == everything | {("customer", metric) for metric in customer}
    assert len({event["event_id"] for event in events}) == len(events)


@specification.needs_documents
def test_generated_events_have_their_published_shapes_and_ids_of_their_own(sandbox: Variant) -> None:
    document = specification.webhooks()
    for seed in (1, 1, 2):
        sandbox.request("POST", "/_sandbox/events", json={"generate": 300, "seed": seed, "people": 5})
    events = sandbox.reported()
    for event in events:
        specification.check_event(document, event)
    assert len({event["event_id"] for event in events}) == 900
    assert len({(event["object_type"], event["metric"]) for event in events}) == 69
    assert {event["data"]["identifiers"]["id"] for event in events} <= {f"person-{n}" for n in range(5)}

    def without_ids(some: list[dict[str, Any]]) -> list[Any]:
        return [(event["object_type"], event["metric"], event["data"]) for event in some]

    assert without_ids(events[:300]) == without_ids(events[300:600]) != without_ids(events[600:])


def test_specified_activity_types_are_used() -> None:
    if not specification.TRACK.is_file():
        pytest.skip("Customer.io's OpenAPI documents are not there")
    known = specification.track().document["components"]["schemas"]["activityTypes"]["enum"]
    used = {activity_type(channel, metric) for channel, metrics in MEMBERS.items() for metric in metrics}
    assert used - {None} <= set(known)
    assert {activity_type("email", metric) for metric in MEMBERS["email"]} == {
        f"{metric}_email" for metric in MEMBERS["email"]
    }
    assert activity_type("sms", "sent") == "sent_twilio"
