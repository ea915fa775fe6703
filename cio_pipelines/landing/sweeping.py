"""Looking for what is new in a landing zone that may hold any number of objects, so much at a time.

A look has a budget of requests. Half of it is for the ends of the newest parts, where new objects are; the
rest goes into looking at everything from the beginning, one part after the other, which finds what came late:
first at parts that were never loaded, then in turn at one of the newest and one of the others. A part that is
larger than the budget is looked at in several turns. So nothing is missed for ever, and nothing grows with a
part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from cio_pipelines.landing.discovery import Cursor, Sweep
from cio_pipelines.landing.looks import PAGE, Look, fingerprint, pages
from cio_pipelines.landing.zone import LandingZone

REQUESTS = 100
"""Of a look, unless it is said otherwise: some ten seconds, and a thousand times as many objects."""


def look(
    zone: LandingZone,
    parts: Mapping[str, Sequence[str]],
    cursor: Cursor,
    *,
    recent: int,
    counts: Callable[[str], bool],
    requests: int = REQUESTS,
) -> tuple[dict[str, str], Cursor]:
    """One look.

    Args:
        zone: where the objects are.
        parts: part → its folders; later parts sort after earlier ones.
        cursor: as the last look left it, and `decide` then.
        recent: how many of the latest parts are the newest ones.
        counts: whether an object of a path is one that is looked for.
        requests: what the look may cost.

    Returns:
        Part → fingerprint of what was seen of it, for `decide`, and the cursor to give to it.

    Raises:
        LandingUnavailable: the zone cannot be listed.
    """
    turn = _Turn(zone, parts, cursor, sorted(parts)[-recent:], counts, requests)
    turn.look_ahead()
    turn.sweep()
    return turn.result()


def look_at_folder(
    zone: LandingZone,
    folder: str,
    cursor: Cursor,
    part_of: Callable[[str], str | None],
    *,
    requests: int = REQUESTS,
) -> tuple[dict[str, str], Cursor]:
    """One look at a folder in which objects of all parts lie together; it goes on where the last one ended.

    As `look`; `part_of` tells of a path which part it is of. A part's fingerprint is known at the end.
    """
    sweep = cursor.sweep or Sweep("")
    looks, at, page = dict(sweep.looks), sweep.at, []
    for page in pages(zone, folder, at, requests):
        by_part: dict[str, list[int]] = {}
        for number, item in enumerate(page):
            part = part_of(item.path)
            if part is not None:
                by_part.setdefault(part, []).append(number)
        for part, numbers in by_part.items():
            looks[part] = looks.get(part, Look()).with_objects(page[number] for number in numbers)
        at = Look(at).up_to(page).last
    listed = {part: entry.fingerprint for part, entry in cursor.asked.items()}
    if len(page) == PAGE:
        return listed, msgspec.structs.replace(cursor, sweep=Sweep("", at, looks))
    listed |= {part: fingerprint([seen]) for part, seen in looks.items()}
    return listed, msgspec.structs.replace(cursor, sweep=None)


class _Turn:
    """One look at a zone of folders; `left` are the requests that it has left."""

    def __init__(
        self,
        zone: LandingZone,
        parts: Mapping[str, Sequence[str]],
        cursor: Cursor,
        recent: Sequence[str],
        counts: Callable[[str], bool],
        requests: int,
    ) -> None:
        self._zone = zone
        self._parts = parts
        self._cursor = cursor
        self._recent = recent
        self._counts = counts
        self._left = requests
        self._looks = {folder: cursor.looks.get(folder, Look()) for part in recent for folder in parts[part]}
        self._found: dict[str, str] = {}

    def result(self) -> tuple[dict[str, str], Cursor]:
        cursor = self._cursor
        # what was asked for and is not over, or could not be asked for yet, is not looked at again for that
        listed = (
            {part: entry.fingerprint for part, entry in cursor.asked.items()} | cursor.found | self._found
        )
        listed = {part: seen for part, seen in listed.items() if part in self._parts}
        for part in self._recent:
            looks = [self._looks[folder] for folder in self._parts[part]]
            if part in cursor.done or any(seen.count for seen in looks):
                listed[part] = fingerprint(looks)
        older = {part: seen for part, seen in listed.items() if part not in self._recent}
        return listed, msgspec.structs.replace(cursor, looks=self._looks, found=older)

    def look_ahead(self) -> None:
        """Go on at the ends of the newest parts, the latest first."""
        reserved = self._left // 2
        for part in reversed(self._recent):
            for folder in self._parts[part]:
                if self._left <= reserved:
                    return
                self._looks[folder], _ = self._go_on(folder, self._looks[folder], self._left - reserved)

    def sweep(self) -> None:
        """Look from the beginning, at each part once at most."""
        seen: set[str] = set()
        while self._left > 0:
            sweep = self._cursor.sweep
            if sweep is None or sweep.part not in self._parts:
                part = self._next(seen)
                if part is None:
                    return
                sweep = Sweep(part)
            seen.add(sweep.part)
            self._cursor = msgspec.structs.replace(self._cursor, sweep=self._swept_on(sweep))

    def _swept_on(self, sweep: Sweep) -> Sweep | None:
        """Go on with the folders of a part, in order; None when the end of the last was reached."""
        looks = dict(sweep.looks)
        for folder in sorted(self._parts[sweep.part]):
            if folder < sweep.at:
                continue
            if self._left <= 0:
                return Sweep(sweep.part, folder, looks)
            looks[folder], ended = self._go_on(folder, looks.get(folder, Look()), self._left)
            if not ended:
                return Sweep(sweep.part, folder, looks)
            if folder in self._looks:
                self._looks[folder] = looks[folder]
        if sweep.part not in self._recent:
            self._found[sweep.part] = fingerprint(looks.values())
        return None

    def _go_on(self, folder: str, seen: Look, most: int) -> tuple[Look, bool]:
        """What there is of a folder after `seen`, and whether that is all."""
        page = []
        for page in pages(self._zone, folder, seen.last, most):
            self._left -= 1
            seen = seen.with_objects(item for item in page if self._counts(item.path)).up_to(page)
        return seen, len(page) < PAGE

    def _next(self, seen: set[str]) -> str | None:
        """Which part is swept now; None when each of them was."""
        cursor = self._cursor
        older = [part for part in sorted(self._parts) if part not in self._recent]
        for part in older:
            if part not in seen and part not in self._found and not cursor.knows(part):
                return part
        after = dict(cursor.after)
        rotations = {"recent": self._recent, "older": older}
        for name in ("recent", "older") if cursor.turns % 2 else ("older", "recent"):
            left = [part for part in rotations[name] if part not in seen]
            if left:
                part = next((part for part in left if part > after.get(name, "")), left[0])
                after[name] = part
                self._cursor = msgspec.structs.replace(cursor, after=after, turns=cursor.turns + 1)
                return part
        return None
