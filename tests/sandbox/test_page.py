"""The web page: what it asks for, how it keeps scripts out, and (with a browser) what a person sees."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

from cio_pipelines.sandbox import SandboxServer
from tests.chromium import browser, needs_browser

from .conftest import app_client, identify, person, send

HOSTILE = "<script>document.title='owned'</script>"


def browse(server: SandboxServer, path: str) -> dict[str, list[dict[str, object]]]:
    return httpx.get(f"{server.url}/_sandbox/browse/{path}").raise_for_status().json()


def test_page_loads_nothing_from_elsewhere_and_runs_no_script_but_its_own(server: SandboxServer) -> None:
    for path in ("/", "/_sandbox/page.css", "/_sandbox/page.js"):
        answer = httpx.get(server.url + path)
        assert answer.status_code == 200
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'" in policy
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
        urls = set(re.findall(r"https?://[^\s'\"`)]+", answer.text)) - {"http://www.w3.org/2000/svg"}
        assert urls == set()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", answer.text)
    assert httpx.get(f"{server.url}/", headers={"Host": "evil.example"}).status_code == 403
    assert httpx.get(f"{server.url}/_sandbox/page.py").status_code == 404


def test_people_are_searched_and_paged(track: httpx.Client, server: SandboxServer) -> None:
    send(track, *(identify(f"p{n}", city="Zürich" if n % 2 else "Oslo", n=n) for n in range(120)))
    first, third = browse(server, "people?page=0"), browse(server, "people?page=2")
    assert [p["key"] for p in first["people"]] == [f"p{n}" for n in range(119, 69, -1)]
    assert [p["key"] for p in third["people"]] == [f"p{n}" for n in range(19, -1, -1)]
    assert (first["more"], third["more"], third["total"]) == (True, False, 120)
    found = browse(server, "people?q=zÜRICH&page=1")
    assert (found["matched"], len(found["people"])) == (60, 10)
    assert [p["key"] for p in browse(server, "people?q=p77")["people"]] == ["p77"]


def test_person_is_shown_with_attributes_and_history(track: httpx.Client, server: SandboxServer) -> None:
    send(track, identify("p", a=1), person("event", "p", name="bought"), identify("p", a=2.5))
    shown = browse(server, f"person?cio_id={server.people()['p']['cio_id']}")
    assert shown["person"]["attributes"] == {"a": 2.5}  # pyright: ignore[reportArgumentType, reportCallIssue]
    assert [h["type"] for h in shown["history"]] == [
        "attribute_change",
        "event",
        "attribute_change",
        "profile_create",
    ]
    assert shown["history"][0]["data"] == {"a": {"from": "1", "to": "2.5"}}
    assert browse(server, "person?cio_id=nobody") == {"person": None}


def test_events_and_refused_operations_are_listed_newest_first(
    track: httpx.Client, server: SandboxServer
) -> None:
    send(
        track,
        person("event", "p", name="one"),
        person("event", {"anonymous_id": "anon"}, name="two"),
        identify(""),
        person("suppress", "q"),
        identify("q"),
    )
    assert [(e["name"], e["who"]) for e in browse(server, "events")["events"]] == [
        ("two", "anon"),
        ("one", "p"),
    ]
    assert [(o["id"], o["outcome"], o["reason"]) for o in browse(server, "refused")["operations"]] == [
        ("q", "ignored", "suppressed"),
        ("", "rejected", "required"),
    ]


MAIL: dict[str, Any] = {
    "to": "Ann <a@example.com>",
    "from": "Shop <s@example.com>",
    "identifiers": {"id": "ann"},
    "subject": "Order {{message_data.order}}",
    "body": "<h1 style='color: red'>Thank you</h1>",
    "headers": {"X-Tag": "receipt", "X-Two": "2"},
    "attachments": {"receipt.pdf": "aGVsbG8h"},
    "message_data": {"order": "A-1001"},
}


def test_messages_and_triggers_are_listed_newest_first(app: httpx.Client, server: SandboxServer) -> None:
    app.post("/v1/send/email", json=MAIL).raise_for_status()
    sms = {"to": "+15550100", "identifiers": {"id": "ann"}, "transactional_message_id": "otp"}
    app.post("/v1/send/sms", json=sms).raise_for_status()
    assert app.post("/v1/campaigns/7/triggers", json={"ids": ["x"]}).status_code == 422
    shown: dict[str, Any] = httpx.get(f"{server.url}/_sandbox/browse/messages").json()
    assert [(d["channel"], d["subject"], d["who"], d["origin"]) for d in shown["deliveries"]] == [
        ("sms", "", "ann", "transactional message otp"),
        ("email", "Order A-1001", "ann", "transactional message 1"),
    ]
    (trigger,) = shown["triggers"]
    assert (trigger["state"], trigger["errors"]) == ("failed", ["line 1: no customer has the id x"])


def test_body_of_a_message_can_do_nothing(app: httpx.Client, server: SandboxServer) -> None:
    key = app.post("/v1/send/email", json=MAIL).json()["delivery_id"]
    answer = httpx.get(f"{server.url}/_sandbox/browse/body", params={"delivery_id": key})
    assert answer.text == MAIL["body"]
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox; default-src 'none';")
    assert "allow-scripts" not in policy
    assert "script-src" not in policy
    shown = httpx.get(f"{server.url}/_sandbox/browse/message", params={"delivery_id": key}).json()["message"]
    assert shown["body"] is True
    assert "body" not in shown["content"]
    assert httpx.get(f"{server.url}/_sandbox/browse/body?delivery_id=x").status_code == 404
    assert httpx.get(f"{server.url}/_sandbox/browse/message?delivery_id=x").json() == {"message": None}


class Page:
    """A page in a browser, spoken to by its debugging protocol."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._number = 0

    def run(self, script: str) -> Any:
        """The value of a script."""
        self._number += 1
        parameters = {"expression": script, "returnByValue": True}
        call = {"id": self._number, "method": "Runtime.evaluate", "params": parameters}
        self._connection.send(json.dumps(call))
        while (answer := json.loads(self._connection.recv(10))).get("id") != self._number:
            pass
        return answer["result"]["result"].get("value")

    def until(self, script: str) -> None:
        """Wait until a script's value is true."""
        deadline = time.monotonic() + 20
        while not self.run(script):
            assert time.monotonic() < deadline, script
            time.sleep(0.05)

    def click(self, name: str) -> None:
        self.until(f"document.getElementById('{name}') !== null")
        self.run(f"document.getElementById('{name}').click()")


@contextmanager
def page(url: str, profile: Path) -> Iterator[Page]:
    command = [*browser(profile), "--remote-debugging-port=0", url]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            told = profile / "DevToolsActivePort"
            deadline = time.monotonic() + 20
            while not (told.exists() and told.read_text().count("\n")):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            port = told.read_text().split()[0]
            (target,) = [
                each for each in httpx.get(f"http://127.0.0.1:{port}/json").json() if each["type"] == "page"
            ]
            with connect(target["webSocketDebuggerUrl"], max_size=None) as connection:
                yield Page(connection)
        finally:
            process.terminate()


@pytest.mark.slow
@needs_browser
def test_buttons_send_a_newsletter_and_change_consent(
    track: httpx.Client, server: SandboxServer, tmp_path: Path
) -> None:
    send(track, *(identify(name, email=f"{name}@example.com") for name in ("ada", "grace")))
    with page(f"{server.url}/#/messages", tmp_path / "profile") as shown:
        shown.until("document.getElementById('share-opened') !== null")
        shown.run(
            "for (const [name, value] of [['opened', 100], ['bounced', 0], ['unsubscribed', 0]]) {"
            "const field = document.getElementById(`share-${name}`);"
            "field.value = value; field.dispatchEvent(new Event('input')); }"
        )
        shown.click("do-send-a-demo-newsletter")
        shown.until("document.body.textContent.includes('2 sent, ')")
        shown.until("document.querySelectorAll('td.tags').length === 2")
        assert shown.run("document.getElementById('share-opened').value") == "100"
        shown.run(f"location.hash = '#/people/{server.people()['ada']['cio_id']}'")
        shown.click("do-unsubscribe")
        shown.click("do-resubscribe")
        shown.until("document.getElementById('do-unsubscribe') !== null")
        shown.run("location.hash = '#/webhooks'")
        shown.until("document.body.textContent.includes('customer unsubscribed')")
        assert shown.run("document.body.textContent.includes('nowhere: events are kept')")
    metrics = [record["event"]["metric"] for record in server.reported_events()]
    assert metrics[-2:] == ["unsubscribed", "subscribed"]
    assert metrics.count("opened") >= metrics.count("delivered") > 0


@pytest.mark.slow
@needs_browser
def test_message_is_shown_as_it_would_look(app: httpx.Client, server: SandboxServer, tmp_path: Path) -> None:
    later = int(time.time()) + 3600
    key = app.post("/v1/send/email", json={**MAIL, "send_at": later}).json()["delivery_id"]
    with page(f"{server.url}/#/messages", tmp_path / "profile") as shown:
        shown.click("do-send-what-is-scheduled-now")
        shown.until("document.body.textContent.includes('delivered')")
        shown.run(f"location.hash = '#/messages/{quote(key, safe='')}'")
        shown.until("document.querySelector('article.mail iframe') !== null")
        texts = shown.run("[...document.querySelectorAll('article.mail dd')].map((e) => e.textContent)")
        assert texts == ["Shop <s@example.com>", "Ann <a@example.com>", "receipt", "2"]
        assert shown.run("document.querySelector('article.mail h3').textContent") == "Order A-1001"
        assert shown.run("document.querySelector('.attached').textContent") == "receipt.pdf, 6 bytes"
        assert shown.run("document.querySelector('iframe').getAttribute('sandbox')") == ""
        assert "A-1001" in shown.run("document.querySelector('tbody').textContent")


@pytest.mark.slow
@needs_browser
def test_hostile_names_are_shown_as_text(track: httpx.Client, server: SandboxServer, tmp_path: Path) -> None:
    send(track, identify(HOSTILE, name=HOSTILE, link="javascript:alert(1)"))
    send(track, person("event", HOSTILE, name=HOSTILE, attributes={HOSTILE: HOSTILE}), identify(HOSTILE * 9))
    cio_id = server.people()[HOSTILE]["cio_id"]
    server.send(newsletter={"newsletter_id": 1}, channel="in_app", subject=HOSTILE)
    mail = {"to": "a@example.com", "from": HOSTILE, "subject": HOSTILE, "message_data": {HOSTILE: HOSTILE}}
    body = f"<p>kept apart</p><script>parent.document.title='owned'</script>{HOSTILE}"
    with app_client(server) as app:
        key = app.post("/v1/send/email", json={**mail, "body": body}).json()["delivery_id"]
    views = ("people", f"people/{cio_id}", "messages", f"messages/{quote(key, safe='')}", "events", "refused")
    for number, view in enumerate(views):
        document = subprocess.run(
            [
                *browser(tmp_path / str(number)),
                "--virtual-time-budget=3000",
                "--dump-dom",
                f"{server.url}/#/{view}",
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        assert "<title>Customer.io sandbox</title>" in document
        assert "&lt;script&gt;document.title='owned'&lt;/script&gt;" in document
        assert HOSTILE not in document
