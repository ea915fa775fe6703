"""/_sandbox, the part that counts: deliveries, triggers, and what arrived for whom in which order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from cio_pipelines.sandbox.app.broadcasts import described
from cio_pipelines.sandbox.http import Answer, Request, errors_app, json_answer, lines
from cio_pipelines.sandbox.records import Delivery, as_text
from cio_pipelines.sandbox.workspace import Workspace

_DATA = "data."


def route(workspace: Workspace, request: Request) -> Answer | None:
    """Answer a GET under /_sandbox that counts; None when it is another."""
    match request.segments[1:]:
        case ["deliveries"]:
            return lines(_record(workspace, each) for each in list(workspace.deliveries.values()))
        case ["deliveries", "counts"]:
            return _counts(workspace, request.query.get("by", "recipient"))
        case ["triggers"]:
            return lines(described(trigger) for trigger in list(workspace.shelf.triggers.values()))
        case ["operations", "arrivals"]:
            return lines(_arrivals(workspace, request.query.get("id")))
        case ["operations", "event_ids"]:
            counts = Counter(entry.event_id for entry in workspace.log.values() if entry.event_id)
            least = request.number("least", 1, 10**9)
            return json_answer({event_id: times for event_id, times in counts.items() if times >= least})
        case _:
            return None


def owner(workspace: Workspace, delivery: Delivery) -> str:
    """Whose a delivery is: the person's key, or the identifier that was sent, or nothing."""
    person = workspace.people.get(delivery.person)
    if person is not None:
        return person.key
    identifiers: dict[str, str] = delivery.content.get("identifiers", {})
    return next(iter(identifiers.values()), f"cio_{delivery.person}" if delivery.person else "")


def _record(workspace: Workspace, delivery: Delivery) -> dict[str, Any]:
    return {
        "delivery_id": delivery.delivery_id,
        "channel": delivery.kind or delivery.channel,
        "person": owner(workspace, delivery),
        "recipient": delivery.recipient,
        "subject": delivery.subject,
        "origin": delivery.origin,
        "created_at": delivery.created_at,
        "send_at": delivery.send_at or None,
        "state": delivery.state,
        "metrics": [each.metric for each in delivery.happened],
        "message_data": delivery.data,
        "content": delivery.content,
    }


def _counts(workspace: Workspace, by: str) -> Answer:
    """How many deliveries there are of each value; those without one are under the empty text."""
    counts: Counter[str] = Counter()
    for delivery in workspace.deliveries.values():
        match by:
            case "recipient" | "subject" | "state":
                value = getattr(delivery, by)
            case "channel":
                value = delivery.kind or delivery.channel
            case "person":
                value = owner(workspace, delivery)
            case _ if by.startswith(_DATA):
                value = as_text(delivery.data.get(by.removeprefix(_DATA), ""))
            case _:
                return errors_app("by is recipient, person, channel, subject, state or data.NAME", 400)
        counts[value] += 1
    return json_answer(counts)


def _arrivals(workspace: Workspace, whom: str | None) -> Iterator[dict[str, Any]]:
    """What arrived for each subject, in order: sequence, action, event's name and id, outcome."""
    found: dict[str, list[tuple[int, str, str, str, str]]] = {}
    for entry in workspace.log.values():
        if whom is None or entry.id == whom:
            arrived = (entry.sequence, entry.action, entry.name, entry.event_id, entry.outcome)
            found.setdefault(entry.id, []).append(arrived)
    for subject, operations in found.items():
        yield {"id": subject, "operations": operations}
