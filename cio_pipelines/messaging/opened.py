"""What a dead letter of the queue holds, for a person to read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import orjson

from cio_pipelines.messaging.queue.protocol import QueuedLetter

_MASK = "<masked>"
_SHOWN = frozenset({"type", "action", "name", "kind", "id", "broadcast_id", "timestamp"})
"""Members of a message, not of what is in it, that say what it is; `name` is an event's."""


@dataclass(frozen=True, slots=True)
class Opened:
    """`operation` is identify, event, email, broadcast, …; `payload` is masked unless asked for otherwise."""

    operation: str
    payload: dict[str, Any]


def opened(letter: QueuedLetter, *, unmasked: bool = False) -> Opened:
    """Read a letter's body. With `unmasked` everything is shown, personal data too."""
    body = cast("dict[str, Any]", orjson.loads(letter.body))
    operation = str(body.get("action") or body.get("kind") or letter.queue)
    return Opened(operation, body if unmasked else _masked(body))


def _masked(body: dict[str, Any]) -> dict[str, Any]:
    shown = {name: value if name in _SHOWN else _hidden(value) for name, value in body.items()}
    identifiers = body.get("identifiers")
    if isinstance(identifiers, dict) and "id" in identifiers:
        shown["identifiers"] = {"id": cast("dict[str, Any]", identifiers)["id"]}
    return shown


def _hidden(value: Any) -> Any:
    """Names of members without their values."""
    if isinstance(value, dict):
        return {name: _hidden(item) for name, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_hidden(item) for item in cast("list[Any]", value)]
    return value if value is None else _MASK
