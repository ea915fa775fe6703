"""What goes into the queue: operations of the Track API as they are sent, requests of the App API as JSON.

An operation is encoded when it is put, so that a fault is told to the caller and the worker only joins texts.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from ulid import ULID

from cio_pipelines.customerio import (
    AppClient,
    Audience,
    DeletePerson,
    IdentifyPerson,
    InvalidOperation,
    Operation,
    PersonEvent,
    PersonIdentifiers,
    SuppressPerson,
    TransactionalMessage,
    audience_from_json,
    audience_to_json,
    message_from_json,
)
from cio_pipelines.customerio.audiences import trigger_body
from cio_pipelines.messaging.queue.protocol import Taken

LAST_SEEN = "last_seen_at"
"""The attribute that a direct identify adds, unix seconds: never part of what the scheduled sync compares."""

Attributes = Mapping[str, object]


def identify(person_id: str, attributes: Attributes, timestamp: datetime | int | None = None) -> Operation:
    """Set attributes of a person who was seen now; `timestamp` is when they were so, by default now."""
    now = int(time.time())
    return IdentifyPerson(
        PersonIdentifiers(id=person_id),
        {LAST_SEEN: now, **attributes},
        timestamp=now if timestamp is None else timestamp,
    )


def track(
    person_id: str,
    name: str,
    attributes: Attributes | None = None,
    *,
    event_id: str | None = None,
    timestamp: datetime | int | None = None,
) -> PersonEvent:
    """Something a person did, by default now. `event_id` is a ULID: of two alike one is ignored."""
    return PersonEvent(
        PersonIdentifiers(id=person_id),
        name,
        attributes,
        id=event_id or str(ULID()),
        timestamp=int(time.time()) if timestamp is None else timestamp,
    )


def suppress(person_id: str) -> Operation:
    """Delete a person there and block the identifier."""
    return SuppressPerson(PersonIdentifiers(id=person_id))


def delete(person_id: str) -> Operation:
    """Delete a person there."""
    return DeletePerson(PersonIdentifiers(id=person_id))


def person_line(person_id: str) -> str:
    """The line of everything that is said about a person."""
    return f"person:{person_id}"


def transactional_body(message: TransactionalMessage) -> bytes:
    """A transactional message as the queue keeps it. Raises InvalidOperation."""
    return orjson.dumps({"kind": message.kind, "message": message.to_json()})


def transactional_line(message: TransactionalMessage, *, after_profile: bool) -> str:
    """The line of a message: that of its recipient's messages, or of everything about the person."""
    if after_profile and message.person_id is not None:
        return person_line(message.person_id)
    return f"message:{message.recipient}"


def broadcast_body(broadcast_id: int, audience: Audience, data: Attributes | None) -> bytes:
    """A trigger of a broadcast as the queue keeps it. Raises InvalidOperation."""
    request: dict[str, object] = orjson.loads(trigger_body(audience, data))
    return orjson.dumps(
        {
            "broadcast_id": broadcast_id,
            "audience": audience_to_json(audience),
            "data": request.get("data"),
        }
    )


async def send(client: AppClient, taken: Taken) -> str:
    """Send what the queue kept for the App API; returns the delivery's or the trigger's id.

    Raises CustomerIOError, and InvalidOperation for a body that is no request.
    """
    try:
        kept: dict[str, Any] = orjson.loads(taken.body)
        if taken.queue == "broadcast":
            number, audience = int(kept["broadcast_id"]), audience_from_json(kept["audience"])
            return str(await client.trigger_broadcast(number, audience, kept["data"]))
        message = message_from_json(str(kept["kind"]), kept["message"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise InvalidOperation("message", "invalid", "what the queue kept is no request") from None
    return (await client.send(message)).delivery_id
