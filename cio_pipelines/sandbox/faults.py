"""Faults to order: what should go wrong, how often, and for whom."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import Any, Literal, cast

import msgspec

from cio_pipelines.sandbox.options import SandboxError

Kind = Literal[
    "status",
    "slow",
    "slow_body",
    "reset",
    "reset_after",
    "truncate",
    "redirect",
    "reject",
    "bogus_indexes",
    "unapplied",
]
OF_OPERATIONS = ("reject", "unapplied")
Loss = Literal["all", "update_miss", "conflict", "attribute", "stale"]
_HTTP_ERRORS, _SUCCESSES = range(400, 600), range(200, 300)


class Fault(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One switch. `kind` says what goes wrong:

    - `status`: answer with `status` and a `body` of json, empty or html; `retry_after` adds the header, a
      number of seconds or any text (such as a date). Nothing is applied. A 2xx is a page that stands between
      a client and Customer.io, so its `body` is none of json.
    - `slow`: answer `seconds` late; the request is applied at once. `slow_body`: send the head of the answer
      at once, and its body a byte at a time over `seconds`.
    - `reset`: drop the connection instead of reading the request; `reset_after`: apply it, then drop the
      connection; `truncate`: apply it, then send only half of the answer.
    - `redirect`: answer `status` (307 unless given) with `location`; the path is appended to it.
    - `reject`: refuse operations with `reason`, `field` and `message`, in `entries` entries each; a
      transactional message with 400 and `message`.
    - `bogus_indexes`: apply, then answer 207 with a batch_index that no operation has.
    - `unapplied`: accept operations or transactional messages and do nothing, or not all. `loss` says what is
      lost: `all` of it; `update_miss`: all, as if it were an update and nobody had the identifier; of an
      identify `conflict`: an identifier, as if it were another person's (the e-mail, or `attribute`);
      `attribute`: one of them (`attribute`, or the first by name); `stale`: that one too, since an older
      write counts. With `trace` the activity log tells of it, as Customer.io's does.

    `path` limits a fault to paths that begin so. `after` lets the first n pass, `every` hits each n-th only,
    `count` ends it after so many hits; they count requests, or operations for `reject` and `unapplied`.
    Those two may also name whom they hit: `ids`, or every `hash_every`-th id, always the same ones; of a
    message it is the identifier that counts, or else the recipient.
    """

    kind: Kind
    count: int | None = None
    after: int = 0
    every: int = 1
    path: str = ""
    status: int | None = None
    body: Literal["json", "empty", "html"] = "json"
    retry_after: int | str | None = None
    seconds: float = 1.0
    location: str = ""
    ids: list[str] | None = None
    hash_every: int | None = None
    reason: str = "invalid"
    field: str = "attributes"
    message: str = "refused by a fault of the sandbox"
    entries: int = 1
    loss: Loss = "all"
    attribute: str = ""
    trace: bool = False
    seen: int = 0
    hits: int = 0

    def __post_init__(self) -> None:
        if self.every < 1 or self.after < 0 or self.entries < 1 or self.seconds < 0:
            raise ValueError("every and entries must be at least 1, after and seconds at least 0")
        if self.hash_every is not None and self.hash_every < 1:
            raise ValueError("hash_every must be at least 1")
        if self.kind == "status" and not (
            self.status in _HTTP_ERRORS or (self.status in _SUCCESSES and self.body != "json")
        ):
            raise ValueError("a status fault needs a status from 400 to 599, or a 2xx without json")
        if self.kind == "redirect" and not self.location:
            raise ValueError("a redirect fault needs a location")

    def hit(self) -> bool:
        """Count one request or operation; whether the fault strikes it."""
        self.seen += 1
        beyond = self.seen - self.after
        if beyond < 1 or beyond % self.every or (self.count is not None and self.hits >= self.count):
            return False
        self.hits += 1
        return True

    def concerns(self, subject: str) -> bool:
        """Whether an operation about `subject` is among those this fault is for."""
        if self.ids is not None and subject not in self.ids:
            return False
        return (
            self.hash_every is None or zlib.crc32(subject.encode("utf-8", "replace")) % self.hash_every == 0
        )


def struck(subject: str, faults: list[Fault]) -> Fault | None:
    """The first fault that hits an operation; each one counts the operations it is concerned with."""
    found: Fault | None = None
    for fault in faults:
        if fault.concerns(subject) and fault.hit() and found is None:
            found = fault
    return found


class FaultPlan:
    """The faults in force, in the order given."""

    def __init__(self, faults: Iterable[Mapping[str, Any]] = ()) -> None:
        self.faults: list[Fault] = []
        self.set(faults)

    def set(self, faults: object) -> None:
        """Replace all faults. Raises SandboxError naming what cannot be understood; then nothing changes."""
        if isinstance(faults, (list, tuple)):
            faults = [dict(cast("Mapping[str, Any]", f)) if isinstance(f, Mapping) else f for f in faults]  # pyright: ignore[reportUnknownVariableType]
        try:
            self.faults = msgspec.convert(faults, list[Fault])
        except (msgspec.ValidationError, ValueError) as error:
            raise SandboxError(f"faults cannot be understood: {error}") from None

    def described(self) -> list[dict[str, Any]]:
        """The faults with how often each saw and hit something."""
        return [{**msgspec.to_builtins(f), "seen": f.seen, "hits": f.hits} for f in self.faults]

    def for_request(self, path: str) -> list[Fault]:
        """Faults that strike this request; of those that answer it, the first only."""
        struck: list[Fault] = []
        answered = False
        for fault in self.faults:
            if fault.kind in OF_OPERATIONS or not path.startswith(fault.path):
                continue
            if fault.kind == "slow":
                if fault.hit():
                    struck.append(fault)
            elif not answered and fault.hit():
                answered = True
                struck.append(fault)
        return struck

    def for_operations(self, path: str) -> list[Fault]:
        """Faults that may strike operations of a request to `path`."""
        return [f for f in self.faults if f.kind in OF_OPERATIONS and path.startswith(f.path)]


def parse_flag(text: str) -> dict[str, Any]:
    """A fault as a command flag has it: `status,status=429,every=3` or a JSON object. Raises SandboxError."""
    if text.lstrip().startswith("{"):
        try:
            return cast("dict[str, Any]", msgspec.json.decode(text))
        except msgspec.DecodeError as error:
            raise SandboxError(f"fault {text!r} is not valid JSON: {error}") from None
    kind, *settings = text.split(",")
    fault: dict[str, Any] = {"kind": kind}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise SandboxError(f"fault {text!r}: write {name}=VALUE")
        if name == "ids":
            fault[name] = value.split("+")
            continue
        if value in ("true", "false"):
            fault[name] = value == "true"
            continue
        fault[name] = int(value) if value.isdigit() else float(value) if _is_number(value) else value
    return fault


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
