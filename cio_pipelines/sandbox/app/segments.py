"""Segments that are filled by hand: the App API makes and reads them, the Track API fills them."""

from __future__ import annotations

from typing import Any, cast

from cio_pipelines.sandbox.app.checks import Refusal, app_refusal, read_object
from cio_pipelines.sandbox.app.pages import person_page
from cio_pipelines.sandbox.http import Answer, Request, errors_v1, json_answer
from cio_pipelines.sandbox.records import Person, unix_now
from cio_pipelines.sandbox.shelf import Segment
from cio_pipelines.sandbox.workspace import Workspace

_MEMBERS = 1_000
_MEMBERS_AT_ONCE = 30_000
_IDS_AT_ONCE = 1_000


def route(workspace: Workspace, request: Request) -> Answer | None:
    """Answer a call about segments; None when it is about something else. Raises Refusal."""
    match request.method, request.segments[1:]:
        case "GET", ["segments"]:
            return json_answer({"segments": [_shown(each) for each in workspace.shelf.segments.values()]})
        case "POST", ["segments"]:
            return _create(workspace, request)
        case "GET", ["segments", number]:
            return json_answer({"segment": _shown(_found(workspace, number))})
        case "DELETE", ["segments", number]:
            workspace.shelf.remove(_found(workspace, number))
            return Answer(204, b"")
        case "GET", ["segments", number, "used_by"]:
            _found(workspace, number)
            none: dict[str, list[int]] = {"campaigns": [], "sent_newsletters": [], "draft_newsletters": []}
            return json_answer({"used_by": none})
        case "GET", ["segments", number, "customer_count"]:
            return json_answer({"count": len(_members(workspace, _found(workspace, number)))})
        case "GET", ["segments", number, "membership"]:
            people = _members(workspace, _found(workspace, number))
            return json_answer(person_page(workspace, request, people, _MEMBERS, _MEMBERS_AT_ONCE))
        case _:
            return None


def fill(workspace: Workspace, request: Request, number: str, action: str) -> Answer:
    """POST /api/v1/segments/{id}/add_customers or remove_customers.

    Identifiers that nobody has are ignored, as those of another kind are.
    """
    kind = request.query.get("id_type", "id")
    if kind not in ("id", "email", "cio_id"):
        return errors_v1("id_type must be id, email or cio_id")
    segment = workspace.shelf.segments.get(number)
    if segment is None:
        return errors_v1("the segment does not exist")
    try:
        ids = read_object(request, _track_refusal).get("ids")
    except Refusal as refusal:
        return refusal.answer
    if not isinstance(ids, list) or not 1 <= len(cast("list[object]", ids)) <= _IDS_AT_ONCE:
        return errors_v1(f"ids must be an array of 1 to {_IDS_AT_ONCE} strings")
    for value in cast("list[object]", ids):
        if not isinstance(value, str):
            return errors_v1("ids must be strings")
        person = workspace.find(kind, value.removeprefix("cio_") if kind == "cio_id" else value)
        if person is not None and action == "add_customers":
            segment.members[person.cio_id] = None
        elif person is not None:
            segment.members.pop(person.cio_id, None)
    workspace.shelf.save(segment)
    return Answer()


def _track_refusal(message: str) -> Refusal:
    return Refusal(errors_v1(message))


def _create(workspace: Workspace, request: Request) -> Answer:
    given = read_object(request, app_refusal).get("segment")
    wanted = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
    name, description = wanted.get("name"), wanted.get("description", "")
    if not isinstance(name, str) or not name or not isinstance(description, str):
        raise app_refusal("segment must hold a name")
    number = workspace.last_segment = workspace.last_segment + 1
    segment = Segment(number, name, description, unix_now())
    workspace.shelf.save(segment)
    return json_answer({"segment": _shown(segment)})


def _found(workspace: Workspace, number: str) -> Segment:
    segment = workspace.shelf.segments.get(number)
    if segment is None:
        raise app_refusal("not found", 404)
    return segment


def _members(workspace: Workspace, segment: Segment) -> list[Person]:
    """Those who are still there, in the order of their cio_ids."""
    return [workspace.people[key] for key in sorted(segment.members) if key in workspace.people]


def _shown(segment: Segment) -> dict[str, Any]:
    return {
        "id": segment.number,
        "deduplicate_id": f"{segment.number}:{segment.created_at}",
        "name": segment.name,
        "description": segment.description,
        "state": "finished",
        "progress": None,
        "type": "manual",
        "tags": None,
        "created_at": segment.created_at,
        "updated_at": segment.created_at,
    }
