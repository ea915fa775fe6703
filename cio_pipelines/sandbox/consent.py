"""Who does not want to be written to, and what is reported when that changes."""

from __future__ import annotations

from typing import Any, NamedTuple

from cio_pipelines.sandbox.outbox import new_event_id
from cio_pipelines.sandbox.records import Person, as_text
from cio_pipelines.sandbox.shapes import event
from cio_pipelines.sandbox.wire import encode
from cio_pipelines.sandbox.workspace import Workspace

UNSUBSCRIBED = "unsubscribed"
PREFERENCES = "cio_subscription_preferences"
_TRUE = frozenset({"true", "1"})


class Consent(NamedTuple):
    """The attributes that say it, as they are."""

    unsubscribed: Any
    preferences: Any


def consent_of(person: Person) -> Consent:
    """What a person's profile says now."""
    return Consent(person.attributes.get(UNSUBSCRIBED), person.attributes.get(PREFERENCES))


def is_unsubscribed(value: Any) -> bool:
    """What Customer.io takes for it: true in any letter case, and 1."""
    return value is not None and as_text(value).lower() in _TRUE


def identifiers_of(workspace: Workspace, person: Person) -> dict[str, Any]:
    """A person as events name one: in a workspace of ids, by id only."""
    if workspace.id_only:
        return {"id": person.id}
    return {"id": person.id, "email": person.email, "cio_id": person.cio_id}


def report_consent(workspace: Workspace, person: Person, before: Consent, now: int) -> None:
    """Report what has changed since `before`."""
    after = consent_of(person)
    unsubscribed = is_unsubscribed(after.unsubscribed)
    if unsubscribed != is_unsubscribed(before.unsubscribed):
        _report(workspace, person, "unsubscribed" if unsubscribed else "subscribed", now, {})
    if after.preferences != before.preferences:
        _report(
            workspace,
            person,
            f"{PREFERENCES}_changed",
            now,
            {
                "content": "" if after.preferences is None else encode(after.preferences).decode(),
                # The published shape has an origin; what came from no message has an empty one.
                "newsletter_id": None,
                "delivery_id": "",
            },
        )


def set_unsubscribed(workspace: Workspace, person: Person, wanted: bool, now: int) -> bool:
    """Do what a person's click on unsubscribe (or subscribe) does; whether that changes anything."""
    before = consent_of(person)
    if is_unsubscribed(before.unsubscribed) == wanted:
        return False
    person.attributes[UNSUBSCRIBED] = wanted
    # An identify that is older than the click must not undo it.
    person.set_at[UNSUBSCRIBED] = max(now, person.set_at.get(UNSUBSCRIBED, 0))
    person.updated_at = max(now, person.updated_at)
    workspace.touch(person)
    change = {
        "from": "" if before.unsubscribed is None else as_text(before.unsubscribed),
        "to": as_text(wanted),
    }
    workspace.record("attribute_change", person, now, {UNSUBSCRIBED: change})
    report_consent(workspace, person, before, now)
    return True


def _report(workspace: Workspace, person: Person, metric: str, at: int, more: dict[str, Any]) -> None:
    event_id = new_event_id(at)
    data = {
        "customer_id": person.id or "",
        "email_address": person.email or person.attributes.get("email"),
        "identifiers": identifiers_of(workspace, person),
        **more,
    }
    body = event(event_id, "customer", metric, at, data)
    workspace.outbox.add(person.id or person.cio_id, event_id, body)
