"""A request as the handlers see it, and the answers in the forms that Customer.io documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, unquote

from cio_pipelines.sandbox.wire import encode

JSON = "application/json"
_DIGITS = 18
_LINES_A_PIECE = 500
NDJSON = "application/x-ndjson"
HTML = "text/html; charset=utf-8"
_NOT_FOUND = b"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Not found (404)</title></head>
<body><h1>Not found</h1><p>Nothing answers at this address. Check the path and the method.</p></body></html>
"""


@dataclass(slots=True)
class Answer:
    """`body` is sent whole, or piece by piece when it is an iterable."""

    status: int = 200
    body: bytes | Iterable[bytes] = b"{}"
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


@dataclass
class Request:
    """`path` is as sent, percent-encoded; header names are in lower case."""

    method: str
    path: str
    query_string: str
    headers: Mapping[str, str]
    body: bytes = b""
    client: str = ""
    too_large: bool = field(default=False)

    @cached_property
    def segments(self) -> list[str]:
        """The decoded parts of the path; a `/` that was sent as %2F stays inside its part."""
        return [unquote(part) for part in self.path.strip("/").split("/")]

    @cached_property
    def query(self) -> dict[str, str]:
        """Query values by name; the last one wins."""
        return dict(parse_qsl(self.query_string, keep_blank_values=True))

    def number(self, name: str, default: int, maximum: int, minimum: int = 1) -> int:
        """A whole number from the query, brought between the bounds; anything else is the default."""
        text = self.query.get(name, "")
        # Longer texts of digits are not numbers that anybody means, and int() refuses the longest.
        if not text.isascii() or not text.isdigit() or len(text) > _DIGITS:
            return default
        return max(minimum, min(int(text), maximum))


def json_answer(value: Any, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """Any value as JSON."""
    return Answer(status, encode(value), JSON, headers)


def lines(records: Iterable[dict[str, Any]]) -> Answer:
    """One JSON object a line."""

    def pieces() -> Iterator[bytes]:
        lines: list[bytes] = []
        for record in records:
            lines.append(encode(record))
            if len(lines) == _LINES_A_PIECE:
                yield b"\n".join([*lines, b""])
                lines.clear()
        if lines:
            yield b"\n".join([*lines, b""])

    return Answer(200, pieces(), NDJSON)


def errors_v2(entries: list[dict[str, object]], status: int) -> Answer:
    """{"errors": [{"reason", "field", "message", "batch_index"?}]}: Track v2."""
    return json_answer({"errors": entries}, status)


def errors_v1(*messages: str) -> Answer:
    """{"meta": {"errors": [text]}}: Track v1."""
    return json_answer({"meta": {"errors": list(messages)}}, 400)


def error_meta(message: str, status: int) -> Answer:
    """{"meta": {"error": text}}: v1 merge, and 401 everywhere."""
    return json_answer({"meta": {"error": message}}, status)


def errors_app(detail: str, status: int, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """{"errors": [{"detail", "status"}]}: the App API; its status is text."""
    return json_answer({"errors": [{"detail": detail, "status": str(status)}]}, status, headers)


def not_found() -> Answer:
    """What Customer.io answers to an unknown path or a wrong method: an HTML page."""
    return Answer(404, _NOT_FOUND, HTML)


def unauthorized(*, track: bool) -> Answer:
    """401; only the Track API asks for Basic credentials."""
    answer = error_meta("Unauthorized request", 401)
    if track:
        answer.headers = (("www-authenticate", 'Basic realm="Customer.io edge event collection"'),)
    return answer
