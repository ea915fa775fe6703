"""Looking for people, and what one person has: segments, relationships, preferences."""

from __future__ import annotations

from typing import Any, cast

from cio_pipelines.sandbox.app.audience import read_filter
from cio_pipelines.sandbox.app.checks import app_refusal, read_object
from cio_pipelines.sandbox.app.pages import identifiers, number_page, person_page
from cio_pipelines.sandbox.consent import PREFERENCES, UNSUBSCRIBED, is_unsubscribed
from cio_pipelines.sandbox.http import Answer, Request, json_answer
from cio_pipelines.sandbox.records import Person, object_key
from cio_pipelines.sandbox.workspace import Workspace

_DEFAULT = 50
_AT_ONCE = 1_000
_RELATED_AT_ONCE = 100


def search(workspace: Workspace, request: Request) -> Answer:
    """POST /v1/customers. Raises Refusal."""
    body = read_object(request, app_refusal)
    matches = read_filter(workspace, body.get("filter"), app_refusal)
    found = (person for person in workspace.people.values() if matches(person))
    return json_answer(person_page(workspace, request, found, _DEFAULT, _AT_ONCE))


def segments(workspace: Workspace, person: Person) -> Answer:
    """GET /v1/customers/{id}/segments; the ids are texts here, as the specification has them."""
    found = [each for each in workspace.shelf.segments.values() if person.cio_id in each.members]
    return json_answer(
        {"segments": [{"id": s.key, "name": s.name, "description": s.description} for s in found]}
    )


def relationships(workspace: Workspace, request: Request, person: Person) -> Answer:
    """GET /v1/customers/{id}/relationships."""
    page, following = number_page(request, list(person.relationships.items()), 10, _RELATED_AT_ONCE)
    shown: list[dict[str, Any]] = []
    for key, attributes in page:
        kind, name = object_key(key)
        record = workspace.objects.get((kind, name))
        internal = {} if record is None else {"cio_object_id": record.cio_object_id}
        shown.append(
            {
                "object_type_id": kind,
                "identifiers": {"object_type_id": kind, "object_id": name, **internal},
                "relationship_attributes": attributes,
            }
        )
    return json_answer({"cio_relationships": shown, "next": following})


def subscription_preferences(workspace: Workspace, person: Person) -> Answer:
    """GET /v1/customers/{id}/subscription_preferences: the topics that the person's profile speaks of."""
    preferences = person.attributes.get(PREFERENCES)
    topics: dict[str, Any] = {}
    if isinstance(preferences, dict):
        topics = cast("dict[str, Any]", preferences).get("topics", {})
    shown = [
        {
            "id": name.removeprefix("topic_"),
            "subscribed": bool(wanted),
            "name": name.replace("_", " ").capitalize(),
            "description": "",
        }
        for name, wanted in topics.items()
    ]
    return json_answer(
        {
            "customer": {
                "id": person.id,
                "identifiers": identifiers(workspace, person),
                "topics": shown,
                "unsubscribed": is_unsubscribed(person.attributes.get(UNSUBSCRIBED)),
                "header": {"title": "Subscription preferences", "subtitle": ""},
            }
        }
    )
