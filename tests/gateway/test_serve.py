"""`cio tokens` and `cio serve` as processes: from a token to a message in the queue, and a clean end."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from cio_pipelines.gateway.access import SCOPES, Access, new_token, read_access, write_access
from cio_pipelines.messaging.queue import open_queue
from cio_pipelines.sandbox import SandboxServer
from tests.webhooks.conftest import CIO, Command, command, eventually

from .conftest import PERSON, replace

__all__ = ["command"]

Start = Callable[..., Command]


class Place:
    """Where tokens and queue of a test are, and the commands in that environment."""

    def __init__(self, folder: Path) -> None:
        self.tokens, self.queue = folder / "tokens.json", folder / "queue.sqlite"
        self.environment = {"CIO_GATEWAY_TOKENS": str(self.tokens), "QUEUE_URL": f"sqlite:///{self.queue}"}

    def made_by_command(self, *arguments: str) -> str:
        """A token as a person makes it."""
        made = subprocess.run(
            [CIO, "tokens", "create", *arguments],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=True,
        )
        return made.stdout.strip()

    def add(self, name: str) -> str:
        """A token as the command makes it, in less time."""
        access = read_access(self.tokens) if self.tokens.exists() else Access()
        text, entry = new_token(name, SCOPES)
        write_access(self.tokens, Access(tokens=(*access.tokens, entry)))
        return text

    def waiting(self) -> int:
        async def count() -> int:
            async with open_queue(self.environment["QUEUE_URL"]) as queue:
                return sum(depth.waiting for depth in (await queue.depths()).values())

        return asyncio.run(count())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def base(line: dict[str, Any]) -> str:
    return line["url"].removesuffix("/webhooks/customerio")


def test_what_is_accepted_before_a_signal_is_in_the_queue_after_it(command: Start, place: Place) -> None:
    token = place.made_by_command("shop", "--scope", "identify", "--rate", "100000")
    serve = command("--port", "0", **place.environment)
    line = serve.first_line()
    assert line["gateway"] == "on, 1 token"
    accepted: list[str] = []
    other: list[int] = []

    def send() -> None:
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=base(line), headers=headers, trust_env=False, timeout=20) as client:
            while True:
                try:
                    answer = client.post("/v1/identify", json=PERSON)
                except httpx.TransportError:
                    return
                if answer.status_code == 202:
                    accepted.append(answer.json()["message_id"])
                else:
                    other.append(answer.status_code)

    senders = [threading.Thread(target=send) for _ in range(4)]
    for sender in senders:
        sender.start()
    eventually(lambda: len(accepted) >= 50)
    code, out, err = serve.end()
    for sender in senders:
        sender.join(20)
    assert (code, out) == (0, "")
    assert other == []
    assert len(set(accepted)) == len(accepted)
    # those that were being answered when the connection was closed, one a sender at most
    assert len(accepted) <= place.waiting() <= len(accepted) + 4
    assert [json.loads(line)["message"] for line in err.splitlines()] == ["stopped"]


def test_logs_hold_no_personal_data_no_secret_and_no_value(command: Start, place: Place) -> None:
    token = place.add("shop")
    serve = command("--port", "0", **place.environment)
    url = base(serve.first_line())
    wrong = token[:-4] + "AAAA"
    with httpx.Client(base_url=url, trust_env=False) as client:

        def post(path: str, body: Any, given: str = token) -> int:
            headers = {"Authorization": f"Bearer {given}", "Idempotency-Key": "ada-key"}
            return client.post(path, json=body, headers=headers).status_code

        assert post("/v1/identify", {"person_id": "ada", "attributes": {"email": "ada@example.com"}}) == 202
        assert post("/v1/identify", {"person_id": "ada", "attributes": {"email": "eve@example.com"}}) == 409
        assert post("/v1/identify", {"person_id": "ada", "ada@example.com": 1}) == 422
        assert post("/v1/track", {}, wrong) == 401
        replace(place.tokens, b'{"tokens": "ada@example.com"}')
        eventually(lambda: "tokens_file_valid 0.0" in client.get("/metrics").text)
    code, _, err = serve.end()
    assert code == 0
    assert [json.loads(line)["message"] for line in err.splitlines()] == [
        "the file of tokens is not read",
        "stopped",
    ]
    assert not any(secret in err for secret in ("ada", "eve@", token, wrong, "Traceback"))


def test_a_token_is_revoked_while_the_service_runs(command: Start, place: Place) -> None:
    first, second = place.add("shop"), place.add("till")
    serve = command("--port", "0", **place.environment)
    url = base(serve.first_line())

    def status(token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.post(f"{url}/v1/identify", json=PERSON, headers=headers, trust_env=False).status_code

    assert (status(first), status(second)) == (202, 202)
    write_access(place.tokens, Access(tokens=read_access(place.tokens).tokens[1:]))
    eventually(lambda: status(first) == 401)
    assert status(second) == 202


def test_without_tokens_there_is_no_gateway_and_the_start_line_says_so(
    command: Start, tmp_path: Path
) -> None:
    serve = command("--port", "0", HOME=str(tmp_path))
    line = serve.first_line()
    if not line["gateway"].startswith("off"):
        pytest.skip("this machine's own .local holds tokens")
    assert "cio tokens create" in line["gateway"]
    assert httpx.post(f"{base(line)}/v1/identify", json={}, trust_env=False).status_code == 404


def test_a_start_with_what_cannot_work_is_refused_in_a_line(command: Start, place: Place) -> None:
    for content, told in [
        (None, "CIO_GATEWAY_TOKENS is not valid: The file of tokens"),
        ("{", "not valid at"),
    ]:
        if content is not None:
            place.tokens.write_text(content)
        code, out, err = command("--port", "0", **place.environment).wait()
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert told in err
    place.tokens.unlink()
    place.add("shop")
    environment = {**place.environment, "QUEUE_URL": "amqp://user:secret@host"}
    code, _, err = command("--port", "0", **environment).wait()
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith("cio: QUEUE_URL is not valid: ")
    assert "secret" not in err


def test_what_is_posted_is_delivered_by_a_worker_and_its_end_can_be_asked_for(
    command: Start, place: Place, sandbox: SandboxServer
) -> None:
    token = place.add("shop")
    serve = command("--port", "0", **place.environment)
    message = {
        "kind": "email",
        "to": "ada@example.com",
        "transactional_message_id": 1,
        "identifiers": {"id": "user-1"},
    }
    with httpx.Client(
        base_url=base(serve.first_line()), headers={"Authorization": f"Bearer {token}"}, trust_env=False
    ) as client:
        posted = {
            path: client.post(path, json=body).raise_for_status().json()["message_id"]
            for path, body in {"/v1/identify": PERSON, "/v1/transactional": {"message": message}}.items()
        }
        worked = subprocess.run(
            [CIO, "worker", "--until-empty"],
            env={
                **os.environ,
                **place.environment,
                "CUSTOMERIO_TRACK_URL": sandbox.url,
                "CUSTOMERIO_APP_URL": sandbox.url,
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert worked.returncode == 0, worked.stderr
        states = {path: client.get(f"/v1/messages/{posted[path]}").json() for path in posted}
    assert {path: (state["status"], state["attempts"]) for path, state in states.items()} == {
        "/v1/identify": ("delivered", 1),
        "/v1/transactional": ("delivered", 1),
    }
    assert sandbox.people()["user-1"]["attributes"]["plan"] == "pro"
    # the delivery's id, as Customer.io gave it
    assert states["/v1/transactional"]["result"] != ""
