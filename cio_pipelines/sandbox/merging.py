"""Two profiles become one: merges, and anonymous events that find their person."""

from __future__ import annotations

from typing import Any

from cio_pipelines.sandbox.records import EVENTS, Activity, Person, as_text, unix_now
from cio_pipelines.sandbox.workspace import Workspace

EVENT_SECONDS = 30 * 86_400
"""Events of the last 30 days come along; older ones do not."""


def merge_people(workspace: Workspace, primary: Person, secondary: Person) -> None:
    """Give `primary` what it lacks and `secondary` has, messages, segments and recent events.

    `secondary` is gone then. Devices are not among what Customer.io documents as carried over.
    """
    now = unix_now()
    events = [
        activity
        for activity in workspace.newest(secondary)
        if activity.type in EVENTS and now - activity.timestamp <= EVENT_SECONDS
    ]
    for activity in events:
        workspace.move(activity, primary)
        # What still belongs to the secondary is deleted with it.
        workspace.activities_of[secondary.cio_id].remove(activity.sequence)
    identifiers = {kind: getattr(secondary, kind) for kind in ("id", "email", "phone")}
    attributes, set_at = secondary.attributes, secondary.set_at
    anonymous_ids = list(secondary.anonymous_ids)
    name = secondary.key
    workspace.remove(secondary)
    for kind, value in identifiers.items():
        if value is not None and getattr(primary, kind) is None:
            workspace.give(primary, kind, value)
    changed: dict[str, Any] = {}
    for attribute, value in attributes.items():
        if attribute not in identifiers and primary.attributes.get(attribute) in (None, ""):
            changed[attribute] = {"from": "", "to": as_text(value)}
            primary.attributes[attribute] = value
            primary.set_at[attribute] = set_at.get(attribute, now)
    for anonymous_id in anonymous_ids:
        workspace.join_anonymous(primary, anonymous_id)
    for segment in workspace.shelf.segments.values():
        if segment.members.pop(secondary.cio_id, 0) is None:
            segment.members[primary.cio_id] = None
            workspace.shelf.save(segment)
    for delivery in workspace.deliveries.values():
        if delivery.person == secondary.cio_id:
            delivery.person = primary.cio_id
            workspace.touch_delivery(delivery)
    primary.updated_at = now
    workspace.touch(primary)
    workspace.record("profile_merge", primary, now, {"secondary": name})
    if changed:
        workspace.record("attribute_change", primary, now, changed)


def adopt_anonymous(workspace: Workspace, person: Person, anonymous_id: str) -> None:
    """Give a person the recent events of an anonymous id; an id that was used before stays where it is."""
    if not workspace.join_anonymous(person, anonymous_id):
        return
    now = unix_now()
    events: list[Activity] = [
        activity
        for activity in workspace.activities.values()
        if activity.anonymous_id == anonymous_id and now - activity.timestamp <= EVENT_SECONDS
    ]
    for activity in events:
        workspace.move(activity, person)
    if events:
        workspace.record("anon_merge", person, now, {"anonymous_id": anonymous_id})
