"""Reading Customer.io's answers: what an error says, and which operations a 207 refuses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import orjson

from cio_pipelines.customerio.errors import ErrorDetail

_LONGEST = 200
_EMAIL = re.compile(r"[^\s@<>\"'(),;:]+@[^\s@<>\"'(),;:]+")
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'|`[^`]*`|“[^”]*”")
_NUMBER = re.compile(r"\+?\d[\d ().-]{5,}\d")


@dataclass(frozen=True, slots=True)
class Rejection:
    """An operation that Customer.io refused, or that was refused before sending (`status` 0).

    `index` is absolute, in the operations given. Several faults of one operation are merged: the first one's
    `field` and `reason`, and all of them in `message`. `status` is the HTTP status: 207, 400 or 413.
    """

    index: int
    reason: str
    field: str
    message: str
    status: int


class MalformedReply(ValueError):
    """An answer is not in the documented form. The text says how, and quotes nothing."""


def scrub(text: object) -> str:
    """Server text, up to 200 characters, without e-mails, quoted values and long numbers: likely data."""
    if not isinstance(text, str):
        return ""
    masked = _NUMBER.sub("<number>", _EMAIL.sub("<email>", _QUOTED.sub("<value>", text[: 4 * _LONGEST])))
    return masked if len(masked) <= _LONGEST else masked[: _LONGEST - 1] + "…"


def json_body(content: bytes) -> dict[str, object]:
    """The JSON object in a reply. Raises MalformedReply for anything else."""
    try:
        body: object = orjson.loads(content)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        kind = "HTML" if content.lstrip()[:1] == b"<" else "no JSON object"
        raise MalformedReply(f"the answer is {kind} ({len(content)} bytes)")
    return cast("dict[str, object]", body)


def error_details(content: bytes) -> list[ErrorDetail]:
    """The faults named in an error body of either API; empty when it is not in a documented form.

    Known forms: {"errors": [{"reason", "field", "message"}]},
    {"errors": [{"detail", "status", "code", "source": {"pointer"}}]}, {"meta": {"error": text}},
    {"meta": {"errors": [text, ...]}}.
    """
    try:
        body = json_body(content)
    except MalformedReply:
        return []
    errors = body.get("errors")
    if isinstance(errors, list):
        items = cast("list[object]", errors)
        return [_detail(cast("dict[str, object]", item)) for item in items if isinstance(item, dict)]
    meta = body.get("meta")
    if isinstance(meta, dict):
        told = cast("dict[str, object]", meta)
        texts = told.get("errors", [told.get("error")])
        if isinstance(texts, list):
            return [ErrorDetail(message=scrub(text)) for text in cast("list[object]", texts) if text]
    return []


def rejection(index: int, details: Sequence[ErrorDetail], status: int) -> Rejection:
    """Merge the faults of one operation."""
    first = details[0] if details else ErrorDetail()
    if len(details) <= 1:
        message = first.message
    else:
        message = "; ".join(f"{detail.field}: {detail.message}".strip(": ") for detail in details)
    reason = first.reason or ("too_large" if status == 413 else "invalid")
    return Rejection(
        index, reason, first.field, message or f"refused with status {status}, no reason given", status
    )


def batch_rejections(content: bytes, start: int, count: int, status: int) -> tuple[Rejection, ...]:
    """The refused operations of a batch of `count` that begins at absolute index `start`, in order.

    A 200 names none. Raises MalformedReply when the body is not the documented object, when a 207 names
    nobody, or when a `batch_index` is not an integer within the batch: then no operation's fate is known.
    """
    errors = json_body(content).get("errors")
    if errors is None and status != 207:
        return ()
    if not isinstance(errors, list):
        raise MalformedReply("`errors` is not a list")
    faults: dict[int, list[ErrorDetail]] = {}
    for item in cast("list[object]", errors):
        if not isinstance(item, dict):
            raise MalformedReply("an entry of `errors` is not an object")
        entry = cast("dict[str, object]", item)
        index = entry.get("batch_index")
        if type(index) is not int or not 0 <= index < count:
            raise MalformedReply("a `batch_index` is not the number of an operation in the batch")
        faults.setdefault(index, []).append(_detail(entry))
    if not faults and status == 207:
        raise MalformedReply("a 207 refuses no operation")
    return tuple(rejection(start + index, faults[index], status) for index in sorted(faults))


def _detail(entry: dict[str, object]) -> ErrorDetail:
    return ErrorDetail(
        reason=scrub(entry.get("reason") or entry.get("code")),
        field=scrub(entry.get("field") or _pointer(entry.get("source"))),
        message=scrub(entry.get("message") or entry.get("detail")),
    )


def _pointer(source: object) -> object:
    """Where in the request a fault of the App API is, as `/data/attributes/per_user_data`."""
    return cast("dict[str, object]", source).get("pointer") if isinstance(source, dict) else None
