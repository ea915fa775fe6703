"""Triggered broadcasts: every way of naming people, the limits, what came of a trigger, and what is sent."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from cio_pipelines.sandbox import SandboxOptions, SandboxServer

from .conftest import app_client, identify, send, variant
from .receiver import until

TRIGGERS = "/v1/campaigns/7/triggers"


@pytest.fixture
def people(track: httpx.Client) -> None:
    send(
        track,
        *(identify(f"p{n}", email=f"p{n}@example.com", vip=n % 2 == 0, name=f"N{n}") for n in range(4)),
        identify("mute", email="mute@example.com", unsubscribed=True),
        identify("poor"),
    )


def trigger(app: httpx.Client, **body: Any) -> int:
    answer = app.post(TRIGGERS, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


@pytest.mark.usefixtures("people")
def test_every_way_of_naming_people_reaches_them(app: httpx.Client, server: SandboxServer) -> None:
    vip = {"attribute": {"field": "vip", "operator": "eq", "value": "true"}}
    first = {"attribute": {"field": "id", "operator": "eq", "value": "p0"}}
    named = {"attribute": {"field": "name", "operator": "exists"}}
    reached: list[list[str]] = []
    for body in (
        {},
        {"recipients": {"and": [named, vip, {"not": first}]}},
        {"recipients": {"or": [first, {"and": [named, {"not": {"or": [vip, first]}}]}]}},
        {"ids": ["p1", "p2", "p1"]},
        {"emails": ["P3@example.com", "mute@example.com"]},
        {"per_user_data": [{"id": "p1", "data": {"code": "A"}}, {"email": "p2@example.com"}]},
    ):
        before = len(server.deliveries())
        trigger(app, data={"code": "all"}, **body)
        reached.append([d["person"] for d in server.deliveries()[before:]])
    assert reached == [
        ["p0", "p1", "p2", "p3"],
        ["p2"],
        ["p0", "p1", "p3"],
        ["p1", "p2"],
        ["p3"],
        ["p1", "p2"],
    ]
    assert [d["message_data"] for d in server.deliveries()[-2:]] == [{"code": "A"}, {"code": "all"}]
    assert [t["recipients_count"] for t in server.triggers()] == [6, 1, 3, 2, 2, 2]


@pytest.mark.usefixtures("people")
def test_recipients_are_told_of_by_webhooks_of_the_broadcast(
    app: httpx.Client, server: SandboxServer
) -> None:
    number = trigger(app, ids=["p1"], data={"subject": "Hello {{customer.name}}"})
    events = [record["event"] for record in server.reported_events()]
    events = [event for event in events if event["object_type"] == "email"]
    assert [event["metric"] for event in events] == ["sent", "delivered"]
    data = events[0]["data"]
    assert (data["broadcast_id"], data["trigger_id"], data["action_id"]) == (7, number, 1)
    assert (data["recipient"], data["subject"]) == ("p1@example.com", "Hello N1")


@pytest.mark.usefixtures("people")
def test_missing_people_fail_the_broadcast_unless_they_may_be_missing(
    app: httpx.Client, server: SandboxServer
) -> None:
    answer = app.post(TRIGGERS, json={"ids": ["p1", "x", "y"]})
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["status"], error["source"]) == ("422", {"pointer": "/data/attributes/per_user_data"})
    assert "trigger 1" in error["detail"]
    assert server.deliveries() == []
    errors = app.get(f"{TRIGGERS}/1/errors", params={"limit": 1}).json()
    assert errors == {"errors": ["line 2: no customer has the id x"], "next": 1}
    errors = app.get(f"{TRIGGERS}/1/errors", params={"limit": 1, "start": 1}).json()
    assert errors == {"errors": ["line 3: no customer has the id y"], "next": 0}
    number = trigger(app, ids=["p1", "x"], id_ignore_missing=True)
    assert number == 2
    told = app.get(f"{TRIGGERS}/2").json()
    assert (told["id"], told["broadcast_id"], told["recipients_count"]) == (2, 7, 1)
    assert told["processed_at"] >= told["created_at"]
    assert app.get(f"{TRIGGERS}/2/errors").json() == {"errors": [], "next": 0}
    listed = app.get("/v1/broadcasts/7/triggers").json()["triggers"]
    assert [each["id"] for each in listed] == [1, 2]
    assert app.get("/v1/broadcasts/8/triggers").json() == {"triggers": []}
    for path in (f"{TRIGGERS}/3", f"{TRIGGERS}/3/errors", "/v1/campaigns/x/triggers/1"):
        assert app.get(path).status_code == 404


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"ids": ["p1"], "email_ignore_missing": True}, "email_ignore_missing"),
        ({"emails": ["p1@example.com"], "id_ignore_missing": True}, "id_ignore_missing"),
        ({"id_ignore_missing": True}, "id_ignore_missing"),
        (
            {
                "recipients": {"attribute": {"field": "a", "operator": "exists"}},
                "email_add_duplicates": True,
            },
            "email_add_duplicates",
        ),
        ({"ids": ["p1"], "emails": ["p1@example.com"]}, "emails"),
        ({"ids": [str(n) for n in range(10_001)]}, "ids"),
        ({"ids": []}, "ids"),
        ({"ids": [5]}, "ids"),
        ({"data": {"text": "x" * 50_001}}, "data"),
        ({"per_user_data": [{"id": "p1", "email": "p1@example.com"}]}, "per_user_data"),
        ({"data_file_url": "http://example.com/people"}, "data_file_url"),
        ({"data_file_url": "file:///etc/passwd"}, "data_file_url"),
    ],
)
def test_what_does_not_fit_is_pointed_at(app: httpx.Client, body: dict[str, Any], pointer: str) -> None:
    answer = app.post(TRIGGERS, json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["source"] == {"pointer": f"/data/attributes/{pointer}"}


def test_malformed_and_oversize_calls_are_refused(app: httpx.Client, server: SandboxServer) -> None:
    assert app.post(TRIGGERS, content=b"{").status_code == 400
    assert app.post(TRIGGERS, json={"ids": "p1"}).status_code == 400
    assert app.post(TRIGGERS, json={"recipients": {"nor": []}}).status_code == 400
    assert app.post(TRIGGERS, json={"recipients": {"segment": {"id": 9}}}).status_code == 400
    assert app.post(TRIGGERS, json={"datum": 1}, headers={"X-Validate": "strict"}).status_code == 400
    assert app.post(TRIGGERS, json={"per_user_data": [{"id": "x" * 1_000_000}]}).status_code == 413
    assert app.post("/v1/campaigns/x/triggers", json={}).status_code == 404
    assert server.triggers() == []


def test_processing_takes_as_long_as_is_set(track: httpx.Client, server: SandboxServer) -> None:
    send(track, identify("p1", email="p1@example.com"))
    server.set_courses(broadcast_delay=1)
    with app_client(server) as app:
        number = trigger(app, ids=["p1"])
        assert "processed_at" not in app.get(f"{TRIGGERS}/{number}").json()
        assert server.triggers()[0]["state"] == "queued"
        until(lambda: "processed_at" in app.get(f"{TRIGGERS}/{number}").json())
    assert server.delivery_counts("person") == {"p1": 1}


def test_limits_of_time_and_of_waiting_triggers() -> None:
    with variant(SandboxOptions(broadcast_seconds=10)) as sandbox:
        answers = [sandbox.app("POST", TRIGGERS, json={}) for _ in range(2)]
        assert sandbox.app("GET", f"{TRIGGERS}/1").status_code == 200
    assert [answer.status_code for answer in answers] == [200, 429]
    assert answers[1].headers["retry-after"] == "10"
    with variant(SandboxOptions(broadcast_seconds=0.000_001, broadcast_delay=60)) as sandbox:
        statuses = [sandbox.app("POST", TRIGGERS, json={}).status_code for _ in range(6)]
    assert statuses == [200] * 5 + [429]


def test_switches_of_broadcasts() -> None:
    with variant(SandboxOptions(broadcasts="7", missing_recipients="fail")) as sandbox:
        assert sandbox.app("POST", "/v1/campaigns/8/triggers", json={}).status_code == 404
        assert sandbox.app("POST", TRIGGERS, json={"ids": ["x"]}).status_code == 200
        assert sandbox.app("GET", f"{TRIGGERS}/1/errors").json()["errors"] == [
            "line 1: no customer has the id x"
        ]
    with variant(SandboxOptions(workspace_kind="id")) as sandbox:
        sandbox.track(identify("a", email="x@example.com"), identify("b", email="x@example.com"))
        body: dict[str, Any] = {"emails": ["x@example.com"]}
        assert sandbox.app("POST", TRIGGERS, json=body).status_code == 422
        assert sandbox.app("POST", TRIGGERS, json={**body, "email_add_duplicates": True}).status_code == 200
        assert sandbox.app("GET", f"{TRIGGERS}/2").json()["recipients_count"] == 2


@contextmanager
def file_server(content: bytes, status: int = 200, encoding: str | None = None) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            if encoding is not None:
                self.send_header("Content-Encoding", encoding)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/people.jsonl"
        finally:
            server.shutdown()
            thread.join()


LINES = b'{"id":"p1","data":{"code":"A"}}\n{"email":"p2@example.com"}\n'


@pytest.mark.usefixtures("people")
def test_file_of_people_is_fetched_from_this_machine(app: httpx.Client, server: SandboxServer) -> None:
    for content, encoding in ((LINES, None), (gzip.compress(LINES), "gzip")):
        with file_server(content, encoding=encoding) as url:
            number = trigger(app, data_file_url=url)
            until(lambda number=number: app.get(f"{TRIGGERS}/{number}").json()["data_file_processed"])
    assert server.delivery_counts("person") == {"p1": 2, "p2": 2}
    assert server.delivery_counts("data.code") == {"A": 2, "": 2}


@pytest.mark.usefixtures("people")
def test_errors_of_a_file_name_its_lines(app: httpx.Client, server: SandboxServer) -> None:
    with file_server(LINES + b'{"id":"nobody"}\nnonsense\n{}\n{"id":"p1","data":5}\n') as url:
        number = trigger(app, data_file_url=url)
        until(lambda: app.get(f"{TRIGGERS}/{number}").json()["data_file_error_count"] == 4)
    assert app.get(f"{TRIGGERS}/{number}/errors").json()["errors"] == [
        "line 3: no customer has the id nobody",
        "line 4: this is not valid JSON",
        "line 5: exactly one of id and email is needed",
        "line 6: data must be an object",
    ]
    with file_server(b"", status=403) as url:
        number = trigger(app, data_file_url=url)
        until(lambda: app.get(f"{TRIGGERS}/{number}").json()["data_file_processed"])
    assert "responded with code 403 Forbidden" in app.get(f"{TRIGGERS}/{number}/errors").json()["errors"][0]
    number = trigger(app, data_file_url=url)
    until(lambda: app.get(f"{TRIGGERS}/{number}").json()["data_file_processed"])
    assert "ConnectError" in app.get(f"{TRIGGERS}/{number}/errors").json()["errors"][0]
    assert server.deliveries() == []
