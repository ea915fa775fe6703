"""Alerts go out by real servers of this machine, and what goes wrong is told without a secret."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope

from cio_pipelines.alerting import Alert, AlertError, EmailChannel, WebhookChannel, send

from .chat import listening

ALERT = Alert(
    "cio_pipelines (prod): sync_people failed", ("push: refused",), "https://dagster.example/runs/1"
)


@dataclass
class Mailbox:
    """What a mail server was given."""

    taken: list[Envelope] = field(default_factory=list[Envelope])

    async def handle_DATA(self, server: object, session: object, envelope: Envelope) -> str:
        del server, session
        self.taken.append(envelope)
        return "250 OK"


@contextmanager
def mail_server(box: Mailbox, **settings: Any) -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port, **settings)
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


def test_a_chat_is_told_in_slacks_form() -> None:
    with listening() as chat:
        WebhookChannel(chat.url).send(ALERT)
    assert chat.told == [
        {"text": "cio_pipelines (prod): sync_people failed\n• push: refused\nhttps://dagster.example/runs/1"}
    ]


def test_a_chat_that_refuses_or_is_gone_is_told_without_its_address() -> None:
    with listening() as chat:
        chat.status = 404
        with pytest.raises(AlertError, match="answered 404") as refused:
            WebhookChannel(chat.url).send(ALERT)
    with pytest.raises(AlertError, match="was not reached") as gone:
        WebhookChannel(chat.url).send(ALERT)
    for error in (refused, gone):
        assert "SECRETPATH" not in str(error.getrepr(showlocals=False, chain=True, style="value"))
    assert "SECRETPATH" not in repr(WebhookChannel(chat.url))


def test_people_are_told_by_e_mail() -> None:
    box = Mailbox()
    with mail_server(box) as port:
        EmailChannel(
            f"smtp://127.0.0.1:{port}", "dagster@example.com", ("a@example.com", "b@example.com")
        ).send(ALERT)
    [envelope] = box.taken
    assert envelope.rcpt_tos == ["a@example.com", "b@example.com"]
    text = (envelope.content or b"").decode() if isinstance(envelope.content, bytes) else envelope.content
    assert text is not None
    assert "Subject: cio_pipelines (prod): sync_people failed" in text
    assert "push: refused" in text


def test_a_password_is_never_sent_in_the_clear() -> None:
    seen: list[object] = []

    def authenticate(*given: object) -> AuthResult:
        seen.append(given)
        return AuthResult(success=True)

    box = Mailbox()
    with (
        mail_server(box, authenticator=authenticate, auth_require_tls=False) as port,
        pytest.raises(AlertError, match="SMTPNotSupportedError") as refused,
    ):
        EmailChannel(f"smtp://user:SECRETWORD@127.0.0.1:{port}", "d@example.com", ("a@example.com",)).send(
            ALERT
        )
    assert (seen, box.taken) == ([], [])
    assert "SECRETWORD" not in str(refused.value)


def test_one_channel_that_fails_keeps_nothing_from_the_others() -> None:
    with listening() as chat:
        channels = [WebhookChannel("http://127.0.0.1:9/gone"), WebhookChannel(chat.url)]
        with pytest.raises(AlertError, match="was not reached"):
            send(ALERT, channels)
    assert len(chat.told) == 1
