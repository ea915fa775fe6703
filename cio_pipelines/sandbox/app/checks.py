"""What bodies of App API calls are held to, and the answer to those that do not keep to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec

from cio_pipelines.sandbox.http import Answer, Request, error_meta, errors_app, json_answer
from cio_pipelines.sandbox.wire import decode

Kind = tuple[tuple[type, ...], str]
TEXT: Kind = ((str,), "a string")
WHOLE: Kind = ((int,), "an integer")
FLAG: Kind = ((bool,), "true or false")
OBJECT: Kind = ((dict,), "an object")
ARRAY: Kind = ((list,), "an array")
ID_OR_NAME: Kind = ((int, str), "an integer or a string")
OBJECT_OR_TEXT: Kind = ((dict, str), "an object")
"""A type of JSON values, and how a person would say it."""


class Refusal(Exception):  # the answer to a request, not a fault of the program
    """A request is refused with `answer`."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def meta_refusal(message: str, status: int = 400) -> Refusal:
    """In the form of the transactional sends."""
    return Refusal(error_meta(message, status))


def app_refusal(detail: str, status: int = 400) -> Refusal:
    """In the form of most other calls."""
    return Refusal(errors_app(detail, status))


def pointed_refusal(detail: str, field: str) -> Refusal:
    """422 with a pointer to the member at fault: broadcasts."""
    source = {"pointer": f"/data/attributes/{field}"}
    return Refusal(json_answer({"errors": [{"detail": detail, "source": source, "status": "422"}]}, 422))


def read_object(request: Request, refuse: Callable[[str], Refusal]) -> dict[str, Any]:
    """The body, which must be a JSON object. Raises what `refuse` makes."""
    try:
        body = decode(request.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise refuse("the body is not valid JSON") from None
    if not isinstance(body, dict):
        raise refuse("the body must be a JSON object")
    return cast("dict[str, Any]", body)


def check_members(
    body: Mapping[str, Any], known: Mapping[str, Kind], refuse: Callable[[str], Refusal], *, strict: bool
) -> None:
    """Types of the members that are known; `strict` refuses others. Raises what `refuse` makes."""
    for name, value in body.items():
        kind = known.get(name)
        if kind is None:
            if strict:
                raise refuse(f"unknown field {name[:60]}")
            continue
        types, meaning = kind
        if value is not None and (
            not isinstance(value, types) or (isinstance(value, bool) and bool not in types)
        ):
            raise refuse(f"{name} must be {meaning}")


def is_strict(request: Request) -> bool:
    """Whether unknown fields are to be refused."""
    return request.headers.get("x-validate", "").lower() == "strict"


def listed(text: str | None) -> frozenset[str] | None:
    """The ids and names in an option, without regard to letter case; None when there is no such option."""
    if text is None:
        return None
    return frozenset(part.strip().casefold() for part in text.split(",") if part.strip())
