"""Pages of results, and people as results name them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cio_pipelines.sandbox.http import Request
from cio_pipelines.sandbox.records import Person
from cio_pipelines.sandbox.workspace import Workspace


def person_page(
    workspace: Workspace, request: Request, people: Iterable[Person], default: int, maximum: int
) -> dict[str, Any]:
    """identifiers, ids and next, of people in the order of their cio_ids, in which they were made.

    `next` is the `start` of the next page, and empty on the last. Somebody without an id is an empty text
    among the ids.
    """
    limit = request.number("limit", default, maximum)
    start = request.query.get("start", "")
    found: list[Person] = []
    for person in people:
        if person.cio_id > start:
            found.append(person)
            if len(found) > limit:
                break
    more = len(found) > limit
    shown = found[:limit]
    return {
        "identifiers": [identifiers(workspace, person) for person in shown],
        "ids": [person.id or "" for person in shown],
        "next": shown[-1].cio_id if more else "",
    }


def identifiers(workspace: Workspace, person: Person) -> dict[str, Any]:
    """The identifiers that the workspace has; never a phone number."""
    if workspace.id_only:
        return {"id": person.id, "cio_id": person.cio_id}
    return {"email": person.email, "id": person.id, "cio_id": person.cio_id}


def number_page(request: Request, found: list[Any], default: int, maximum: int) -> tuple[list[Any], str]:
    """Records of a page whose `start` is the number of the first, and the next start; empty on the last."""
    start = request.number("start", 0, 10**9, minimum=0)
    end = start + request.number("limit", default, maximum)
    return found[start:end], str(end) if end < len(found) else ""
