"""Messages: who gets one, what becomes of it, what is reported and what it does to people."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cio_pipelines.sandbox import SandboxOptions, SandboxServer

from .conftest import Variant, identify, person, send, track_client, variant
from .mailing import ARRIVED, DELIVERED, NEWSLETTER, NOTHING, ORIGINS, SURE, device, reachable


@pytest.fixture
def sandbox() -> Iterator[Variant]:
    with variant(SandboxOptions()) as running:
        yield running


def metrics_of(events: list[dict[str, Any]]) -> list[str]:
    return [f"{event['object_type']} {event['metric']}" for event in events]


def test_same_seed_has_the_same_outcome_and_another_seed_another() -> None:
    def outcome(seed: int) -> list[Any]:
        with variant(SandboxOptions()) as sandbox:
            sandbox.track(*(reachable(f"p{n}") for n in range(100)))
            sandbox.send(newsletter=NEWSLETTER, seed=seed, at=1_750_000_000, hours=24)
            return [(e["metric"], e["timestamp"], e["data"]["identifiers"]["id"]) for e in sandbox.reported()]

    assert outcome(7) == outcome(7)
    assert outcome(7) != outcome(8)


def test_shares_are_met_roughly(sandbox: Variant) -> None:
    sandbox.track(*(reachable(f"p{n}") for n in range(2_000)))
    mix = {**NOTHING, "bounced": 0.1, "delivered": 1, "opened": 0.5, "clicked": 0.5, "unsubscribed": 0.1}
    metrics = sandbox.send(newsletter=NEWSLETTER, mix=mix, seed=1)["metrics"]
    assert metrics["sent"] == 2_000
    assert metrics["bounced"] == pytest.approx(200, rel=0.25)
    assert metrics["delivered"] == 2_000 - metrics["bounced"]
    assert metrics["opened"] == pytest.approx(900, rel=0.15)
    assert metrics["clicked"] == pytest.approx(450, rel=0.2)
    assert metrics["unsubscribed"] == pytest.approx(180, rel=0.3)


def test_events_of_a_message_follow_one_another_within_the_hours(sandbox: Variant) -> None:
    sandbox.track(*(reachable(f"p{n}") for n in range(50)))
    sandbox.send(newsletter=NEWSLETTER, mix={**SURE, **ARRIVED, "attempted": 1}, at=1_750_000_000, hours=48)
    events = sandbox.reported()
    moments = [event["timestamp"] for event in events]
    assert moments == sorted(moments)
    assert 1_750_000_000 <= moments[0] < moments[-1] <= 1_750_000_000 + 48 * 3600
    of_delivery: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        of_delivery[event["data"]["delivery_id"]].append(event)
    assert len(of_delivery) == 50
    for steps in of_delivery.values():
        assert [step["metric"] for step in steps[:3]] == ["attempted", "sent", "delivered"]
        machine, person_opened = (step["data"] for step in steps if step["metric"] == "opened")
        assert sorted([machine["proxied"], machine["prefetched"], machine["synthetic"]])[1:] == [False, True]
        assert not any(person_opened[name] for name in ("proxied", "prefetched", "synthetic"))
        assert [step["data"]["machine"] for step in steps if step["metric"] == "clicked"] == [True, False]


def test_without_hours_all_happens_in_one_second(sandbox: Variant) -> None:
    sandbox.track(*(reachable(f"p{n}") for n in range(5)))
    sandbox.send(newsletter=NEWSLETTER, mix={**SURE, **ARRIVED}, at=1_750_000_000, hours=0)
    assert {event["timestamp"] for event in sandbox.reported()} == {1_750_000_000}


def test_only_people_who_can_receive_it_get_it(sandbox: Variant) -> None:
    sandbox.track(
        reachable("a"),
        identify("no-address"),
        reachable("left", unsubscribed="TRUE"),
        reachable("gone"),
        person("suppress", "gone"),
        reachable("b"),
        device("b"),
    )
    mix = DELIVERED
    told = sandbox.send(newsletter=NEWSLETTER, mix=mix)
    assert (told["deliveries"], told["skipped"]) == (2, {"no_address": 1, "unsubscribed": 1})
    told = sandbox.send(transactional=ORIGINS["transactional"], mix=mix)
    assert (told["deliveries"], told["skipped"]) == (3, {"no_address": 1})
    told = sandbox.send(channel="push", newsletter=NEWSLETTER, mix=mix)
    assert (told["deliveries"], told["skipped"]) == (1, {"no_address": 2, "unsubscribed": 1})
    told = sandbox.send(newsletter=NEWSLETTER, mix=mix, ids=["b", "nobody", "left", "b"])
    assert (told["deliveries"], told["skipped"]) == (1, {"unknown": 1, "unsubscribed": 1})
    assert sandbox.send(newsletter=NEWSLETTER, mix=mix, people=1)["deliveries"] == 1
    assert sandbox.send(newsletter=NEWSLETTER, mix=mix, people=0)["deliveries"] == 0


@pytest.mark.parametrize("metric", ["unsubscribed", "spammed"])
def test_message_that_is_unsubscribed_from_or_reported_unsubscribes_its_person(
    sandbox: Variant, metric: str
) -> None:
    sandbox.track(reachable("a"))
    sandbox.send(newsletter=NEWSLETTER, mix={**DELIVERED, metric: 1})
    assert sandbox.people()["a"]["attributes"]["unsubscribed"] is True
    assert metrics_of(sandbox.reported())[-2:] == [f"email {metric}", "customer unsubscribed"]
    kinds = [activity["type"] for activity in sandbox.activities()]
    assert kinds[-4:] == ["sent_email", "delivered_email", f"{metric}_email", "attribute_change"]
    profile = sandbox.app("GET", "/v1/customers/a/attributes").json()["customer"]
    assert profile["unsubscribed"] is True


def test_identify_that_changes_consent_is_reported_and_one_that_does_not_is_not(sandbox: Variant) -> None:
    sent: tuple[dict[str, Any], ...] = (
        {"unsubscribed": False},
        {"unsubscribed": "true"},
        {"unsubscribed": True},
        {"unsubscribed": None},
        {"name": "Ada"},
        {"cio_subscription_preferences": {"topics": {"topic_1": True}}},
        {"cio_subscription_preferences": {"topics": {"topic_1": True}}},
        {"cio_subscription_preferences.topics.topic_2": False},
    )
    for attributes in sent:
        sandbox.track(identify("a", email="a@example.com", **attributes))
    events = sandbox.reported()
    assert [event["metric"] for event in events] == [
        "unsubscribed",
        "subscribed",
        "cio_subscription_preferences_changed",
        "cio_subscription_preferences_changed",
    ]
    assert {event["object_type"] for event in events} == {"customer"}
    assert events[0]["data"]["email_address"] == "a@example.com"
    topics = [json.loads(event["data"]["content"])["topics"] for event in events[2:]]
    assert topics == [{"topic_1": True}, {"topic_1": True, "topic_2": False}]


def test_merge_that_unsubscribes_the_one_who_stays_is_reported(sandbox: Variant) -> None:
    sandbox.track(identify("a"), identify("b", unsubscribed=True))
    merge = {"type": "person", "action": "merge", "primary": {"id": "a"}, "secondary": {"id": "b"}}
    sandbox.track(merge)
    assert [event["data"]["customer_id"] for event in sandbox.reported()] == ["b", "a"]


def test_messages_of_a_merged_person_are_those_of_the_one_who_stays(sandbox: Variant) -> None:
    sandbox.track(identify("a"), reachable("b"))
    sandbox.send(newsletter=NEWSLETTER, mix=DELIVERED)
    sandbox.track({"type": "person", "action": "merge", "primary": {"id": "a"}, "secondary": {"id": "b"}})
    shown = sandbox.request("GET", "/_sandbox/browse/messages").json()
    assert [delivery["who"] for delivery in shown["deliveries"]] == ["a"]


def test_clicks_change_consent_once(server: SandboxServer) -> None:
    with track_client(server) as track:
        send(track, identify("a", email="a@example.com"))
        assert [server.unsubscribe("a"), server.unsubscribe("a")] == [True, False]
        assert server.people()["a"]["attributes"]["unsubscribed"] is True
        # an identify from before the click must not undo it
        send(track, identify("a", 1_700_000_000, unsubscribed=False))
        assert server.people()["a"]["attributes"]["unsubscribed"] is True
        assert [server.resubscribe("a"), server.resubscribe("a")] == [True, False]
        assert server.people()["a"]["attributes"]["unsubscribed"] is False
    assert [record["event"]["metric"] for record in server.reported_events()] == [
        "unsubscribed",
        "subscribed",
    ]


def test_workspace_of_ids_names_people_by_id_only() -> None:
    with variant(SandboxOptions(workspace_kind="id")) as sandbox:
        sandbox.track(reachable("a"))
        sandbox.send(newsletter=NEWSLETTER, mix=DELIVERED)
        assert [event["data"]["identifiers"] for event in sandbox.reported()] == [{"id": "a"}] * 2


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({}, "exactly one of campaign"),
        ({"newsletter": NEWSLETTER, "campaign": ORIGINS["campaign"]}, "exactly one of campaign"),
        ({"newsletter": {"newsletter_id": "ten"}}, "newsletter_id"),
        ({"newsletter": NEWSLETTER, "channel": "pigeon"}, "pigeon"),
        ({"newsletter": NEWSLETTER, "mix": {"opend": 1}}, "opend"),
        ({"newsletter": NEWSLETTER, "mix": {"opened": 1.5}}, "opened"),
        ({"newsletter": NEWSLETTER, "mix": {"bounced": 0.6, "failed": 0.6}}, "more than 1 together"),
        ({"newsletter": NEWSLETTER, "hours": -1}, "hours"),
        ({"channel": "sms", "transactional": ORIGINS["transactional"]}, "no shape is published"),
    ],
)
def test_sending_that_cannot_be_is_refused_and_does_nothing(
    sandbox: Variant, settings: dict[str, Any], reason: str
) -> None:
    sandbox.track(reachable("a"))
    answer = sandbox.request("POST", "/_sandbox/send", json=settings)
    assert answer.status_code == 400
    assert reason in answer.text
    assert sandbox.reported() == []
    assert sandbox.stats()["deliveries"] == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"id": "nobody"}, 404),
        ({"id": "a", "email": "a@example.com"}, 400),
        ({}, 400),
        ({"name": "a"}, 400),
        ({"email": "A@example.com"}, 200),
    ],
)
def test_click_names_exactly_one_person(sandbox: Variant, body: dict[str, str], status: int) -> None:
    sandbox.track(reachable("a"))
    assert sandbox.request("POST", "/_sandbox/unsubscribe", json=body).status_code == status


def test_ends_that_leave_no_room_for_the_usual_ones_replace_them(sandbox: Variant) -> None:
    sandbox.track(*(reachable(f"p{n}") for n in range(50)))
    metrics = sandbox.send(newsletter=NEWSLETTER, mix={"bounced": 1, "attempted": 0})["metrics"]
    assert metrics == {"sent": 50, "bounced": 50}


def test_messages_are_shown_with_what_happened(sandbox: Variant) -> None:
    sandbox.track(reachable("a"), reachable("b"))
    sandbox.send(campaign=ORIGINS["campaign"], subject="Hello", mix=DELIVERED)
    shown = sandbox.request("GET", "/_sandbox/browse/messages").json()
    assert (shown["total"], shown["metrics"]) == (2, {"sent": 2, "delivered": 2})
    newest = shown["deliveries"][0]
    assert (newest["who"], newest["origin"], newest["subject"]) == ("b", "campaign 5", "Hello")
    assert [each["metric"] for each in newest["happened"]] == ["sent", "delivered"]


def test_messages_and_events_survive_a_kill_and_a_restart(tmp_path: Path) -> None:
    options = SandboxOptions(database=tmp_path / "sandbox.db")
    with SandboxServer(options) as server, track_client(server) as track:
        send(track, reachable("a"), reachable("b"))
        server.send(newsletter=NEWSLETTER, mix={**SURE, **ARRIVED})
        server.unsubscribe("a")
        before, messages = server.reported_events(), server.stats()["deliveries"]
        server.process.kill()
        server.process.wait()
    with SandboxServer(options) as server:
        assert server.reported_events() == before
        assert server.stats()["deliveries"] == messages == 2
        assert Counter(activity["type"] for activity in server.activities())["sent_email"] == 2
        server.reset()
    with SandboxServer(options) as server:
        assert (server.reported_events(), server.stats()["deliveries"]) == ([], 0)
