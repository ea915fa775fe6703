"""What Customer.io says of single recipients, without saying who they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cio_pipelines.customerio.replies import scrub

_LINE = re.compile(r"\s*line (\d+)\s*:\s*(.*)", re.IGNORECASE | re.DOTALL)
_NAMED = re.compile(
    r"\b(id|ids|email|e-mail|identifier|customer|person|user)([ :=]+)(\S+)\s*$", re.IGNORECASE
)
_PLAIN = re.compile(r"\(?[A-Z]?[a-z]+(?:['’-][a-z]+)*\)?[.,:;!?]?|[A-Za-z]|<[a-z]+>|JSON|ID|id's")
"""Words of a sentence. Whatever has digits, underscores or capitals inside is likely a value."""


@dataclass(frozen=True, slots=True)
class ErrorLine:
    """`number` is the recipient's place in the request, from 1, or None; `reason` holds no identifier."""

    number: int | None
    reason: str


def error_lines(texts: Iterable[str], identifiers: Sequence[str] = ()) -> list[ErrorLine]:
    """Customer.io's texts, such as "line 3: no customer has the id ...", with the values masked.

    Args:
        texts: as the App API gives them.
        identifiers: of the request, in its order, as far as they are known.
    """
    return [_line(text, identifiers) for text in texts]


def _line(text: str, identifiers: Sequence[str]) -> ErrorLine:
    found = _LINE.match(text)
    if found is None:
        return ErrorLine(None, _masked(text))
    number, said = int(found.group(1)), found.group(2)
    if 1 <= number <= len(identifiers) and identifiers[number - 1]:
        said = re.sub(rf"(?<!\w){re.escape(identifiers[number - 1])}(?!\w)", "<value>", said)
    return ErrorLine(number, _masked(said))


def _masked(text: str) -> str:
    named = _NAMED.sub(r"\1\2<value>", scrub(text))
    return " ".join(word if _PLAIN.fullmatch(word) else "<value>" for word in named.split())
