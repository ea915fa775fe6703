"""Which scope a request needs, known from its path alone, before anything of it is read."""

from __future__ import annotations

from typing import NamedTuple

from cio_pipelines.gateway.access import Scope

PREFIX = "/v1"


class Door(NamedTuple):
    """A route as it is counted and described, and the scope it needs."""

    route: str
    scope: Scope | None


OTHER = Door("other", None)
"""Every path that there is nothing at."""

_DOORS = {
    "identify": Door(f"{PREFIX}/identify", "identify"),
    "track": Door(f"{PREFIX}/track", "track"),
    "transactional": Door(f"{PREFIX}/transactional", "transactional"),
    "broadcasts": Door(f"{PREFIX}/broadcasts", "broadcasts"),
    "suppress": Door(f"{PREFIX}/suppress", "suppress"),
    "people": Door(f"{PREFIX}/people/{{person_id}}", "delete"),
    "messages": Door(f"{PREFIX}/messages/{{message_id}}", "status"),
}


def door_of(path: str) -> Door:
    """The door that a path, prefix included, leads to."""
    first = path.removeprefix(f"{PREFIX}/").partition("/")[0]
    return _DOORS.get(first, OTHER)
