"""Calls of the Track API that need no credentials: what happened to a message, told from outside."""

from __future__ import annotations

from typing import Any

from cio_pipelines.sandbox.app.checks import TEXT, WHOLE, Refusal, check_members, read_object
from cio_pipelines.sandbox.deliveries import happen
from cio_pipelines.sandbox.http import Answer, Request, errors_v1
from cio_pipelines.sandbox.outcomes import Step
from cio_pipelines.sandbox.records import unix_now
from cio_pipelines.sandbox.shapes import MEMBERS
from cio_pipelines.sandbox.workspace import Workspace

_MEMBERS = {
    "delivery_id": TEXT,
    "metric": TEXT,
    "event": TEXT,
    "device_id": TEXT,
    "timestamp": WHOLE,
    "reason": TEXT,
    "href": TEXT,
}


def route(workspace: Workspace, request: Request) -> Answer | None:
    """Answer such a call; None when it is another."""
    try:
        match request.method, request.segments:
            case "POST", ["api", "v1", "metrics"]:
                return _report(workspace, request, "metric")
            case "POST", ["api", "v1", "push", "events"] | ["push", "events"]:
                return _report(workspace, request, "event")
            case "POST", ["unsubscribe", delivery_id]:
                if read_object(request, _refuse).get("unsubscribe") is True:
                    note(workspace, delivery_id, "unsubscribed", unix_now())
                return Answer()
            case _:
                return None
    except Refusal as refusal:
        return refusal.answer


def note(
    workspace: Workspace, delivery_id: str, metric: str, at: int, href: str = "", reason: str = ""
) -> bool:
    """Let something happen to a delivery; False when it is not known, or its channel has no such metric."""
    delivery = workspace.deliveries.get(delivery_id)
    if delivery is None or metric not in MEMBERS[delivery.channel]:
        return False
    details: dict[str, Any] = {"failure_message": reason}
    if metric == "opened":
        details = {"proxied": False, "prefetched": False, "synthetic": False}
    elif metric == "clicked":
        details = {"href": href, "link_id": 1, "machine": False, "tracked_response": ""}
    elif metric == "replied":
        details = {"to": "", "inbound_event_id": ""}
    happen(workspace, Step(metric, at, details), delivery)
    return True


def _report(workspace: Workspace, request: Request, member: str) -> Answer:
    """What nobody knows, or no event is published for, is taken all the same: only 200 is documented."""
    body = read_object(request, _refuse)
    check_members(body, _MEMBERS, _refuse, strict=False)
    if not body.get("delivery_id") or not body.get(member):
        raise _refuse(f"delivery_id and {member} are required")
    at = body.get("timestamp") or unix_now()
    href, reason = body.get("href") or "", body.get("reason") or ""
    note(workspace, body["delivery_id"], body[member], at, href, reason)
    return Answer()


def _refuse(message: str) -> Refusal:
    return Refusal(errors_v1(message))
