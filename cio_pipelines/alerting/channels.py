"""The ways in which an alert goes out."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Protocol
from urllib.parse import unquote, urlsplit

import httpx

from cio_pipelines.alerting.message import Alert

_SECONDS = 10.0
_SUBMISSION = 587
"""The port where mail programs hand in what they send (RFC 6409)."""


class AlertError(Exception):
    """An alert did not go out. The message names the channel and what to do; it quotes no address of it."""


class Channel(Protocol):
    """One way out."""

    def send(self, alert: Alert) -> None:
        """Send it. Raises AlertError."""
        ...


@dataclass(frozen=True, slots=True)
class WebhookChannel:
    """An incoming webhook as Slack has it, and Mattermost, Rocket.Chat and others after it: {"text": …}.

    The URL is a secret: whoever has it may write there.
    """

    url: str = field(repr=False)

    def send(self, alert: Alert) -> None:
        try:
            answer = httpx.post(self.url, json={"text": alert.text}, timeout=_SECONDS)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise AlertError(
                f"The webhook of CIO_ALERT_WEBHOOK_URL was not reached ({type(error).__name__}). "
                "Check the URL, and the way out of this network."
            ) from None
        if not answer.is_success:
            raise AlertError(
                f"The webhook of CIO_ALERT_WEBHOOK_URL answered {answer.status_code}. "
                "Make a new one in the chat's settings if it was removed."
            )


@dataclass(frozen=True, slots=True)
class EmailChannel:
    """E-mail by SMTP.

    Args:
        url: `smtp://user:password@host:587`, which demands STARTTLS wherever a password is given, or
            `smtps://…:465`; a secret.
        sender: the address in From.
        recipients: the addresses in To.
    """

    url: str = field(repr=False)
    sender: str
    recipients: tuple[str, ...]

    def send(self, alert: Alert) -> None:
        message = EmailMessage()
        message["Subject"] = alert.headline
        message["From"] = self.sender
        message["To"] = ", ".join(self.recipients)
        message.set_content(alert.text)
        try:
            self._deliver(message)
        except (smtplib.SMTPException, OSError) as error:
            raise AlertError(
                f"The mail server of CIO_ALERT_SMTP_URL did not take the message ({type(error).__name__}). "
                "Check host, port, user and password, and that it may send for CIO_ALERT_EMAIL_FROM."
            ) from None

    def _deliver(self, message: EmailMessage) -> None:
        place = urlsplit(self.url)
        host, context = place.hostname or "", ssl.create_default_context()
        if place.scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                host, place.port or smtplib.SMTP_SSL_PORT, timeout=_SECONDS, context=context
            )
        else:
            server = smtplib.SMTP(host, place.port or _SUBMISSION, timeout=_SECONDS)
        with server:
            if place.username is not None:
                if place.scheme == "smtp":
                    server.starttls(context=context)
                server.login(unquote(place.username), unquote(place.password or ""))
            server.send_message(message)


def send(alert: Alert, channels: Sequence[Channel]) -> None:
    """Send an alert by every channel. Raises AlertError when one of them failed, after all were tried."""
    failures: list[AlertError] = []
    for channel in channels:
        try:
            channel.send(alert)
        except AlertError as error:
            failures.append(error)
    if failures:
        raise AlertError(" ".join(map(str, failures)))
