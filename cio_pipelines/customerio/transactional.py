"""Typed transactional messages: one class for each channel of the App API.

A message is immutable. `encode()` checks whatever Customer.io documents as refused, raises InvalidOperation
naming the member, and returns the JSON to be sent. `to_json()` and `message_from_json()` carry it through a
queue, in Customer.io's own member names. Reprs show ids and the template, never what is said or to which
address.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from email.utils import getaddresses
from typing import ClassVar, Literal, cast

import orjson

from cio_pipelines.customerio import checks, limits
from cio_pipelines.customerio.errors import InvalidOperation
from cio_pipelines.customerio.identifiers import PersonIdentifiers
from cio_pipelines.customerio.jsontext import dumps
from cio_pipelines.customerio.members import Device, Masked
from cio_pipelines.customerio.message_members import CHECKS, READERS

MessageKind = Literal["email", "push", "sms", "in_app", "inbox_message"]
_WIRE = {"sender": "from", "device": "custom_device"}
"""Members whose name here is another: `from` is a word of Python's, `device` is what the SDKs say."""
_FIELDS = {wire: name for name, wire in _WIRE.items()}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class TransactionalMessage(Masked):
    """Base of all messages: what every channel takes.

    `transactional_message_id` is the template's number or its trigger name. `message_data` fills the
    template. `send_at` is a datetime or unix seconds, up to 90 days ahead; one in the past means now.
    `queue_draft` holds the message as a draft. `auto_create` makes an empty template of an unknown name.
    """

    kind: ClassVar[MessageKind]
    transactional_message_id: int | str | None = None
    identifiers: PersonIdentifiers | None = None
    message_data: Mapping[str, object] | None = None
    send_at: datetime | int | None = None
    language: str | None = None
    queue_draft: bool | None = None
    auto_create: bool | None = None

    @property
    def path(self) -> str:
        """Where the message is sent to."""
        return f"/v1/send/{self.kind}"

    @property
    def person_id(self) -> str | None:
        """The id of the person it is about, when it names one."""
        return self.identifiers.id if self.identifiers is not None else None

    @property
    def recipient(self) -> str:
        """Whom it goes to, one text for one recipient: personal data unless it is an id."""
        if self.identifiers is not None:
            return f"{self.identifiers.kind}:{getattr(self.identifiers, self.identifiers.kind)}"
        return str(getattr(self, "to", ""))

    def encode(self) -> bytes:
        """Compact UTF-8 JSON of the request, at most 1 MB without attachments. Raises InvalidOperation."""
        members = self._members()
        attachments = members.pop("attachments", None)
        text = dumps(members)
        if len(text) > limits.MESSAGE_BYTES:
            raise InvalidOperation("message", "too_long", f"no more than {limits.MESSAGE_BYTES} bytes")
        return text if attachments is None else dumps({**members, "attachments": attachments})

    def validate(self) -> None:
        """Raise InvalidOperation when Customer.io would refuse this message."""
        self.encode()

    def to_json(self) -> dict[str, object]:
        """The request as a JSON object, for `message_from_json`. Raises InvalidOperation.

        Integers beyond 64 bits come back as floating-point numbers.
        """
        return orjson.loads(self.encode())

    def _members(self) -> dict[str, object]:
        made: dict[str, object] = {}
        for item in fields(self):
            value: object = getattr(self, item.name)
            if value is not None:
                name = _WIRE.get(item.name, item.name)
                made[name] = CHECKS[item.name](name, value)
        self._check(made)
        return made

    def _check(self, members: Mapping[str, object]) -> None:
        """Rules of the channel. Raises InvalidOperation."""
        checks.require(members, "transactional_message_id", "identifiers")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class TransactionalEmail(TransactionalMessage):
    """An e-mail. `to`, `cc` and `bcc` hold addresses separated by commas, 15 in all.

    Without a template it needs `subject`, `sender` and a body, and counts as message 1. `attachments` are
    raw bytes by file name, less than 2 MB together. `headers` are ASCII.
    """

    kind: ClassVar[MessageKind] = "email"
    to: str
    sender: str | None = None
    reply_to: str | None = None
    cc: str | None = None
    bcc: str | None = None
    fake_bcc: bool | None = None
    subject: str | None = None
    preheader: str | None = None
    body: str | None = None
    body_plain: str | None = None
    body_amp: str | None = None
    headers: Mapping[str, str] | None = None
    attachments: Mapping[str, bytes] | None = None
    tracked: bool | None = None
    send_to_unsubscribed: bool | None = None
    disable_message_retention: bool | None = None
    disable_css_preprocessing: bool | None = None

    def _check(self, members: Mapping[str, object]) -> None:
        checks.require(members, "to")
        texts = [str(members[name]) for name in ("to", "cc", "bcc") if name in members]
        count = len(getaddresses(texts))
        if count > limits.EMAIL_RECIPIENTS:
            told = f"no more than {limits.EMAIL_RECIPIENTS} recipients over to, cc and bcc"
            raise InvalidOperation("to", "too_many", told)
        if "transactional_message_id" not in members:
            checks.require(members, "subject", "from")
            if not {"body", "body_plain", "body_amp"} & set(members):
                raise InvalidOperation("body", "required", "a message without a template needs a body")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class TransactionalPush(TransactionalMessage):
    """A push notification. `to` is `all` (the default), `last_used` or a device's token.

    `device` is added to the person, or updated, at the time of sending.
    """

    kind: ClassVar[MessageKind] = "push"
    to: str | None = None
    title: str | None = None
    message: str | None = None
    image_url: str | None = None
    link: str | None = None
    sound: Literal["default", "none"] | None = None
    custom_data: Mapping[str, object] | None = None
    custom_payload: Mapping[str, object] | None = None
    device: Device | None = None
    send_to_unsubscribed: bool | None = None
    disable_message_retention: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class TransactionalSms(TransactionalMessage):
    """A text message. `to` is a phone number in E.164 form, or Liquid that finds it on the person."""

    kind: ClassVar[MessageKind] = "sms"
    to: str
    sender: str | None = None
    tracked: bool | None = None
    send_to_unsubscribed: bool | None = None
    disable_message_retention: bool | None = None

    def _check(self, members: Mapping[str, object]) -> None:
        checks.require(members, "transactional_message_id", "identifiers", "to")
        if "{{" not in self.to:
            limits.check_phone("to", self.to)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class TransactionalInApp(TransactionalMessage):
    """A message within the application."""

    kind: ClassVar[MessageKind] = "in_app"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class TransactionalInboxMessage(TransactionalMessage):
    """A message in the application's inbox. `to` is seldom needed: it goes to `identifiers`."""

    kind: ClassVar[MessageKind] = "inbox_message"
    to: str | None = None


MESSAGES: Mapping[MessageKind, type[TransactionalMessage]] = {
    "email": TransactionalEmail,
    "push": TransactionalPush,
    "sms": TransactionalSms,
    "in_app": TransactionalInApp,
    "inbox_message": TransactionalInboxMessage,
}
"""The class of each kind."""


def message_from_json(kind: str, members: Mapping[str, object]) -> TransactionalMessage:
    """The message of a kind from the JSON object of its request, as `to_json` gives it.

    Raises InvalidOperation for an unknown kind or member and for what has no sense; `encode` checks the rest.
    """
    made = MESSAGES.get(cast("MessageKind", kind))
    if made is None:
        raise InvalidOperation("kind", "invalid", f"a message's kind is one of {', '.join(MESSAGES)}")
    known = {item.name for item in fields(made)}
    given: dict[str, object] = {}
    for wire, value in members.items():
        name = _FIELDS.get(wire, wire)
        if name not in known or wire in _WIRE:
            raise InvalidOperation(wire[:60], "invalid", f"a message of kind {kind} has no such member")
        reader = READERS.get(name)
        given[name] = reader(wire, value) if reader is not None and value is not None else value
    if "to" in known and made in (TransactionalEmail, TransactionalSms):
        checks.require(given, "to")
    return cast("Callable[..., TransactionalMessage]", made)(**given)
