"""Looking people, segments, messages and suppressed addresses up, and exports of them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import httpx
import pytest

from cio_pipelines.sandbox import SandboxOptions, SandboxServer

from .conftest import app_client, identify, person, send, track_client, variant
from .mailing import DELIVERED
from .receiver import until


def attribute(field: str, value: object = None) -> dict[str, Any]:
    operator = {"operator": "exists"} if value is None else {"operator": "eq", "value": value}
    return {"attribute": {"field": field, **operator}}


def segment_of(app: httpx.Client, name: str = "VIPs") -> int:
    answer = app.post("/v1/segments", json={"segment": {"name": name, "description": "By hand"}})
    assert answer.status_code == 200, answer.text
    return answer.json()["segment"]["id"]


def fill(
    track: httpx.Client, number: int, *ids: str, action: str = "add_customers", kind: str = "id"
) -> None:
    path = f"/api/v1/segments/{number}/{action}"
    answer = track.post(path, params={"id_type": kind}, json={"ids": ids})
    assert (answer.status_code, answer.json()) == (200, {})


def everybody(app: httpx.Client, method: str, path: str, limit: int, **arguments: Any) -> list[str]:
    """Ids over all pages."""
    ids: list[str] = []
    start = ""
    while True:
        answer = app.request(method, path, params={"limit": limit, "start": start}, **arguments)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert [each["id"] or "" for each in page["identifiers"]] == page["ids"]
        assert len(page["ids"]) <= limit
        ids += page["ids"]
        start = page["next"]
        if not start:
            return ids


def test_search_takes_conditions_of_every_form(track: httpx.Client, app: httpx.Client) -> None:
    send(track, *(identify(f"p{n}", n=n, even=n % 2 == 0, email=f"p{n}@example.com") for n in range(6)))
    send(track, identify({"email": "only@example.com"}, city="Bern"))
    number = segment_of(app)
    fill(track, number, "p1", "p2", "nobody")
    cases: list[tuple[dict[str, Any], list[str]]] = [
        (attribute("even", "true"), ["p0", "p2", "p4"]),
        (attribute("n", 3), ["p3"]),
        (attribute("city"), [""]),
        (attribute("cio_id"), ["p0", "p1", "p2", "p3", "p4", "p5", ""]),
        ({"segment": {"id": number}}, ["p1", "p2"]),
        ({"and": [{"segment": {"id": number}}, {"not": attribute("n", "1")}]}, ["p2"]),
        (
            {"or": [attribute("n", "0"), {"and": [attribute("n", "5"), attribute("even", "false")]}]},
            ["p0", "p5"],
        ),
    ]
    last = {"and": [attribute("n", "5"), attribute("even", "false")]}
    cases.append(({"or": [attribute("n", "0"), last]}, ["p0", "p5"]))
    for given, found in cases:
        assert everybody(app, "POST", "/v1/customers", 2, json={"filter": given}) == found
    page = app.post("/v1/customers", json={"filter": attribute("city")}).json()
    assert page["identifiers"][0]["email"] == "only@example.com"


@pytest.mark.parametrize(
    "given",
    [
        None,
        {},
        {"and": []},
        {"or": attribute("a")},
        {"and": [attribute("a")], "or": [attribute("b")]},
        {"not": [attribute("a")]},
        {"attribute": {"field": "a", "operator": "gt", "value": 1}},
        {"attribute": {"field": "a", "operator": "eq"}},
        {"segment": {"id": "1"}},
        {"segment": {"id": 404}},
    ],
)
def test_conditions_that_are_not_documented_are_refused(app: httpx.Client, given: Any) -> None:
    answer = app.post("/v1/customers", json={"filter": given})
    assert (answer.status_code, answer.json()["errors"][0]["status"]) == (400, "400")


def test_identifiers_are_those_of_the_workspace() -> None:
    with variant(SandboxOptions(workspace_kind="id")) as sandbox:
        sandbox.track(identify("p", email="p@example.com"))
        answer = sandbox.app("POST", "/v1/customers", json={"filter": attribute("email")}).json()
    assert set(answer["identifiers"][0]) == {"id", "cio_id"}


def test_segment_is_made_filled_read_and_deleted(
    track: httpx.Client, app: httpx.Client, server: SandboxServer
) -> None:
    send(track, *(identify(f"p{n}", email=f"p{n}@example.com") for n in range(5)))
    number = segment_of(app)
    fill(track, number, "p3", "p0", "p1")
    fill(track, number, "p2@example.com", "p3", kind="email")
    fill(track, number, server.people()["p4"]["cio_id"], kind="cio_id")
    fill(track, number, "p0", "nobody", action="remove_customers")
    send(track, person("delete", "p1"))
    path = f"/v1/segments/{number}"
    assert everybody(app, "GET", f"{path}/membership", 2) == ["p2", "p3", "p4"]
    assert app.get(f"{path}/customer_count").json() == {"count": 3}
    segment = app.get(path).json()["segment"]
    assert (segment["name"], segment["type"], segment["state"]) == ("VIPs", "manual", "finished")
    assert app.get("/v1/segments").json() == {"segments": [segment]}
    assert app.get(f"{path}/used_by").json()["used_by"]["campaigns"] == []
    of_person = app.get("/v1/customers/p3/segments").json()["segments"]
    assert of_person == [{"id": str(number), "name": "VIPs", "description": "By hand"}]
    merge = {"primary": {"id": "p0"}, "secondary": {"id": "p3"}}
    send(track, {"type": "person", "action": "merge", **merge})
    assert everybody(app, "GET", f"{path}/membership", 9) == ["p0", "p2", "p4"]
    assert (app.delete(path).status_code, app.delete(path).status_code) == (204, 404)
    assert app.get(f"{path}/membership").status_code == 404
    assert segment_of(app) == number + 1


def test_malformed_calls_about_segments_are_refused(track: httpx.Client, app: httpx.Client) -> None:
    assert app.post("/v1/segments", json={"name": "x"}).status_code == 400
    number = segment_of(app)
    path = f"/api/v1/segments/{number}/add_customers"
    for query, content, where in (
        ("", b"{", path),
        ("", b'{"ids":[]}', path),
        ("", b'{"ids":[5]}', path),
        ("", b'{"ids":"p"}', path),
        ("?id_type=phone", b'{"ids":["p"]}', path),
        ("", b'{"ids":["p"]}', "/api/v1/segments/404/add_customers"),
    ):
        answer = track.post(f"{where}{query}", content=content)
        assert answer.status_code == 400
        assert answer.json()["meta"]["errors"]
    assert track.post(path, json={"ids": [str(n) for n in range(1_001)]}).status_code == 400
    assert track.post(f"/api/v1/segments/{number}/empty", json={"ids": ["p"]}).status_code == 404
    assert app.post(path, json={"ids": ["p"]}).status_code == 401


def test_messages_of_a_person_are_listed_newest_first(
    track: httpx.Client, app: httpx.Client, server: SandboxServer
) -> None:
    send(track, identify("p", email="p@example.com"), identify("q", email="q@example.com"))
    for subject in ("one", "two", "three"):
        server.send(subject=subject, newsletter={"newsletter_id": 10}, mix=DELIVERED)
    first = app.get("/v1/customers/p/messages", params={"limit": 2}).json()
    rest = app.get("/v1/customers/p/messages", params={"limit": 2, "start": first["next"]}).json()
    assert [m["subject"] for m in first["messages"] + rest["messages"]] == ["three", "two", "one"]
    assert rest["next"] == ""
    message = first["messages"][0]
    assert (message["type"], message["newsletter_id"], message["customer_id"]) == ("email", 10, "p")
    assert set(message["metrics"]) == {"created", "sent", "delivered"}
    assert len(app.get("/v1/messages").json()["messages"]) == 6
    assert app.get(f"/v1/messages/{message['id']}").json() == {"message": message}
    assert app.get("/v1/customers/nobody/messages").status_code == 404
    assert app.get("/v1/messages/nothing").status_code == 404


def test_what_was_in_a_message_is_kept(app: httpx.Client) -> None:
    body = {"to": "p@example.com", "from": "a@example.com", "subject": "Hello", "body": "<p>Hello</p>"}
    key = app.post("/v1/send/email", json={**body, "preheader": "Look"}).json()["delivery_id"]
    archived = app.get(f"/v1/messages/{key}/archived_message").json()["archived_message"]
    assert (archived["body"], archived["from"], archived["recipient"]) == (
        "<p>Hello</p>",
        "a@example.com",
        "p@example.com",
    )
    assert archived["preheader_text"] == "Look"
    assert [m["id"] for m in app.get("/v1/transactional/1/messages").json()["messages"]] == [key]
    assert app.get("/v1/transactional/2/messages").json()["messages"] == []


def test_relationships_and_preferences_of_a_person(track: httpx.Client, app: httpx.Client) -> None:
    preferences = {"topics": {"topic_1": True, "topic_2": False}}
    links = [
        {"identifiers": {"object_type_id": "1", "object_id": f"o{n}"}, "relationship_attributes": {"n": n}}
        for n in range(3)
    ]
    send(
        track,
        identify("p", cio_subscription_preferences=preferences, unsubscribed=True),
        person("add_relationships", "p", cio_relationships=links),
    )
    first = app.get("/v1/customers/p/relationships", params={"limit": 2}).json()
    rest = app.get("/v1/customers/p/relationships", params={"start": first["next"]}).json()
    shown = first["cio_relationships"] + rest["cio_relationships"]
    assert [each["identifiers"]["object_id"] for each in shown] == ["o0", "o1", "o2"]
    assert shown[1]["relationship_attributes"] == {"n": 1}
    customer = app.get("/v1/customers/p/subscription_preferences").json()["customer"]
    assert [(t["id"], t["subscribed"]) for t in customer["topics"]] == [("1", True), ("2", False)]
    assert customer["unsubscribed"] is True


def test_export_of_people_is_a_file_behind_a_signed_link(track: httpx.Client, app: httpx.Client) -> None:
    send(track, identify("p", email="p@example.com", city="Bern, CH"), identify("q", n=1.5), identify("r"))
    asked = {"filters": {"or": [attribute("city"), attribute("n")]}}
    export = app.post("/v1/exports/customers", json=asked).json()["export"]
    assert (export["status"], export["total"], export["type"]) == ("pending", 2, "customers")
    done = app.get(f"/v1/exports/{export['id']}").json()["export"]
    assert (done["status"], done["failed"]) == ("done", False)
    url = app.get(f"/v1/exports/{export['id']}/download").json()["url"]
    rows = list(csv.DictReader(httpx.get(url).raise_for_status().text.splitlines()))
    assert [(row["id"], row["email"], row["city"], row["n"]) for row in rows] == [
        ("p", "p@example.com", "Bern, CH", ""),
        ("q", "", "", "1.5"),
    ]
    assert [each["downloads"] for each in app.get("/v1/exports").json()["exports"]] == [1]
    assert httpx.get(url.replace("signature=", "signature=0")).status_code == 403
    assert httpx.get(url.replace("expires=", "expires=9")).status_code == 403
    assert app.get("/v1/exports/9/download").status_code == 404
    assert app.post("/v1/exports/customers", json={}).status_code == 400


def test_export_of_deliveries_is_chosen_by_origin_metric_and_time(
    track: httpx.Client, app: httpx.Client, server: SandboxServer
) -> None:
    send(track, identify("p", email="p@example.com", city="Bern"))
    for number in (1, 2):
        server.send(newsletter={"newsletter_id": number}, mix=DELIVERED, at=1_700_000_000, hours=0)
    totals: list[int] = []
    for change in (
        {},
        {"metric": "delivered"},
        {"metric": "opened"},
        {"start": 1_700_000_000, "end": 1_700_000_001},
        {"end": 1_700_000_000},
    ):
        body = {"newsletter_id": 2, "attributes": ["city"], **change}
        totals.append(app.post("/v1/exports/deliveries", json=body).json()["export"]["total"])
    assert totals == [1, 1, 0, 1, 0]
    url = app.get("/v1/exports/1/download").json()["url"]
    (row,) = csv.DictReader(httpx.get(url).text.splitlines())
    assert (row["customer_id"], row["recipient"], row["city"]) == ("p", "p@example.com", "Bern")
    assert app.post("/v1/exports/deliveries", json={"newsletter_id": 1, "action_id": 1}).status_code == 400


def test_export_takes_as_long_as_is_set(app: httpx.Client, server: SandboxServer) -> None:
    server.set_courses(export_seconds=1)
    app.post("/v1/exports/customers", json={"filters": attribute("a")}).raise_for_status()
    assert app.get("/v1/exports/1/download").status_code == 404
    until(lambda: app.get("/v1/exports/1").json()["export"]["status"] == "done")


def test_suppressed_address_drops_what_is_sent_to_it(app: httpx.Client, server: SandboxServer) -> None:
    for email in ("a@example.com", "b@example.com"):
        assert app.post(f"/v1/esp/suppression/bounces/{email}").status_code == 200
    found = app.get("/v1/esp/search_suppression/A@example.com").json()
    assert (found["category"], [s["email"] for s in found["suppressions"]]) == ("bounces", ["a@example.com"])
    page = app.get("/v1/esp/suppression/bounces", params={"limit": 1, "offset": 1}).json()
    assert [s["email"] for s in page["suppressions"]] == ["b@example.com"]
    assert app.get("/v1/esp/suppression/blocks").json()["suppressions"] == []
    mail = {"transactional_message_id": 1, "to": "Ann <A@example.com>"}
    app.post("/v1/send/email", json=mail).raise_for_status()
    assert app.delete("/v1/esp/suppression/bounces/a@example.com").status_code == 204
    app.post("/v1/send/email", json=mail).raise_for_status()
    assert [d["state"] for d in server.deliveries()] == ["dropped", "delivered"]
    assert app.get("/v1/esp/suppression/nothing").status_code == 404


def test_what_is_kept_outlives_a_kill(tmp_path: Path) -> None:
    options = SandboxOptions(database=tmp_path / "sandbox.db")
    with SandboxServer(options) as server, app_client(server) as app, track_client(server) as track:
        send(track, identify("p"))
        fill(track, segment_of(app), "p")
        app.post("/v1/esp/suppression/blocks/a@example.com").raise_for_status()
        app.post("/v1/exports/customers", json={"filters": attribute("id")}).raise_for_status()
        app.post("/v1/campaigns/7/triggers", json={}).raise_for_status()
        app.delete(f"/v1/segments/{segment_of(app, 'Gone')}").raise_for_status()
        server.process.kill()
        server.process.wait()
    with SandboxServer(options) as server, app_client(server) as app:
        assert [s["name"] for s in app.get("/v1/segments").json()["segments"]] == ["VIPs"]
        assert app.get("/v1/segments/1/membership").json()["ids"] == ["p"]
        assert len(app.get("/v1/esp/suppression/blocks").json()["suppressions"]) == 1
        assert app.get("/v1/exports/1").json()["export"]["total"] == 1
        assert app.get("/v1/campaigns/7/triggers/1").json()["recipients_count"] == 1
        assert segment_of(app) == 3
