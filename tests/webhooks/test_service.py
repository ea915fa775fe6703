"""What operators see: alive, ready, counters, and a description of the routes that is true."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from cio_pipelines.landing import LandingZone
from cio_pipelines.webhooks.answers import ANSWERS, WRONG_METHOD
from cio_pipelines.webhooks.service import WEBHOOK_PATH
from tests.chromium import browser, needs_browser

from .conftest import Running, event, eventually, receiving, signed


def test_the_process_says_that_it_is_alive(service: Running) -> None:
    assert service.client.get("/healthz").json() == {"status": "alive"}


def test_it_is_ready_while_the_landing_zone_can_be_written_to(tmp_path: Path) -> None:
    folder = tmp_path / "landing"
    with receiving(folder) as service:
        assert service.client.get("/readyz").json() == {"status": "ready", "reason": None}
        folder.rename(tmp_path / "away")
        folder.write_text("a file where the folder was")
        eventually(lambda: service.client.get("/readyz").status_code == 503)
        answer = service.client.get("/readyz").json()
        assert answer["status"] == "not_ready"
        assert re.search(r"cannot be written to: File exists.* Check LANDING_URL", answer["reason"])
        folder.unlink()
        eventually(lambda: service.client.get("/readyz").status_code == 200)


class CountingZone(LandingZone):
    """Counts how often it is asked, and answers when it may."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.asked = 0
        self.may_answer = threading.Event()

    def check_writable(self) -> None:
        self.asked += 1
        assert self.may_answer.wait(30)
        super().check_writable()


def test_the_landing_zone_is_asked_at_most_once_a_second(tmp_path: Path) -> None:
    zone = CountingZone(f"file://{tmp_path}")
    zone.may_answer.set()
    with receiving(tmp_path, zone=zone) as service:
        for _ in range(20):
            assert service.client.get("/readyz").status_code == 200
    assert zone.asked <= 2


def test_a_landing_zone_that_hangs_is_not_ready(tmp_path: Path) -> None:
    zone = CountingZone(f"file://{tmp_path}")
    with receiving(tmp_path, zone=zone) as service:
        answer = service.client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["reason"].endswith("did not answer within 2 s.")
        zone.may_answer.set()
        eventually(lambda: service.client.get("/readyz").status_code == 200)


def test_counters_are_labelled_by_what_is_known_only(tmp_path: Path) -> None:
    with receiving(tmp_path) as service:
        for number in range(40):
            service.post(event(number, f"type{number}", f"metric{number}"))
        service.post(event(41, "email", "opened"))
        service.post(b'{"object_type":["email"],"metric":{}}')
        page = service.client.get("/metrics")
        assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
        families = {family.name: family for family in text_string_to_metric_families(page.text)}

    events = {
        (sample.labels["object_type"], sample.labels["metric"]): sample.value
        for sample in families["cio_webhook_events"].samples
        if sample.name.endswith("_total")
    }
    assert events == {("other", "other"): 41, ("email", "opened"): 1}
    assert {f"cio_webhook_{name}" for name in ("requests", "answer_seconds", "commit_seconds")} <= set(
        families
    )
    assert {"cio_webhook_waiting_events", "cio_webhook_commit_events", "process_cpu_seconds"} <= set(families)


def test_every_answer_is_described(service: Running) -> None:
    document = service.client.get("/openapi.json").json()
    operation = document["paths"][WEBHOOK_PATH]["post"]

    answers = [answer for answer in ANSWERS if answer is not WRONG_METHOD]
    assert set(operation["responses"]) == {str(answer.status) for answer in answers}
    for answer in answers:
        described = operation["responses"][str(answer.status)]
        schema = described["content"]["application/json"]["schema"]
        body = json.loads(answer.body)
        assert set(body) == set(schema["required"])
        assert body[schema["required"][0]] in schema["properties"][schema["required"][0]]["enum"]
        assert ("retry-after" in answer.headers) == ("headers" in described)
    assert [(header["name"], header["required"]) for header in operation["parameters"]] == [
        ("X-CIO-Timestamp", True),
        ("X-CIO-Signature", True),
    ]
    assert "5,000,000 bytes" in operation["requestBody"]["description"]
    example = operation["requestBody"]["content"]["application/json"]["schema"]["example"]
    body = json.dumps(example).encode()
    assert service.post(body, signed(body)).status_code == 200
    assert set(document["paths"]) == {WEBHOOK_PATH, "/healthz", "/readyz", "/metrics"}
    assert {"200", "503"} <= set(document["paths"]["/readyz"]["get"]["responses"])


def test_the_page_of_the_routes_names_nothing_on_the_internet(service: Running) -> None:
    page = service.client.get("/docs")

    assert page.status_code == 200
    assert re.findall(r"https?://[^\s'\"]+", page.text) == []
    loaded = re.findall(r"(?:src|href)=\"([^\"]+)\"", page.text)
    assert len(loaded) == 3
    for path in loaded:
        assert service.client.get(path).status_code == 200


@contextmanager
def proxy() -> Iterator[tuple[int, list[bytes]]]:
    """A proxy that refuses everything and remembers what it was asked for."""
    asked: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                asked.append(connection.recv(4_096).partition(b"\r\n")[0])

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield listener.getsockname()[1], asked
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@needs_browser
def test_a_browser_shows_the_routes_and_asks_nobody_else(service: Running, tmp_path: Path) -> None:
    with proxy() as (proxy_port, asked):
        document = subprocess.run(
            browser(
                tmp_path,
                f"--proxy-server=http://127.0.0.1:{proxy_port}",
                "--virtual-time-budget=5000",
                "--dump-dom",
                f"{service.url}/docs",
            ),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
    assert "Take an event that Customer.io reports" in document
    # the browser itself looks for updates
    assert [request for request in asked if b"google" not in request] == []
