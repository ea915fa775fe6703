"""The web page: what it asks for, how it keeps scripts out, and (with a browser) what a person sees."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from cio_pipelines.sandbox import SandboxServer

from .conftest import identify, person, send

HOSTILE = "<script>document.title='owned'</script>"
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


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


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium on PATH")
def test_hostile_names_are_shown_as_text(track: httpx.Client, server: SandboxServer, tmp_path: Path) -> None:
    send(track, identify(HOSTILE, name=HOSTILE, link="javascript:alert(1)"))
    send(track, person("event", HOSTILE, name=HOSTILE, attributes={HOSTILE: HOSTILE}), identify(HOSTILE * 9))
    cio_id = server.people()[HOSTILE]["cio_id"]
    for number, view in enumerate(("people", f"people/{cio_id}", "events", "refused")):
        document = subprocess.run(
            [
                BROWSER or "",
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                f"--user-data-dir={tmp_path / str(number)}",
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
