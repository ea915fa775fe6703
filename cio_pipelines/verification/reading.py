"""Reading back from the App API: people until they agree, and the activity log until before the run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, cast

from cio_pipelines.customerio import AppClient, CustomerIOError, Person, PersonIdentifiers
from cio_pipelines.customerio.limits import PEOPLE_AT_ONCE
from cio_pipelines.verification.comparing import Compared, Expected, compare
from cio_pipelines.verification.reports import Kind

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0
"""Seconds between looks at those who still differ; each pause is twice the one before."""
ENTRIES_A_PAGE = 100
_LOOKED_UP = 50
"""People without an attribute that was sent, of whom it is asked whether somebody has removed it since."""
_CHANGES_LOOKED_AT = 200

FAILED_CHANGE, SKIPPED, FAILED_BATCH = "failed_attribute_change", "skipped_update", "failed_batch_update"
FAILED_EVENT = "failed_event"


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the activity log. `person_id` is empty when it names nobody; `name` that of an event."""

    type: str
    person_id: str
    at: int
    name: str = ""
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Log:
    """Entries of the run's time, the newest first, and the types of which there are more than were read."""

    entries: tuple[Entry, ...] = ()
    unread: tuple[str, ...] = ()
    unverified: str | None = None

    def of(self, person_id: str) -> list[Entry]:
        """Those that name a person."""
        return [entry for entry in self.entries if entry.person_id == person_id]


def read_entry(activity: Mapping[str, Any]) -> Entry | None:
    """An activity as far as it can be understood, for its members are hardly documented; None without a time.

    Who it is about stands in `customer_id` or in the members of `customer_identifiers`.
    """
    try:
        at = int(activity["timestamp"])
    except (KeyError, TypeError, ValueError):
        return None
    named = members_of(activity.get("customer_identifiers")).get("id")
    return Entry(
        type=str(activity.get("type") or ""),
        person_id=str(named or activity.get("customer_id") or ""),
        at=at,
        name=str(activity.get("name") or ""),
        attributes=tuple(members_of(activity.get("data"))),
    )


def members_of(value: object) -> dict[str, Any]:
    """The members of an object; none of anything else."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


async def read_log(client: AppClient, types: Sequence[str], since: int, pages: int) -> Log:
    """The workspace's activities of some types since a moment (unix seconds), newest first.

    Of each type at most `pages` of 100 are read. What cannot be read is told in `unverified`.
    """
    entries: list[Entry] = []
    unread: list[str] = []
    for kind in types:
        read = 0
        try:
            async with aclosing(client.activities(type=kind)) as activities:
                async for activity in activities:
                    entry = read_entry(activity)
                    if entry is not None and entry.at < since:
                        break
                    if read == pages * ENTRIES_A_PAGE:
                        unread.append(kind)
                        break
                    read += 1
                    if entry is not None:
                        entries.append(entry)
        except CustomerIOError as error:
            return Log(tuple(entries), tuple(unread), str(error))
    return Log(tuple(entries), tuple(unread))


async def read_people(client: AppClient, expected: Sequence[Expected]) -> dict[str, Compared]:
    """Whom of these Customer.io has otherwise, and how; who agrees is left out. Raises CustomerIOError."""
    found: dict[str, Compared] = {}
    parts = [expected[first : first + PEOPLE_AT_ONCE] for first in range(0, len(expected), PEOPLE_AT_ONCE)]
    answers = await asyncio.gather(*(_read_part(client, part) for part in parts))
    for part, people in zip(parts, answers, strict=True):
        for each in part:
            compared = compare(each, people.get(each.person_id))
            if compared.differing or compared.overwritten:
                found[each.subject] = compared
    return found


async def _read_part(client: AppClient, part: Sequence[Expected]) -> dict[str, Person]:
    people = await client.people([each.person_id for each in part])
    return {_id_of(person): person for person in people}


def _id_of(person: Person) -> str:
    own = person.identifiers.id if person.identifiers is not None else None
    return own or person.id or person.attributes.get("id") or ""


@dataclass(slots=True)
class Patience:
    """Waits between looks, until Customer.io had its time: `seconds` in all."""

    seconds: float
    waited: float = 0.0
    _started: float = field(default_factory=time.monotonic)
    _pause: float = FIRST_PAUSE

    async def wait(self) -> bool:
        """Wait for the next look; False when the time is over."""
        left = self.seconds - (time.monotonic() - self._started)
        if left <= 0:
            return False
        await asyncio.sleep(min(self._pause, left))
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        self.waited = time.monotonic() - self._started
        return True


async def removed_since(client: AppClient, expected: Expected, names: Sequence[str]) -> set[str]:
    """Attributes that somebody has removed from a person after the run, by the person's own activities.

    What is not there bears no time of its own, so this is asked of people of whom something is missing.
    """
    found: set[str] = set()
    person, looked_at = PersonIdentifiers(id=expected.person_id), 0
    async with aclosing(client.person_activities(person, type="attribute_change")) as activities:
        async for activity in activities:
            entry, data = read_entry(activity), members_of(activity.get("data"))
            looked_at += 1
            if entry is None or entry.at <= expected.sent_at or looked_at > _CHANGES_LOOKED_AT:
                break
            for name in names:
                change: object = data.get(name)
                if isinstance(change, dict) and members_of(data[name]).get("to") in ("", None):
                    found.add(name)
    return found


async def forgive_removals(
    client: AppClient, expected: Mapping[str, Expected], differing: dict[str, Compared]
) -> None:
    """Take what somebody else has removed since for overwritten, in the people of `differing`."""
    looked_up = 0
    for person_id, compared in list(differing.items()):
        missing = [name for name, kind in compared.differing.items() if kind == "missing"]
        if not missing or looked_up == _LOOKED_UP:
            continue
        looked_up += 1
        removed = await removed_since(client, expected[person_id], missing)
        left: dict[str, Kind] = {n: kind for n, kind in compared.differing.items() if n not in removed}
        differing[person_id] = Compared(left, compared.overwritten | removed)
