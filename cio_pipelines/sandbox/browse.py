"""What the web page asks for: pages of people, one person with history, events, what was not applied."""

from __future__ import annotations

from importlib.resources import files
from itertools import islice
from typing import Any

import msgspec

import cio_pipelines.sandbox
from cio_pipelines.sandbox import browse_messages
from cio_pipelines.sandbox.app_api import shown
from cio_pipelines.sandbox.consent import UNSUBSCRIBED, is_unsubscribed
from cio_pipelines.sandbox.http import HTML, Answer, Request, json_answer, not_found
from cio_pipelines.sandbox.records import Person, as_text
from cio_pipelines.sandbox.webhooks import Reporter
from cio_pipelines.sandbox.workspace import Workspace

_PEOPLE_A_PAGE = 50
_HISTORY_SHOWN = 200
_LINES_SHOWN = 200
_SUMMARY_CHARACTERS = 120
_EVENTS_SHOWN = 100
_HEADERS = (
    # No script but our own can run, whatever a name holds; nothing is kept by the browser or sent elsewhere.
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
)
_ASSETS = {
    "index.html": HTML,
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
}


class _Kind(msgspec.Struct):
    object_type: str = "no event"
    metric: str = ""
    timestamp: int = 0


def asset(name: str) -> Answer:
    """A file of the page."""
    kind = _ASSETS.get(name)
    if kind is None:
        return not_found()
    return Answer(200, files(cio_pipelines.sandbox).joinpath("page", name).read_bytes(), kind, _HEADERS)


def route(workspace: Workspace, reporter: Reporter, request: Request) -> Answer:
    """Answer GET /_sandbox/browse/<view>."""
    match request.segments[2:]:
        case ["people"]:
            return _people(workspace, request)
        case ["person"]:
            person = workspace.people.get(request.query.get("cio_id", ""))
            return json_answer({"person": None} if person is None else _person(workspace, person))
        case ["events"]:
            return json_answer({"events": _events(workspace)})
        case ["messages"]:
            return browse_messages.messages(workspace)
        case ["message"]:
            return browse_messages.message(workspace, request)
        case ["body"]:
            return browse_messages.body(workspace, request)
        case ["webhooks"]:
            return json_answer({**reporter.report(), "events": _reported(workspace)})
        case ["refused"]:
            newest = islice(reversed(workspace.refused), _LINES_SHOWN)
            return json_answer({"operations": [msgspec.to_builtins(entry) for entry in newest]})
        case _:
            return not_found()


def _people(workspace: Workspace, request: Request) -> Answer:
    wanted = request.query.get("q", "").strip().casefold()
    start = request.number("page", 0, 1_000_000, minimum=0) * _PEOPLE_A_PAGE
    found: list[Person] = []
    matched = 0
    for person in reversed(workspace.people.values()):
        if wanted and not _matches(person, wanted):
            continue
        matched += 1
        if start < matched <= start + _PEOPLE_A_PAGE:
            found.append(person)
        elif not wanted and matched > start:
            break
    if not wanted:
        matched = len(workspace.people)
    return json_answer(
        {
            "total": len(workspace.people),
            "matched": matched,
            "more": matched > start + _PEOPLE_A_PAGE,
            "people": [
                {
                    "key": person.key,
                    "cio_id": person.cio_id,
                    "email": as_text(person.attributes.get("email", "")),
                    "summary": _summary(person),
                    "attributes": len(person.attributes),
                    "updated_at": person.updated_at,
                }
                for person in found
            ],
        }
    )


def _matches(person: Person, wanted: str) -> bool:
    if wanted in person.key.casefold() or wanted in person.cio_id:
        return True
    return any(wanted in as_text(value).casefold() for value in person.attributes.values())


def _summary(person: Person) -> str:
    parts = (f"{n}: {as_text(v)[:40]}" for n, v in person.attributes.items() if n not in ("email", "phone"))
    text = ", ".join(islice(parts, 6))
    return text if len(text) <= _SUMMARY_CHARACTERS else f"{text[: _SUMMARY_CHARACTERS - 1]}…"


def _person(workspace: Workspace, person: Person) -> dict[str, Any]:
    return {
        "person": {
            "key": person.key,
            "cio_id": person.cio_id,
            "attributes": person.attributes,
            "set_at": person.set_at,
            "devices": list(person.devices.values()),
            "relationships": person.relationships,
            "created_at": person.created_at,
            "unsubscribed": is_unsubscribed(person.attributes.get(UNSUBSCRIBED)),
        },
        "history": [shown(activity) for activity in islice(workspace.newest(person), _HISTORY_SHOWN)],
    }


def _events(workspace: Workspace) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    for sequence in reversed(workspace.events):
        activity = workspace.activities.get(sequence)
        if activity is None:  # its person was deleted since
            continue
        events.append(
            {
                "type": activity.type,
                "name": activity.name,
                "timestamp": activity.timestamp,
                "data": activity.data,
                "cio_id": activity.person,
                "who": activity.customer_id or activity.email or activity.anonymous_id,
            }
        )
        if len(events) == _LINES_SHOWN:
            break
    return events


def _reported(workspace: Workspace) -> list[dict[str, Any]]:
    """The newest events to be reported, without what they say of people."""
    shown_events: list[dict[str, Any]] = []
    for event in islice(reversed(workspace.outbox.events.values()), _EVENTS_SHOWN):
        try:
            kind = msgspec.json.decode(event.body, type=_Kind)
        except msgspec.ValidationError:
            kind = _Kind()
        shown_events.append(
            {
                "number": event.number,
                "event_id": event.event_id,
                "what": f"{kind.object_type} {kind.metric}",
                "at": kind.timestamp,
                "state": event.state,
                "status": event.status,
                "attempts": event.attempts,
            }
        )
    return shown_events
