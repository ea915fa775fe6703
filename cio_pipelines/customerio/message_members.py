"""Members of transactional messages: their checks on the way out, and reading them back from JSON."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping
from typing import cast

from cio_pipelines.customerio import checks, limits
from cio_pipelines.customerio.errors import InvalidOperation
from cio_pipelines.customerio.identifiers import PersonIdentifiers
from cio_pipelines.customerio.members import Device


def template(field: str, value: object) -> object:
    if type(value) is int and value > 0:
        return value
    if not isinstance(value, str):
        raise InvalidOperation(field, "invalid", "value is a template's number or trigger name")
    return checks.text(field, value)


def recipient(field: str, value: object) -> object:
    if not isinstance(value, PersonIdentifiers):
        raise InvalidOperation(field, "invalid", "give PersonIdentifiers")
    if value.phone is not None:
        raise InvalidOperation(f"{field}.phone", "invalid", "give an id, email or cio_id")
    return value.wire(field)


def send_at(field: str, value: object) -> object:
    seconds = checks.moment(field, value)
    if seconds > time.time() + limits.SEND_AT_SECONDS:
        raise InvalidOperation(field, "invalid", "send_at is no more than 90 days ahead")
    return seconds


def headers(field: str, value: object) -> object:
    given = checks.mapping(field, value)
    for name, content in given.items():
        for part in (name, content):
            if not isinstance(part, str) or not part.isascii() or not part.isprintable() or not part:
                raise InvalidOperation(field, "invalid", "headers are printable ASCII text")
        if " " in name or ":" in name:
            raise InvalidOperation(field, "invalid", "a header's name has no spaces or colons")
    return given


def attachments(field: str, value: object) -> object:
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


def sound(field: str, value: object) -> object:
    if value not in ("default", "none"):
        raise InvalidOperation(field, "invalid", "sound is default or none")
    return value


def device(field: str, value: object) -> object:
    if not isinstance(value, Device):
        raise InvalidOperation(field, "invalid", "give a Device")
    return value.wire()


def read_person(field: str, value: object) -> PersonIdentifiers:
    return PersonIdentifiers(**checks.exactly(field, value, ("id", "email", "cio_id")))


def read_device(field: str, value: object) -> Device:
    given = checks.exactly(field, value, ("token", "platform", "last_used", "attributes"))
    checks.require(given, "token", "platform")
    if given.get("attributes") is not None:
        checks.mapping(f"{field}.attributes", given["attributes"])
    return Device(**given)


def read_attachments(field: str, value: object) -> dict[str, bytes]:
    read: dict[str, bytes] = {}
    for name, text in checks.mapping(field, value).items():
        try:
            read[name] = base64.b64decode(text if isinstance(text, str) else "?", validate=True)
        except ValueError:
            raise InvalidOperation(field, "invalid", "an attachment's content is base64") from None
    return read


READERS: Mapping[str, Callable[[str, object], object]] = {
    "identifiers": read_person,
    "device": read_device,
    "attachments": read_attachments,
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
CHECKS: Mapping[str, Callable[[str, object], object]] = {
    "transactional_message_id": template,
    "identifiers": recipient,
    "send_at": send_at,
    "headers": headers,
    "attachments": attachments,
    "sound": sound,
    "device": device,
    **dict.fromkeys(_LINES, checks.line),
    **dict.fromkeys(_TEXTS, checks.text),
    **dict.fromkeys(_OBJECTS, checks.mapping),
    **dict.fromkeys(_FLAGS, checks.flag),
}
