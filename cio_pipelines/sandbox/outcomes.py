"""What becomes of a message: drawn by shares, as a sequence of events that could have happened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Annotated, Any, Literal

import msgspec

from cio_pipelines.sandbox.shapes import MEMBERS

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
_ENDS = ("drafted", "undeliverable", "failed", "dropped", "bounced")
_REASONS = {
    "attempted": "The provider was busy; it is tried again",
    "undeliverable": "The message could not be rendered",
    "failed": "The provider refused the request",
    "dropped": "The address is on the provider's suppression list",
    "bounced": "550 5.1.1 The account does not exist",
}
_LINKS = ("https://example.com/offer", "https://example.com/account", "https://example.com/blog")
_EARLY = 3
"""Most opens come soon: a uniform draw to this power."""


class Mix(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How often each thing happens, as shares from 0 to 1; a channel without a metric never has it.

    `drafted`, `undeliverable`, `failed`, `dropped` and `bounced` end a message, are shares of all and at most
    1 together. `attempted` is the share that is sent on the second try; `delivered` the share of sent ones
    that are reported so. Of those that arrive: `opened` by a person, `machine_opened` (proxied, prefetched or
    synthetic), `machine_clicked`, `unsubscribed`, `spammed` and `replied`. `clicked` is a share of those that
    were opened, or that arrived where opening is not reported; `converted` of those that were clicked.
    """

    drafted: Share = 0.0
    undeliverable: Share = 0.0
    failed: Share = 0.002
    dropped: Share = 0.003
    bounced: Share = 0.02
    attempted: Share = 0.01
    delivered: Share = 0.995
    opened: Share = 0.35
    machine_opened: Share = 0.15
    clicked: Share = 0.2
    machine_clicked: Share = 0.03
    converted: Share = 0.15
    unsubscribed: Share = 0.01
    spammed: Share = 0.001
    replied: Share = 0.02


def read_mix(given: Mapping[str, float]) -> Mix:
    """A mix from some of its shares. Raises msgspec.ValidationError.

    When the given ends leave no room for the usual shares of the others, those are 0.
    """
    mix = msgspec.convert(given, Mix)
    if sum(getattr(mix, end) for end in _ENDS) <= 1:
        return mix
    if sum(given.get(end, 0) for end in _ENDS) > 1:
        raise msgspec.ValidationError(f"the shares of {', '.join(_ENDS)} are more than 1 together")
    return msgspec.structs.replace(mix, **{end: 0.0 for end in _ENDS if end not in given})


@dataclass(slots=True)
class Step:
    """One event to come: `at` in unix seconds, `details` are members of its data."""

    metric: str
    at: int
    details: dict[str, Any] = field(default_factory=dict[str, Any])


class Course:
    """Draws what happens to messages of one channel between two moments (unix seconds)."""

    def __init__(self, channel: str, mix: Mix, random: Random, start: int, end: int) -> None:
        self._known = MEMBERS[channel]
        self._mix = mix
        self._random = random
        self._start, self._end = start, end

    def draw(self) -> list[Step]:
        """What happens to one message, in order."""
        created = self._start + int((self._end - self._start) * self._random.random() / 10)
        steps: list[Step] = []
        end = self._ending()
        if end == "drafted":
            return [Step("drafted", created)]
        if self._happens("attempted"):
            steps.append(Step("attempted", created, {"failure_message": _REASONS["attempted"]}))
        if end in ("dropped", "bounced") or end is None:
            steps.append(Step("sent", self._next(steps, created, soon=True)))
        if end is not None:
            at = self._next(steps, created, soon=True)
            steps.append(Step(end, at, {"failure_message": _REASONS[end]}))
            return steps
        if "delivered" in self._known:
            if not self._happens("delivered"):
                return steps
            steps.append(Step("delivered", self._next(steps, created, soon=True)))
        self._engage(steps)
        return steps

    def _ending(self) -> str | None:
        draw = self._random.random()
        for end in _ENDS:
            share = getattr(self._mix, end) if end in self._known else 0.0
            if draw < share:
                return end
            draw -= share
        return None

    def _engage(self, steps: list[Step]) -> None:
        """What people and machines do with a message that arrived."""
        arrived = steps[-1].at
        machine = "machine" in self._known.get("clicked", ())
        if machine and self._happens("machine_opened", metric="opened"):
            kind = self._random.choice(("proxied", "prefetched", "synthetic"))
            steps.append(Step("opened", self._next(steps, arrived), _opened(kind)))
        if machine and self._happens("machine_clicked", metric="clicked"):
            steps.append(Step("clicked", self._next(steps, arrived), self._clicked(machine=True)))
        opened = "opened" not in self._known
        if self._happens("opened"):
            opened = True
            steps.append(Step("opened", self._next(steps, arrived), _opened(None)))
        if opened and self._happens("clicked"):
            steps.append(Step("clicked", self._next(steps, arrived), self._clicked(machine=False)))
            if self._happens("converted"):
                steps.append(Step("converted", self._next(steps, arrived)))
        if self._happens("replied"):
            reply = {"to": "+15550100000", "inbound_event_id": f"{self._random.getrandbits(64):016x}"}
            steps.append(Step("replied", self._next(steps, arrived), reply))
        for metric in ("unsubscribed", "spammed"):
            if self._happens(metric):
                steps.append(Step(metric, self._next(steps, arrived)))

    def _happens(self, share: str, *, metric: str | None = None) -> bool:
        # drawn in any case, so that one share changes nothing else
        return (self._random.random() < getattr(self._mix, share)) & ((metric or share) in self._known)

    def _next(self, steps: list[Step], otherwise: int, *, soon: bool = False) -> int:
        """A moment after the last step, a second or more when there is time; `soon` is within a minute."""
        if not steps:
            return otherwise
        last = steps[-1].at
        left = min(self._end - last, 60) if soon else self._end - last
        return min(last + 1 + int(left * self._random.random() ** _EARLY), self._end)

    def _clicked(self, *, machine: bool) -> dict[str, Any]:
        number = self._random.randrange(len(_LINKS))
        return {"href": _LINKS[number], "link_id": number + 1, "machine": machine, "tracked_response": ""}


def _opened(machine: Literal["proxied", "prefetched", "synthetic"] | None) -> dict[str, Any]:
    return {kind: kind == machine for kind in ("proxied", "prefetched", "synthetic")}
