"""A queue that is full, away or not there yet: what clients and operators are told, and that it passes."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cio_pipelines.cli.logs import JsonLines
from cio_pipelines.gateway.access import Access, GoogleIdentity, write_access
from cio_pipelines.messaging.queue.protocol import NewMessage, Receipt
from cio_pipelines.messaging.queue.sqlite import SqliteQueue
from tests.redis import RedisServer

from .conftest import PERSON, Served, eventually, serving


def test_a_full_queue_is_to_be_tried_again_and_is_no_reason_to_be_unready(tmp_path: Path) -> None:
    with serving(tmp_path, max_messages=2) as gateway:
        for _ in range(2):
            assert gateway.post("/v1/identify", PERSON).status_code == 202
        answer = gateway.post("/v1/identify", PERSON, key="k")
        assert (answer.status_code, answer.json()["error"]) == (503, "queue_full")
        assert int(answer.headers["retry-after"]) > 0
        assert gateway.client.get("/readyz").status_code == 200


def test_the_service_starts_without_its_queue_and_finds_it_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = tmp_path / "away"
    place.write_text("a file where the folder will be")
    with serving(tmp_path, queue_url=f"sqlite:///{place / 'queue.sqlite'}") as gateway:
        answer = gateway.post("/v1/identify", PERSON)
        assert (answer.status_code, answer.json()["error"]) == (503, "queue_unavailable")
        assert int(answer.headers["retry-after"]) > 0
        ready = gateway.client.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (503, "not_ready")
        assert "queue" in ready.json()["reason"]
        # who calls is asked first all the same
        assert gateway.client.post("/v1/identify", json=PERSON).status_code == 401
        place.unlink()
        place.mkdir()
        eventually(lambda: gateway.post("/v1/identify", PERSON).status_code == 202)
        eventually(lambda: gateway.client.get("/readyz").status_code == 200)
    messages = [record.message for record in caplog.records]
    assert messages.count("the queue cannot be opened, and is tried again") == 1


def counted(gateway: Served) -> dict[tuple[str, str, str], float]:
    """Requests by route, scope and status."""
    text = gateway.client.get("/metrics").text
    [family] = [one for one in text_string_to_metric_families(text) if one.name == "cio_gateway_requests"]
    return {
        (sample.labels["route"], sample.labels["scope"], sample.labels["status"]): sample.value
        for sample in family.samples
        if sample.name.endswith("_total")
    }


def test_requests_are_counted_by_route_scope_and_status_and_by_nothing_personal(tmp_path: Path) -> None:
    with serving(tmp_path) as gateway:
        gateway.post("/v1/identify", PERSON, key="ada@example.com")
        gateway.post("/v1/identify", PERSON, key="ada@example.com")
        gateway.post("/v1/identify", {})
        gateway.client.post("/v1/track", json={})
        for number in range(20):
            gateway.call("DELETE", f"/v1/people/ada{number}")
            gateway.call("GET", f"/v1/messages/ada{number}")
            gateway.call("GET", f"/v1/ada{number}")
        assert counted(gateway) == {
            ("/v1/identify", "identify", "202"): 2,
            ("/v1/identify", "identify", "422"): 1,
            ("/v1/track", "track", "401"): 1,
            ("/v1/people/{person_id}", "delete", "202"): 20,
            ("/v1/messages/{message_id}", "status", "404"): 20,
            ("other", "none", "404"): 20,
        }
        assert gateway.service.counted("cio_gateway_duplicates_total") == 1
        text = gateway.client.get("/metrics").text
        assert not any(word in text for word in ("ada", "user-1", gateway.token))


def test_what_was_accepted_is_there_after_a_restart(tmp_path: Path) -> None:
    with serving(tmp_path) as gateway:
        kept = [gateway.post("/v1/suppress", {"person_id": f"u{n}"}).json()["message_id"] for n in range(20)]
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in tmp_path.glob("queue.sqlite*"):
        shutil.copy(file, copy)
    with serving(copy) as gateway:
        assert [taken.message_id for taken in gateway.take("identify")] == kept


class Careless:
    """Knows an identity, and fails in a way that nobody foresaw, with a text that quotes it."""

    async def email_of(self, token: str) -> str | None:
        raise RuntimeError(token)


class Broken(SqliteQueue):
    """A store that fails in a way that nobody foresaw."""

    async def put(self, messages: Sequence[NewMessage]) -> list[Receipt]:
        raise RuntimeError(messages[0].body.decode())


@pytest.mark.parametrize("is_at_the_door", [True, False])
def test_a_fault_of_ours_has_the_same_shape_and_its_text_is_told_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, is_at_the_door: bool
) -> None:
    queue = Broken(tmp_path / "queue.sqlite", max_messages=10)
    identity = GoogleIdentity(email="ada@example.com", scopes=("identify",))
    with serving(tmp_path, identities=Careless(), queue=lambda: queue) as gateway:
        write_access(gateway.tokens, Access(tokens=tuple(gateway.entries), google=(identity,)))
        time.sleep(0.1)
        answer = gateway.post("/v1/identify", PERSON, token="ada.token.x" if is_at_the_door else None)
    assert (answer.status_code, answer.json()["error"]) == (500, "internal")
    assert set(answer.json()) == {"error", "message", "faults"}
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    line = JsonLines().format(record)
    assert record.message == "a request failed"
    assert '"error": "RuntimeError"' in line
    # a checkout may lie under any path, which the line's traceback names: words that no path holds
    assert not any(
        secret in line + answer.text for secret in ("ada.token", "ada@", "user-1", '"pro"', 'pro\\"')
    )


def test_redis_that_goes_away_and_comes_back_loses_nothing_that_was_accepted(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    with (
        RedisServer(tmp_path / "redis") as redis,
        serving(tmp_path, queue_url=redis.url) as gateway,
    ):
        accepted = gateway.post("/v1/suppress", {"person_id": "u1"}, key="k").json()["message_id"]
        redis.stop()
        answer = gateway.post("/v1/suppress", {"person_id": "u2"})
        assert (answer.status_code, answer.json()["error"]) == (503, "queue_unavailable")
        eventually(lambda: gateway.client.get("/readyz").status_code == 503)
        reason = gateway.client.get("/readyz").json()["reason"]
        assert "for-tests" not in reason, "the password of the queue is nobody's business"
        redis.start()
        eventually(lambda: gateway.client.get("/readyz").status_code == 200)
        again = gateway.post("/v1/suppress", {"person_id": "u1"}, key="k")
        assert (again.status_code, again.json()["message_id"]) == (202, accepted)
        assert [taken.message_id for taken in gateway.take("identify")] == [accepted]
