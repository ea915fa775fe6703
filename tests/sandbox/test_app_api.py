"""Reading people and activities back, as the App API documents it."""

from __future__ import annotations

import httpx
import pytest

from cio_pipelines.sandbox import SandboxOptions, SandboxServer

from .conftest import identify, person, send, variant


def test_values_come_back_as_text(track: httpx.Client, app: httpx.Client) -> None:
    values = {"n": 1489014595, "f": 1.5, "t": True, "o": {"a": [1, "é"]}, "s": "ü", "unsubscribed": "TRUE"}
    send(track, identify("a/b", 1_700_000_000, email="A@example.com", **values))
    answer = app.get("/v1/customers/a%2Fb/attributes")
    customer = answer.json()["customer"]
    assert customer["attributes"] == {
        "n": "1489014595",
        "f": "1.5",
        "t": "true",
        "o": '{"a":[1,"é"]}',
        "s": "ü",
        "unsubscribed": "TRUE",
        "email": "A@example.com",
        "id": "a/b",
        "cio_id": customer["identifiers"]["cio_id"],
    }
    assert customer["timestamps"]["n"] == 1_700_000_000
    assert (customer["id"], customer["unsubscribed"], customer["devices"]) == ("a/b", True, [])


def test_person_is_found_by_each_kind_of_identifier(
    track: httpx.Client, app: httpx.Client, server: SandboxServer
) -> None:
    send(track, identify("1", email="a@example.com"))
    cio_id = server.people()["1"]["cio_id"]
    for kind, value in (("email", "A%40example.com"), ("cio_id", cio_id), ("cio_id", f"cio_{cio_id}")):
        answer = app.get(f"/v1/customers/{value}/attributes", params={"id_type": kind})
        assert answer.json()["customer"]["id"] == "1"
    assert app.get(f"/v1/customers/{cio_id}/attributes").status_code == 404
    assert app.get("/v1/customers", params={"email": "A@EXAMPLE.com"}).json() == {
        "results": [{"email": "a@example.com", "id": "1", "cio_id": cio_id}]
    }
    assert app.get("/v1/customers", params={"email": "x@example.com"}).json() == {"results": []}


def test_many_people_at_once_leaves_unknown_ones_out(track: httpx.Client, app: httpx.Client) -> None:
    send(track, *(identify(str(number), n=number) for number in range(100)))
    answer = app.post("/v1/customers/attributes", json={"ids": [*(str(n) for n in range(1, 100)), "no"]})
    assert [c["attributes"]["n"] for c in answer.json()["customers"]] == [str(n) for n in range(1, 100)]
    too_many = app.post("/v1/customers/attributes", json={"ids": [str(n) for n in range(101)]})
    assert too_many.status_code == 400
    assert too_many.json()["errors"][0]["status"] == "400"
    assert app.post("/v1/customers/attributes", content=b"{").status_code == 400


def test_profiles_can_be_wrapped_as_in_the_specification_of_2022() -> None:
    with variant(SandboxOptions(wrap_customers=True)) as sandbox:
        sandbox.track(identify("1"))
        answer = sandbox.app("POST", "/v1/customers/attributes", json={"ids": ["1"]})
        (entry,) = answer.json()["customers"]
    assert entry["customer"]["id"] == "1"


def test_activities_are_paged_newest_first_and_filtered(track: httpx.Client, app: httpx.Client) -> None:
    send(track, *(person("event", "p", name=f"e{n}") for n in range(25)), person("event", "q", name="e1"))
    seen: list[str] = []
    start = ""
    while True:
        page = app.get("/v1/activities", params={"type": "event", "limit": 10, "start": start}).json()
        seen += [activity["name"] for activity in page["activities"]]
        start = page["next"]
        if not start:
            break
    assert seen == ["e1", *(f"e{n}" for n in reversed(range(25)))]
    mine = app.get("/v1/customers/p/activities", params={"name": "e1"}).json()["activities"]
    assert [a["customer_identifiers"]["id"] for a in mine] == ["p"]
    assert len(app.get("/v1/activities").json()["activities"]) == 10
    assert len(app.get("/v1/activities", params={"limit": "9" * 5_000}).json()["activities"]) == 10
    assert len(app.get("/v1/activities", params={"start": "9" * 5_000}).json()["activities"]) == 10
    assert app.get("/v1/customers/nobody/activities").status_code == 404


def test_credentials_of_the_track_api_do_not_open_the_app_api(track: httpx.Client) -> None:
    answer = track.get("/v1/activities")
    assert (answer.status_code, answer.json()) == (401, {"meta": {"error": "Unauthorized request"}})
    assert "www-authenticate" not in answer.headers


@pytest.mark.parametrize("path", ["/v1/customers", "/v1/customers/a/b/c", "/v1/nothing"])
def test_unknown_path_is_an_html_page(app: httpx.Client, path: str) -> None:
    answer = app.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")


def test_rate_limit_answers_429_with_the_seconds_to_wait() -> None:
    with variant(SandboxOptions(app_requests_per_second=2)) as sandbox:
        answers = [sandbox.app("GET", "/v1/activities") for _ in range(5)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert 1 <= len(refused) <= 3
    assert refused[0].headers["retry-after"] == "1"
    assert refused[0].json()["errors"][0]["detail"].startswith("rate limited to 2 requests per 1s")
