"""What a transactional message may hold, channel by channel, and the documented limits."""

from __future__ import annotations

import base64
import binascii
from email.utils import getaddresses
from pathlib import PurePosixPath
from typing import Any, cast

import msgspec

from cio_pipelines.customerio import limits
from cio_pipelines.customerio.errors import InvalidOperation
from cio_pipelines.sandbox.app.checks import (
    FLAG,
    ID_OR_NAME,
    OBJECT,
    OBJECT_OR_TEXT,
    TEXT,
    WHOLE,
    Kind,
    check_members,
    meta_refusal,
)
from cio_pipelines.sandbox.wire import decode

RECIPIENTS = 15
"""Most addresses in to, cc and bcc together."""
ATTACHMENT_BYTES = 2_000_000
"""Most bytes of all attachments of a message together, before they are encoded ("2 MB")."""
PAYLOAD_BYTES = 1_000_000
"""Most bytes of a request without its attachments ("1 MB")."""
LATEST_SECONDS = 90 * 24 * 3600
"""How far ahead a message may be scheduled."""
_LARGEST_NUMBER = 2**53
_FORBIDDEN = frozenset({".bat", ".cmd", ".com", ".cpl", ".exe", ".jar", ".js", ".msi", ".scr", ".vbs"})
"""Programs. Which types Customer.io refuses is not in its documents."""
_COMMON: dict[str, Kind] = {
    "transactional_message_id": ID_OR_NAME,
    "identifiers": OBJECT,
    "message_data": OBJECT,
    "send_at": WHOLE,
    "disable_message_retention": FLAG,
    "send_to_unsubscribed": FLAG,
    "queue_draft": FLAG,
    "auto_create": FLAG,
    "language": TEXT,
}
_TEXTS = "to from subject body body_plain body_amp preheader reply_to cc bcc"
MEMBERS: dict[str, dict[str, Kind]] = {
    "email": _COMMON
    | dict.fromkeys(_TEXTS.split(), TEXT)
    | dict.fromkeys(("fake_bcc", "tracked", "disable_css_preprocessing"), FLAG)
    | {"attachments": OBJECT, "headers": OBJECT_OR_TEXT},
    "push": _COMMON
    | dict.fromkeys(["to", "title", "message", "image_url", "link", "sound"], TEXT)
    | dict.fromkeys(("custom_data", "custom_payload", "custom_device"), OBJECT),
    "sms": _COMMON | {"to": TEXT, "from": TEXT, "tracked": FLAG},
    "whatsapp": _COMMON | {"to": TEXT, "from": TEXT, "tracked": FLAG},
    "in_app": _COMMON,
    "inbox_message": _COMMON | {"to": TEXT},
}
"""Members of the body by the word in the path, with their types."""


def check_message(channel: str, body: dict[str, Any], size: int, now: int, *, strict: bool) -> None:
    """Hold a body to what is documented; `size` is its length in bytes. Raises Refusal."""
    check_members(body, MEMBERS[channel], meta_refusal, strict=strict)
    for name in [name for name, value in body.items() if value is None]:
        del body[name]
    template = body.get("transactional_message_id")
    if template == "" or (isinstance(template, int) and not 1 <= template <= _LARGEST_NUMBER):
        raise meta_refusal("transactional_message_id must be a positive integer or a trigger name")
    if body.get("send_at", 0) > now + LATEST_SECONDS:
        raise meta_refusal("send_at cannot be more than 90 days ahead")
    if channel == "email":
        _check_email(body, size)
        return
    if size > PAYLOAD_BYTES:
        raise meta_refusal(f"the request cannot be longer than {PAYLOAD_BYTES} bytes", 413)
    for name in ("transactional_message_id", "identifiers"):
        if name not in body:
            raise meta_refusal(f"{name} is required")
    _check_identifiers(body)
    if channel in ("sms", "whatsapp"):
        _check_phone(body.get("to"))
    if channel == "push" and "custom_device" in body:
        _check_device(body["custom_device"])


def _check_email(body: dict[str, Any], size: int) -> None:
    attached = _check_attachments(body.get("attachments", {}))
    if size - attached > PAYLOAD_BYTES:
        message = f"the request cannot be longer than {PAYLOAD_BYTES} bytes without its attachments"
        raise meta_refusal(message, 413)
    if not body.get("to"):
        raise meta_refusal("to is required")
    if "transactional_message_id" not in body:
        for name in ("body", "subject", "from"):
            if not body.get(name):
                raise meta_refusal(f"{name} is required without a transactional_message_id")
    addresses = [a for name in ("to", "cc", "bcc") if body.get(name) for a in getaddresses([body[name]])]
    if len(addresses) > RECIPIENTS:
        raise meta_refusal(f"no more than {RECIPIENTS} recipients in to, cc and bcc together")
    for _, address in addresses:
        name, at, domain = address.rpartition("@")
        if not (name and at and domain) or " " in address:
            raise meta_refusal("to, cc and bcc must hold e-mail addresses")
    if "identifiers" in body:
        _check_identifiers(body)
    body["headers"] = _headers(body.get("headers", {}))


def _check_attachments(attachments: dict[str, Any]) -> int:
    """Their names, types and sizes; returns the bytes that they take in the body."""
    total = encoded = 0
    for name, content in attachments.items():
        if PurePosixPath(name).suffix.lower() in _FORBIDDEN:
            raise meta_refusal("attachments of this type are not allowed", 403)
        try:
            total += len(base64.b64decode(content, validate=True))
        except (binascii.Error, TypeError, ValueError):
            raise meta_refusal("attachments must be base64") from None
        encoded += len(content)
    if total > ATTACHMENT_BYTES:
        raise meta_refusal(f"attachments cannot be longer than {ATTACHMENT_BYTES} bytes together", 413)
    return encoded


def _headers(headers: dict[str, Any] | str) -> dict[str, Any]:
    """Name to value; the specification has them as JSON text, everybody sends an object."""
    if isinstance(headers, str):
        try:
            read = decode(headers)
        except msgspec.DecodeError:
            raise meta_refusal("headers must be an object") from None
        pairs = cast("list[Any]", read if isinstance(read, list) else [read])
        try:
            headers = {
                str(pair["name"]) if "name" in pair else name: pair["value"] if "name" in pair else value
                for pair in pairs
                for name, value in pair.items()
            }
        except (AttributeError, KeyError, TypeError):
            raise meta_refusal("headers must be an object") from None
    if not all(isinstance(value, str) for value in headers.values()):
        raise meta_refusal("headers must have texts as values")
    return headers


def _check_identifiers(body: dict[str, Any]) -> None:
    identifiers: dict[str, Any] = body["identifiers"]
    if len(identifiers) != 1 or not identifiers.keys() <= {"id", "email", "cio_id"}:
        raise meta_refusal("identifiers must hold exactly one of id, email and cio_id")
    (value,) = identifiers.values()
    if not isinstance(value, str) or not value:
        raise meta_refusal("the identifier must be a string")


def _check_phone(value: Any) -> None:
    if not value:
        raise meta_refusal("to is required")
    try:
        limits.check_phone("to", value)
    except InvalidOperation as fault:
        raise meta_refusal(f"to: {fault.message}") from None


def _check_device(device: dict[str, Any]) -> None:
    if not isinstance(device.get("token"), str) or device.get("platform") not in ("ios", "android"):
        raise meta_refusal("custom_device must have a token, and a platform of ios or android")
