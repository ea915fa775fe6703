"""What operations do to people, as Customer.io's documents tell it."""

from __future__ import annotations

import time

import httpx

from cio_pipelines.sandbox import SandboxOptions, SandboxServer

from .conftest import identify, person, send, variant

OLD, NEW = 1_700_000_000, 1_700_000_100


def attributes(server: SandboxServer, key: str) -> dict[str, object]:
    return server.people()[key]["attributes"]


def kinds(server: SandboxServer) -> list[str]:
    return [activity["type"] for activity in server.activities()]


def outcomes(server: SandboxServer) -> list[tuple[str, str]]:
    return [(o["outcome"], o["reason"]) for o in server.operations()]


def test_identify_merges_and_null_removes(track: httpx.Client, server: SandboxServer) -> None:
    send(track, identify("p", a=1, b="x", c=[1]), identify("p", b=None, c={"d": 2}, e=""))
    assert attributes(server, "p") == {"a": 1, "c": {"d": 2}, "e": ""}


def test_older_value_never_overwrites_a_newer_one_per_attribute(
    track: httpx.Client, server: SandboxServer
) -> None:
    send(
        track,
        identify("p", NEW, plan="new", gone=None),
        identify("p", OLD, plan="old", gone="back", city="Oslo"),
        identify("p", OLD + 1, city="Rome"),
    )
    assert attributes(server, "p") == {"plan": "new", "city": "Rome"}
    (skipped,) = (a for a in server.activities() if a["type"] == "skipped_update")
    assert set(skipped["data"]) == {"plan", "gone"}


def test_timestamp_may_come_as_an_attribute(track: httpx.Client, server: SandboxServer) -> None:
    send(track, identify("p", plan="new", _timestamp=NEW), identify("p", plan="old", _timestamp=OLD))
    assert attributes(server, "p") == {"plan": "new"}


def test_update_only_never_creates(track: httpx.Client, server: SandboxServer) -> None:
    send(track, identify("p", _update=True, a=1))
    assert server.people() == {}
    (failed,) = server.activities()
    assert (failed["type"], failed["customer_id"]) == ("failed_attribute_change", "p")
    send(track, identify("p", a=1), identify("p", _update=True, a=2))
    assert attributes(server, "p") == {"a": 2}


def test_delete_forgets_everything_and_a_later_identify_starts_afresh(
    track: httpx.Client, server: SandboxServer
) -> None:
    send(track, identify("p", a=1), person("event", "p", name="bought"), person("delete", "p"))
    assert server.people() == {}
    assert kinds(server) == ["profile_delete"]
    send(track, identify("p", b=2))
    assert attributes(server, "p") == {"b": 2}


def test_suppressed_person_is_deleted_and_later_calls_are_ignored(
    track: httpx.Client, server: SandboxServer
) -> None:
    send(track, identify("p", email="P@example.com"), person("suppress", "p"))
    answer = send(
        track, identify("p", a=1), identify({"email": "p@example.com"}), person("event", "p", name="n")
    )
    assert (answer.status_code, answer.json()) == (200, {})
    people = server.people()
    assert (people["p"]["suppressed"], people["p"]["attributes"]) == (True, {})
    assert len(people) == 1
    assert outcomes(server)[2:] == [("ignored", "suppressed")] * 3
    assert {(s["kind"], s["value"]) for s in server.suppressed()} == {("id", "p"), ("email", "p@example.com")}


def test_unsuppress_frees_the_identifier_and_restores_nothing(
    track: httpx.Client, server: SandboxServer
) -> None:
    send(track, identify("p", a=1), person("suppress", "p"), person("unsuppress", "p"))
    assert server.people() == {}
    send(track, identify("p", b=2))
    assert attributes(server, "p") == {"b": 2}
    assert server.people()["p"]["suppressed"] is False


def test_unknown_person_can_be_suppressed_beforehand(track: httpx.Client, server: SandboxServer) -> None:
    send(track, person("suppress", "p"), identify("p", a=1))
    assert server.people()["p"]["suppressed"] is True


def test_email_is_compared_in_any_case_and_id_is_not(track: httpx.Client, server: SandboxServer) -> None:
    send(track, identify({"email": "Ann@Example.com"}, a=1), identify({"email": "ann@example.COM"}, b=2))
    send(track, identify("X", a=1), identify("x", a=2))
    people = server.people()
    assert len(people) == 3
    assert people["Ann@Example.com"]["attributes"] == {"email": "Ann@Example.com", "a": 1, "b": 2}


def test_person_known_by_email_gets_the_id_of_a_later_call(
    track: httpx.Client, server: SandboxServer
) -> None:
    send(track, identify({"email": "ann@example.com"}, a=1), identify("7", email="ann@example.com", b=2))
    people = server.people()
    assert list(people) == ["7"]
    assert people["7"]["attributes"] == {"email": "ann@example.com", "a": 1, "b": 2}


def test_email_of_somebody_else_is_a_failed_attribute_change(
    track: httpx.Client, server: SandboxServer
) -> None:
    answer = send(track, identify("1", email="a@example.com"), identify("2", email="A@example.com", b=2))
    assert answer.json() == {}
    assert attributes(server, "1") == {"email": "a@example.com"}
    assert attributes(server, "2") == {"b": 2}
    failed = [a for a in server.activities() if a["type"] == "failed_attribute_change"]
    assert [(a["customer_id"], list(a["data"])) for a in failed] == [("2", ["email"])]
    assert server.operations()[1]["reason"] == "failed_attribute_change"


def test_whole_update_is_dropped_on_a_conflict_when_so_set() -> None:
    with variant(SandboxOptions(identifier_conflict="drop")) as sandbox:
        sandbox.track(identify("1", email="a@example.com"), identify("2", email="a@example.com", b=2))
        assert list(sandbox.people()) == ["1"]
        refused = sandbox.operations()[1]
        assert (refused["outcome"], refused["reason"]) == ("ignored", "failed_attribute_change")


def test_set_id_changes_only_by_cio_id(track: httpx.Client, server: SandboxServer) -> None:
    send(track, identify("old", a=1))
    send(track, identify("old", id="new", b=2))
    assert attributes(server, "old") == {"a": 1, "b": 2}
    cio_id = server.people()["old"]["cio_id"]
    send(track, identify({"cio_id": cio_id}, id="new"))
    assert list(server.people()) == ["new"]
    assert server.people()["new"]["cio_id"] == cio_id


def test_unknown_cio_id_is_dropped_silently(track: httpx.Client, server: SandboxServer) -> None:
    assert send(track, identify({"cio_id": "beef"}, a=1)).json() == {}
    assert server.people() == {}
    assert outcomes(server) == [("ignored", "unknown_cio_id")]


def test_email_can_change_and_be_taken_by_another(track: httpx.Client, server: SandboxServer) -> None:
    send(track, identify("1", email="a@example.com"), identify("1", email="b@example.com"))
    send(
        track,
        identify("2", email="a@example.com"),
        identify("1", email=None),
        identify("3", email="b@example.com"),
    )
    assert {key: p["email"] for key, p in server.people().items()} == {
        "1": None,
        "2": "a@example.com",
        "3": "b@example.com",
    }


def test_event_counts_once_per_ulid_and_creates_the_person(
    track: httpx.Client, server: SandboxServer
) -> None:
    event = person("event", "p", name=" bought ", id="01E4C4CT6YDC7Y5M7FE1GWWPQJ", attributes={"sku": 1})
    lower = {**event, "id": event["id"].lower()}
    send(track, event, lower, {**event, "id": "not a ulid"}, {**event, "id": "not a ulid"})
    events = [a for a in server.activities() if a["type"] == "event"]
    assert [(a["name"], a["data"]) for a in events] == [("bought", {"sku": 1})] * 3
    assert outcomes(server)[1] == ("ignored", "duplicate_event")
    assert list(server.people()) == ["p"]


def test_merge_fills_gaps_and_deletes_the_secondary(track: httpx.Client, server: SandboxServer) -> None:
    send(
        track,
        identify("1", a="one", b=""),
        identify("2", email="two@example.com", a="two", b="two", c="two"),
        person("event", "2", name="recent"),
        person("event", "2", name="ancient", timestamp=int(time.time()) - 31 * 86_400),
        {"type": "person", "action": "merge", "primary": {"id": "1"}, "secondary": {"id": "2"}},
    )
    assert list(server.people()) == ["1"]
    assert attributes(server, "1") == {"a": "one", "b": "two", "c": "two", "email": "two@example.com"}
    assert [a["name"] for a in server.activities() if a["type"] == "event"] == ["recent"]


def test_merge_into_nobody_does_nothing(track: httpx.Client, server: SandboxServer) -> None:
    send(
        track,
        identify("2", a=1),
        {"type": "person", "action": "merge", "primary": {"id": "1"}, "secondary": {"id": "2"}},
    )
    assert list(server.people()) == ["2"]
    assert outcomes(server)[1] == ("ignored", "no_such_person")


def test_anonymous_events_join_the_person_who_gets_the_anonymous_id(
    track: httpx.Client, server: SandboxServer
) -> None:
    send(track, person("event", {"anonymous_id": "a1"}, name="looked"), identify("p", anonymous_id="a1"))
    (event,) = (a for a in server.activities() if a["type"] == "event")
    assert event["customer_id"] == "p"
    send(track, identify("q", anonymous_id="a1"), person("event", {"anonymous_id": "a1"}, name="again"))
    assert [a["customer_id"] for a in server.activities() if a["name"] == "again"] == ["p"]


def test_attributes_beyond_the_limit_of_a_person_are_refused(
    track: httpx.Client, server: SandboxServer
) -> None:
    send(track, identify("p", **{f"a{i}": i for i in range(299)}), identify("p", x=1, y=2, a0="still"))
    held = attributes(server, "p")
    assert (len(held), held["x"], held["a0"], "y" in held) == (300, 1, "still", False)
    assert "failed_attribute_change" in kinds(server)


def test_computed_attributes_cannot_be_set_and_one_topic_can(
    track: httpx.Client, server: SandboxServer
) -> None:
    topics = "cio_subscription_preferences.topics"
    send(
        track,
        identify(
            "p", cio_id="zz", _last_emailed=1, **{f"{topics}.topic_1": True, f"{topics}.topic_2": False}
        ),
    )
    assert attributes(server, "p") == {
        "cio_subscription_preferences": {"topics": {"topic_1": True, "topic_2": False}}
    }


def test_devices_and_relationships_are_kept_with_the_person(
    track: httpx.Client, server: SandboxServer
) -> None:
    company = {"object_type_id": "1", "object_id": "a/b"}
    send(
        track,
        person("add_device", "p", device={"token": "t1", "platform": "ios"}),
        person("add_device", "p", device={"token": "t2", "platform": "android"}),
        person("delete_device", "p", device={"token": "t1"}),
        person(
            "add_relationships",
            "p",
            cio_relationships=[{"identifiers": company, "relationship_attributes": {"role": "x", "no": ""}}],
        ),
    )
    record = server.people()["p"]
    assert [d["token"] for d in record["devices"]] == ["t2"]
    assert record["relationships"] == {"1/a/b": {"role": "x"}}
    assert server.stats()["objects"] == 1
    send(track, {"type": "object", "action": "delete", "identifiers": company})
    assert server.people()["p"]["relationships"] == {}


def test_email_is_an_ordinary_attribute_in_an_id_only_workspace() -> None:
    with variant(SandboxOptions(workspace_kind="id")) as sandbox:
        sandbox.track(identify("1", email="a@example.com"), identify("2", email="a@example.com"))
        (error,) = sandbox.track(identify({"email": "a@example.com"})).json()["errors"]
        assert error["field"] == "identifiers.email"
        assert [p["attributes"]["email"] for p in sandbox.people().values()] == ["a@example.com"] * 2
        found = sandbox.app("GET", "/v1/customers", params={"email": "A@example.com"}).json()["results"]
        assert [person["id"] for person in found] == ["1", "2"]


def test_accepted_is_not_applied_before_the_delay() -> None:
    with variant(SandboxOptions(apply_delay=0.3)) as sandbox:
        assert sandbox.track(identify("p", a=1)).json() == {}
        assert sandbox.people() == {}
        deadline = time.monotonic() + 5
        while not sandbox.people() and time.monotonic() < deadline:
            sandbox.wait(0.02)
        assert sandbox.people()["p"]["attributes"] == {"a": 1}


def test_shuffle_applies_a_batch_in_another_order() -> None:
    with variant(SandboxOptions(shuffle=True)) as sandbox:
        sandbox.track(*(identify(str(number)) for number in range(200)))
        order = [int(o["id"]) for o in sandbox.operations()]
        assert order != sorted(order)
        assert sorted(order) == list(range(200))
