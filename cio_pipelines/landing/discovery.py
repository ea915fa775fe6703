"""Which parts of a landing zone have objects that no run has taken yet: what a sensor decides by.

A part is what one run takes whole: a day of receipt, or a dataset of the exports. It is compared by the
fingerprint of its listing, so that an object that comes late or out of order is seen like any other, and what
is remembered grows with the number of parts, never with that of objects.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from cio_pipelines.landing.looks import Look

RunState = Literal["running", "succeeded", "incomplete", "failed", "missing"]
"""`incomplete`: it ended well but for some objects. `missing`: there is no such run, or no longer."""

Grouping = Callable[[Sequence[str]], Iterable[Sequence[str]]]
"""From sorted parts to those that one run takes together."""

FIRST_WAIT, LONGEST_WAIT = 30.0, 900.0
"""Seconds from a failed run to the next try: the wait doubles from one to the other, and never ends."""


class Asked(msgspec.Struct, frozen=True):
    """A run that was requested for a part: for which listing, which try it is, and when (unix seconds)."""

    fingerprint: str
    run_key: str
    attempt: int
    at: float


class Sweep(msgspec.Struct, frozen=True):
    """A look at a part from the beginning that is not over: where it goes on, and folder → what was seen."""

    part: str
    at: str = ""
    looks: dict[str, Look] = {}


class Cursor(msgspec.Struct, frozen=True):
    """What the sensor remembers: the listing that was last loaded of each part, and runs that are not over.

    The rest is where looks at the zone left off (`sweeping.py`): folder → what was seen of it, of the newest
    parts; part → listing that differs and could not be asked for yet, of the others; a sweep that is not
    over; how many there were, and the last part of each rotation.
    """

    done: dict[str, str] = {}
    asked: dict[str, Asked] = {}
    looks: dict[str, Look] = {}
    found: dict[str, str] = {}
    sweep: Sweep | None = None
    turns: int = 0
    after: dict[str, str] = {}

    @classmethod
    def read(cls, text: str | None) -> Cursor:
        """A cursor as it was written. Raises msgspec.DecodeError for anything else."""
        return msgspec.json.decode(text, type=cls) if text else cls()

    def knows(self, part: str) -> bool:
        """Whether a part was ever seen."""
        return part in self.done or part in self.asked or part in self.found

    def written(self) -> str:
        """The cursor as text."""
        return msgspec.json.encode(self).decode()


class Wanted(msgspec.Struct, frozen=True):
    """A run to request. The key is the same whenever the same is decided again, and new for a new try."""

    parts: tuple[str, ...]
    run_key: str


def decide(
    name: str,
    listed: Mapping[str, str],
    cursor: Cursor,
    state_of: Callable[[str], RunState],
    now: float,
    group: Grouping,
) -> tuple[list[Wanted], Cursor]:
    """What to run now.

    While a run is under way nothing is requested: what arrives meanwhile goes into the next one, so that
    thousands of objects make few runs.

    Args:
        name: of the sensor, so that two of them never make the same key.
        listed: part → fingerprint of its listing. Parts that are not listed are left as they are.
        cursor: as the last decision returned it.
        state_of: what became of the run with a key.
        now: unix seconds.
        group: which parts may share a run.

    Returns:
        The runs to request, and the cursor to keep.
    """
    done, asked = dict(cursor.done), dict(cursor.asked)
    states: dict[str, RunState] = {e.run_key: state_of(e.run_key) for e in asked.values()}
    for part, entry in cursor.asked.items():
        if states[entry.run_key] == "succeeded":
            done[part] = entry.fingerprint
            del asked[part]
    settled = _settled(cursor, done, asked)
    if "running" in states.values():
        return [], settled
    ready = sorted(
        part
        for part, seen in listed.items()
        if done.get(part) != seen and _is_due(asked.get(part), states, seen, now)
    )
    wanted: list[Wanted] = []
    for parts in group(ready):
        attempt = 1 + max(_tries(asked.get(part), states, listed[part]) for part in parts)
        together = hashlib.sha256("".join(listed[part] for part in parts).encode()).hexdigest()[:16]
        ends = parts[0] if len(parts) == 1 else f"{parts[0]}...{parts[-1]}"
        run_key = f"{name}/{ends}/{together}/{attempt}"
        wanted.append(Wanted(tuple(parts), run_key))
        asked |= {part: Asked(listed[part], run_key, attempt, now) for part in parts}
    return wanted, _settled(cursor, done, asked)


def _settled(cursor: Cursor, done: dict[str, str], asked: dict[str, Asked]) -> Cursor:
    found = {
        part: seen
        for part, seen in cursor.found.items()
        if done.get(part) != seen and (part not in asked or asked[part].fingerprint != seen)
    }
    return msgspec.structs.replace(cursor, done=done, asked=asked, found=found)


def _is_due(asked: Asked | None, states: Mapping[str, RunState], seen: str, now: float) -> bool:
    """Whether a part that needs a run may have one: what has just failed must wait, what is new need not."""
    if asked is None or states[asked.run_key] == "missing":
        return True
    if states[asked.run_key] == "incomplete" and asked.fingerprint != seen:
        return True
    return now >= asked.at + min(FIRST_WAIT * 2 ** (asked.attempt - 1), LONGEST_WAIT)


def _tries(asked: Asked | None, states: Mapping[str, RunState], seen: str) -> int:
    """Tries so far. A run that never came to be is asked for by the same key again."""
    if asked is None:
        return 0
    if states[asked.run_key] == "missing" and asked.fingerprint == seen:
        return asked.attempt - 1
    return asked.attempt
