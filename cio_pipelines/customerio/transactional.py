"""Typed transactional messages: one class for each channel of the App API.

A message is immutable. `encode()` checks whatever Customer.io documents as refused, raises InvalidOperation
naming the member, and returns the JSON to be sent. `to_json()` and `message_from_json()` carry it through a
queue, in Customer.io's own member names. Reprs show ids and the template, never what is said or to which
address.
"""

from __future__ import annotations

import base64
import time
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
                made[name] = _CHECKS[item.name](name, value)
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
        reader = _READERS.get(name)
        given[name] = reader(wire, value) if reader is not None and value is not None else value
    if "to" in known and made in (TransactionalEmail, TransactionalSms):
        checks.require(given, "to")
    return cast("Callable[..., TransactionalMessage]", made)(**given)


def _template(field: str, value: object) -> object:
    if type(value) is int and value > 0:
        return value
    if not isinstance(value, str):
        raise InvalidOperation(field, "invalid", "value is a template's number or trigger name")
    return checks.text(field, value)


def _person(field: str, value: object) -> object:
    if not isinstance(value, PersonIdentifiers):
        raise InvalidOperation(field, "invalid", "give PersonIdentifiers")
    if value.phone is not None:
        raise InvalidOperation(f"{field}.phone", "invalid", "give an id, email or cio_id")
    return value.wire(field)


def _moment(field: str, value: object) -> object:
    seconds = checks.moment(field, value)
    if seconds > time.time() + limits.SEND_AT_SECONDS:
        raise InvalidOperation(field, "invalid", "send_at is no more than 90 days ahead")
    return seconds


def _headers(field: str, value: object) -> object:
    headers = checks.mapping(field, value)
    for name, content in headers.items():
        for part in (name, content):
            if not isinstance(part, str) or not part.isascii() or not part.isprintable() or not part:
                raise InvalidOperation(field, "invalid", "headers are printable ASCII text")
        if " " in name or ":" in name:
            raise InvalidOperation(field, "invalid", "a header's name has no spaces or colons")
    return headers


def _attachments(field: str, value: object) -> object:
    if not isinstance(value, Mapping):
        raise InvalidOperation(field, "invalid", "attachments are bytes by file name")
    encoded: dict[str, str] = {}
    size = 0
    for name, content in cast("Mapping[object, object]", value).items():
        checks.text(f"{field} (a file name)", name)
        if not isinstance(content, (bytes, bytearray, memoryview)):
            raise InvalidOperation(field, "invalid", "an attachment's content is bytes")
        raw = bytes(cast("bytes", content))
        size += len(raw)
        encoded[str(name)] = base64.b64encode(raw).decode("ascii")
    if size >= limits.ATTACHMENT_BYTES:
        told = f"attachments must be less than {limits.ATTACHMENT_BYTES} bytes in all"
        raise InvalidOperation(field, "too_long", told)
    return encoded


def _sound(field: str, value: object) -> object:
    if value not in ("default", "none"):
        raise InvalidOperation(field, "invalid", "sound is default or none")
    return value


def _device(field: str, value: object) -> object:
    if not isinstance(value, Device):
        raise InvalidOperation(field, "invalid", "give a Device")
    return value.wire()


def _read_person(field: str, value: object) -> PersonIdentifiers:
    return PersonIdentifiers(**checks.exactly(field, value, ("id", "email", "cio_id")))


def _read_device(field: str, value: object) -> Device:
    given = checks.exactly(field, value, ("token", "platform", "last_used", "attributes"))
    checks.require(given, "token", "platform")
    if given.get("attributes") is not None:
        checks.mapping(f"{field}.attributes", given["attributes"])
    return Device(**given)


def _read_attachments(field: str, value: object) -> dict[str, bytes]:
    read: dict[str, bytes] = {}
    for name, text in checks.mapping(field, value).items():
        try:
            read[name] = base64.b64decode(text if isinstance(text, str) else "?", validate=True)
        except ValueError:
            raise InvalidOperation(field, "invalid", "an attachment's content is base64") from None
    return read


_READERS: Mapping[str, Callable[[str, object], object]] = {
    "identifiers": _read_person,
    "device": _read_device,
    "attachments": _read_attachments,
}
_LINES = ("to", "sender", "reply_to", "cc", "bcc", "subject", "preheader", "language", "title", "image_url")
_TEXTS = ("body", "body_plain", "body_amp", "message", "link")
_OBJECTS = ("message_data", "custom_data", "custom_payload")
_FLAGS = (
    "queue_draft",
    "auto_create",
    "fake_bcc",
    "tracked",
    "send_to_unsubscribed",
    "disable_message_retention",
    "disable_css_preprocessing",
)
_CHECKS: Mapping[str, Callable[[str, object], object]] = {
    "transactional_message_id": _template,
    "identifiers": _person,
    "send_at": _moment,
    "headers": _headers,
    "attachments": _attachments,
    "sound": _sound,
    "device": _device,
    **dict.fromkeys(_LINES, checks.line),
    **dict.fromkeys(_TEXTS, checks.text),
    **dict.fromkeys(_OBJECTS, checks.mapping),
    **dict.fromkeys(_FLAGS, checks.flag),
}
