"""Customer.io's documented limits, and the checks of them. Lengths are bytes of UTF-8, not characters.

Source of the figures: Customer.io's Track API reference (OpenAPI document of August 2026); for messages and
triggers its App API reference (of May 2022 and August 2026). Where it says "kb" or "MB" without saying
whether that is counted by 1,000 or 1,024, the smaller reading is used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast

from cio_pipelines.customerio.errors import InvalidOperation
from cio_pipelines.customerio.jsontext import dumps

PERSON_ID_BYTES = 150
"""Most bytes of a person's or an object's id."""
ATTRIBUTE_NAME_BYTES = 150
"""Most bytes of an attribute's name."""
ATTRIBUTE_VALUE_BYTES = 1_000
"""Most bytes of an attribute's value: of the text, or of the compact JSON of an object or array."""
ATTRIBUTES_PER_PERSON = 300
"""Most attributes of a person, an object or a relationship, and of one identify call."""
EVENT_NAME_BYTES = 100
"""Most bytes of an event's name."""
OPERATION_BYTES = 32_000
"""An encoded operation is smaller than this ("32 kb")."""
BATCH_BODY_BYTES = 500_000
"""The body of a batch is smaller than this ("500 kb")."""
MESSAGE_BYTES = 1_000_000
"""Most bytes of a transactional message without its attachments ("1MB")."""
ATTACHMENT_BYTES = 2_000_000
"""The attachments of a message are smaller than this together, before they are encoded ("2 MB")."""
EMAIL_RECIPIENTS = 15
"""Most addresses of an e-mail over to, cc and bcc."""
SEND_AT_SECONDS = 90 * 86_400
"""Longest time ahead that a message may be scheduled, in seconds."""
TRIGGER_BYTES = 1_000_000
"""Most bytes of a request that triggers a broadcast ("1MB")."""
TRIGGER_DATA_BYTES = 50_000
"""Most bytes of a trigger's `data`."""
TRIGGER_RECIPIENTS = 10_000
"""Most ids, e-mail addresses or entries of per-user data of a trigger."""
RECIPIENT_DATA_BYTES = 2_000_000
"""Most bytes of the data of one recipient ("2MB")."""
PEOPLE_AT_ONCE = 100
"""Most people whose attributes are read at once."""

_E164 = re.compile(r"\+[1-9][0-9]{1,14}", re.ASCII)
_OBJECT_TYPE = re.compile(r"[1-9][0-9]*", re.ASCII)
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.ASCII | re.IGNORECASE)


def utf8_length(text: str, field: str = "") -> int:
    """Bytes of `text` in UTF-8. Raises InvalidOperation for text that UTF-8 cannot hold (lone surrogates)."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise InvalidOperation(field, "invalid", "text is not valid Unicode") from None


def value_length(value: object, field: str = "") -> int:
    """Length of an attribute's value in bytes, as the limit counts it; numbers, booleans and null are 0.

    `value` is JSON-ready, as `jsontext.json_ready` returns it.
    """
    if isinstance(value, str):
        return utf8_length(value, field)
    if isinstance(value, (dict, list)):
        return len(dumps(cast("object", value)))
    return 0


def check_text(field: str, value: object, maximum: int = OPERATION_BYTES) -> None:
    """A required, non-empty text of at most `maximum` bytes. Raises InvalidOperation."""
    if not isinstance(value, str):
        raise InvalidOperation(field, "invalid", "value must be a string")
    if not value:
        raise InvalidOperation(field, "required", "value must not be empty")
    if utf8_length(value, field) > maximum:
        raise InvalidOperation(field, "too_long", f"value cannot be longer than {maximum} bytes")


def check_person_id(field: str, value: object) -> None:
    """An id of a person or an object: 1 to 150 bytes. Raises InvalidOperation."""
    check_text(field, value, PERSON_ID_BYTES)


def check_phone(field: str, value: str) -> None:
    """A phone number in E.164 form. Raises InvalidOperation."""
    if not _E164.fullmatch(value):
        raise InvalidOperation(field, "invalid", "phone must be in E.164 form, such as +15551234567")


def check_object_type_id(field: str, value: object) -> None:
    """An object type: a numeric string from "1". Raises InvalidOperation."""
    if not isinstance(value, str) or not _OBJECT_TYPE.fullmatch(value):
        raise InvalidOperation(field, "invalid", 'object_type_id must be a numeric string from "1"')


def check_event_name(field: str, value: object) -> None:
    """An event's name: 1 to 100 bytes. Raises InvalidOperation."""
    check_text(field, value, EVENT_NAME_BYTES)


def check_ulid(field: str, value: object) -> None:
    """An event's id: a ULID of 26 characters. Raises InvalidOperation."""
    if not isinstance(value, str) or not _ULID.fullmatch(value):
        raise InvalidOperation(field, "invalid", "an event id must be a ULID")


def check_attributes(field: str, attributes: Mapping[str, object]) -> None:
    """Count, names and values of JSON-ready attributes. Raises InvalidOperation naming the first at fault."""
    if len(attributes) > ATTRIBUTES_PER_PERSON:
        raise InvalidOperation(field, "too_many", f"no more than {ATTRIBUTES_PER_PERSON} attributes")
    for name, value in attributes.items():
        if not name:
            raise InvalidOperation(field, "required", "an attribute's name must not be empty")
        if utf8_length(name, field) > ATTRIBUTE_NAME_BYTES:
            # The name itself is too long to be a useful field, and may be a value in the wrong place.
            raise InvalidOperation(
                field, "too_long", f"attribute name cannot be longer than {ATTRIBUTE_NAME_BYTES} bytes"
            )
        if value_length(value, f"{field}.{name}") > ATTRIBUTE_VALUE_BYTES:
            raise InvalidOperation(
                f"{field}.{name}",
                "too_long",
                f"attribute value cannot be longer than {ATTRIBUTE_VALUE_BYTES} bytes",
            )


def check_operation_size(size: int) -> None:
    """`size` is the number of bytes of one encoded operation. Raises InvalidOperation."""
    if size >= OPERATION_BYTES:
        raise InvalidOperation(
            "operation", "too_long", f"an operation must be smaller than {OPERATION_BYTES} bytes"
        )
