"""Which faults there are, when they strike, and which pairs of the two have no meaning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

PLAN, CHECK, FIRST, MID, LAST = "during plan", "region check", "first request", "mid-send", "last request"
FLUSH, MERGE = "ledger flush", "snapshot merge"
MOMENTS = (PLAN, CHECK, FIRST, MID, LAST, FLUSH, MERGE)
Extent = Literal["once", "lasting", ""]

BODY = 50
SUPPRESSED, IDENTIFIED = 20, 600
BODIES = 1 + IDENTIFIED // BODY
"""The opted out are sent first, in a body of their own."""
BODIES_BEFORE = {FIRST: 0, MID: BODIES // 2, LAST: BODIES - 1}
"""How many bodies pass before the fault strikes."""


@dataclass(frozen=True)
class Answer:
    """A fault of Customer.io's end, or of the way there.

    Attributes:
        once: what a run says that met it once; empty when that is healed within the run.
        lasting: what a run says that meets it from the moment on.
        switch: of the sandbox; empty for faults of the relay on the way, see `relay.py`, which last.
        of: what `after` and `count` of the switch count.
        is_applied: whether Customer.io did what the answer does not say.
        client: settings of the client.
        checked: what the run says when only the region check meets it, once; None where that has no meaning.
    """

    once: str
    lasting: str
    switch: Mapping[str, Any] = field(default_factory=dict[str, Any])
    of: Literal["requests", "operations"] = "requests"
    is_applied: bool = False
    client: Mapping[str, Any] = field(default_factory=dict[str, Any])
    checked: str | None = ""


def _status(status: int, error: str, **settings: Any) -> Answer:
    switch = {"kind": "status", "status": status, **settings}
    return Answer("", error, switch)


def operations_before(moment: str) -> int:
    """How many operations are answered before the fault strikes."""
    bodies = BODIES_BEFORE.get(moment, 0)
    return min(bodies, 1) * SUPPRESSED + max(0, bodies - 1) * BODY


_PATIENCE = {"read": 0.3}
ANSWERS: Mapping[str, Answer] = {
    "429 with Retry-After": _status(429, "RateLimited", retry_after="0.05"),
    "429 without Retry-After": _status(429, "RateLimited"),
    "408": _status(408, "ServerError"),
    "500": _status(500, "ServerError"),
    "502 with a page of HTML": _status(502, "ServerError", body="html"),
    "503": _status(503, "ServerError"),
    "connect refused": Answer("TransportError", "TransportError"),
    "DNS failure": Answer("TransportError", "TransportError"),
    "TLS failure": Answer("TransportError", "TransportError"),
    "reset before the body was read": Answer("", "TransportError", {"kind": "reset"}),
    "reset after the body was read": Answer("", "TransportError", {"kind": "reset_after"}, is_applied=True),
    "slow first byte": Answer(
        "",
        "TransportError",
        {"kind": "slow", "seconds": 0.6},
        is_applied=True,
        client={"timeout": _PATIENCE},
    ),
    "slow body": Answer(
        "DeadlineExceeded",
        "DeadlineExceeded",
        {"kind": "slow_body", "seconds": 0.8},
        is_applied=True,
        client={"deadline": 0.4},
        checked="DeadlineExceeded",
    ),
    "truncated answer": Answer("", "TransportError", {"kind": "truncate"}, is_applied=True),
    "HTML instead of JSON": Answer(
        "UnexpectedResponse",
        "UnexpectedResponse",
        {"kind": "status", "status": 200, "body": "html"},
        checked="",
    ),
    "207 with unknown indexes": Answer(
        "UnexpectedResponse", "UnexpectedResponse", {"kind": "bogus_indexes"}, is_applied=True, checked=None
    ),
    "207 with duplicate indexes": Answer(
        "", "", {"kind": "reject", "entries": 2, "every": 2}, of="operations", checked=None
    ),
    "207 with all indexes": Answer("", "", {"kind": "reject"}, of="operations", checked=None),
    "400 for the whole body": Answer(
        "", "BadRequest", {"kind": "status", "status": 400}, checked="BadRequest"
    ),
    "401 in mid-run (rotated secret)": Answer(
        "Unauthorized", "Unauthorized", {"kind": "status", "status": 401}, checked="Unauthorized"
    ),
    "413": Answer("", "PayloadTooLarge", {"kind": "status", "status": 413}, checked="PayloadTooLarge"),
    "redirect to the other region": Answer(
        "UnexpectedResponse",
        "UnexpectedResponse",
        {"kind": "redirect", "status": 301, "location": "https://track-eu.customer.io"},
        checked="",
    ),
}

PROCESSES = (
    "SIGKILL",
    "SIGTERM",
    "out of memory",
    "full disk",
    "read-only warehouse",
    "locked warehouse",
    "two runs at once",
)
"""Faults of the process, of its machine, and of its warehouse."""

_NOTHING_SENT = "nothing is sent while a run plans"
_NOT_AT_THE_CHECK = "the region check sends no operations"
_FLUSH_IS_ALONE = (
    "no request waits for a flush, nor it for one: a fault of an answer while one is written is in mid-send"
)
_ALL_ANSWERED = "all that was sent is answered before the merge begins"
_HELD = "the run itself holds the file, from the push's first statement to its last: nobody else can take it"
_OPENED = "the file is open for writing by then, and rights are asked for when it is opened"
_CHECK_IS_FIRST = "to the process the region check is as the first request: see there"

MEANINGLESS: Mapping[tuple[str, str], str] = {
    **{(fault, PLAN): _NOTHING_SENT for fault in ANSWERS},
    **{(fault, FLUSH): _FLUSH_IS_ALONE for fault in ANSWERS},
    **{(fault, MERGE): _ALL_ANSWERED for fault in ANSWERS},
    **{(fault, CHECK): _NOT_AT_THE_CHECK for fault, answer in ANSWERS.items() if answer.checked is None},
    **{(fault, CHECK): _CHECK_IS_FIRST for fault in PROCESSES},
    **{("locked warehouse", moment): _HELD for moment in (MID, LAST, FLUSH, MERGE)},
    **{("read-only warehouse", moment): _OPENED for moment in (MID, LAST, FLUSH, MERGE)},
}
"""Pairs that are not tried, and why."""


@dataclass(frozen=True, order=True)
class Cell:
    """One fault at one moment. `extent`: whether an answer goes wrong once, or from that moment on."""

    fault: str
    moment: str
    extent: Extent = ""

    def __str__(self) -> str:
        return ", ".join(filter(None, (self.fault, self.extent, self.moment)))

    @property
    def says(self) -> str:
        """The error that ends the run; empty when it does not end early. Of answers only."""
        answer = ANSWERS[self.fault]
        if self.extent == "lasting":
            return answer.lasting
        return (answer.checked or "") if self.moment == CHECK else answer.once


def answer_cells() -> Iterator[Cell]:
    """Of faults of answers."""
    for fault in ANSWERS:
        for moment in (CHECK, FIRST, MID, LAST):
            if (fault, moment) not in MEANINGLESS:
                if ANSWERS[fault].switch:
                    yield Cell(fault, moment, "once")
                yield Cell(fault, moment, "lasting")


def process_cells() -> Iterator[Cell]:
    """Of faults of the process and what it stands on."""
    for fault in PROCESSES:
        for moment in MOMENTS:
            if (fault, moment) not in MEANINGLESS:
                yield Cell(fault, moment)


def cells() -> list[Cell]:
    """All, in the order of the page."""
    return [*answer_cells(), *process_cells()]
