"""Whether a person is as accepted, by the rules for reading attributes back: every value comes as text.

Numbers and booleans are compared as such, objects and arrays as JSON, e-mail addresses in any letter case;
what was removed is not there, and an empty text is nothing. How Customer.io spells booleans and fractions is
not documented, so every reasonable spelling is taken.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, cast

from cio_pipelines.customerio import Person
from cio_pipelines.verification.reports import Kind

_UNSUBSCRIBED, _EMAIL = "unsubscribed", "email"
_PREFERENCES = "cio_subscription_preferences"
_TOPIC = f"{_PREFERENCES}.topics."
_NOT_KEPT = frozenset(
    {
        *("_timestamp", "_update", "anonymous_id", "cio_relationships"),
        *("cio_id", "_created_in_customerio_at", "_last_emailed", "_cio_subscription_preferences_computed"),
    }
)
"""Reserved names that are no attributes, or that Customer.io sets itself."""

_TRUE, _FALSE = frozenset({"true", "1"}), frozenset({"false", "0"})


@dataclass(frozen=True, slots=True)
class Expected:
    """What a person should be: `attributes` as accepted, those None removed; all None: not there at all.

    `sent_at` is the timestamp that the operation bore, unix seconds. Of an event, `attributes` are its
    properties and `sent_at` is when it occurred.
    """

    person_id: str
    attributes: Mapping[str, Any] | None
    sent_at: int
    event_id: str = ""
    name: str = ""

    @property
    def subject(self) -> str:
        """The id by which the sync tells it from others."""
        return self.event_id or self.person_id


@dataclass(frozen=True, slots=True)
class Compared:
    """Attributes that differ, by how; and those that somebody else has set since."""

    differing: Mapping[str, Kind] = field(default_factory=dict[str, Kind])
    overwritten: frozenset[str] = frozenset()


def compare(expected: Expected, person: Person | None) -> Compared:
    """What is otherwise than accepted; the attribute is empty where the whole person is meant.

    An attribute that was set at a later time than the operation bears is somebody else's newer word, by
    Customer.io's own rule that the older write never overwrites the newer: no difference, whatever it says.
    """
    if expected.attributes is None:
        return Compared() if person is None else Compared({"": "person_present"})
    if person is None:
        return Compared({"": "person_missing"})
    differing: dict[str, Kind] = {}
    overwritten: set[str] = set()
    for name, sent in expected.attributes.items():
        if name in _NOT_KEPT:
            continue
        found = _found(person, name)
        kind = _difference(name, sent, found)
        if kind is None:
            continue
        set_at = _set_at(person, name) if found is not None else None
        if set_at is not None and set_at > expected.sent_at:
            overwritten.add(name)
        elif set_at is not None and set_at < expected.sent_at:
            differing[name] = "stale"
        else:
            differing[name] = kind
    return Compared(differing, frozenset(overwritten))


def same_value(name: str, sent: object, found: object) -> bool:
    """Whether a value is the one that was sent."""
    return _difference(name, sent, found) is None


def _difference(name: str, sent: object, found: object) -> Kind | None:
    if name == _UNSUBSCRIBED and sent in (None, False):
        # whoever has no such attribute is subscribed
        return "different" if found is not None and _text(found).casefold() in _TRUE else None
    if sent is None or sent == "":
        return None if found is None or found == "" else "different"
    if found is None:
        return "missing"
    same = _is_same(name, sent, found)
    if same is None:
        return "unexpected_type"
    return None if same else "different"


def _is_same(name: str, sent: object, found: object) -> bool | None:
    """None: what was found cannot be a spelling of what was sent."""
    if isinstance(sent, bool):
        text = _text(found).casefold()
        return sent if text in _TRUE else not sent if text in _FALSE else None
    if isinstance(sent, (int, float, Decimal)):
        number = _number(found)
        return None if number is None else _is_equal(Decimal(str(sent)), number)
    if isinstance(sent, (list, dict)):
        nested: object = found
        if isinstance(found, str):
            try:
                nested = json.loads(found, parse_float=Decimal)
            except ValueError:
                return None
        return nested == sent if isinstance(nested, (list, dict)) else None
    text = str(sent)
    if not isinstance(found, str):
        return True if _text(found) == text else None
    if name == _EMAIL:
        return found.strip().casefold() == text.strip().casefold()
    return found == text


def _number(found: object) -> Decimal | None:
    try:
        return Decimal(_text(found))
    except InvalidOperation:
        return None


def _is_equal(sent: Decimal, found: Decimal) -> bool:
    # a double may come back with fewer digits than a decimal has
    return sent == found or float(sent) == float(found)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _found(person: Person, name: str) -> object:
    """An attribute as the App API gives it; None when it is not there."""
    attributes = person.attributes
    if name in attributes:
        return attributes[name]
    if name == _UNSUBSCRIBED:
        return person.unsubscribed
    if name == "id":
        return person.id
    if name == _EMAIL and person.identifiers is not None:
        return person.identifiers.email
    if name.startswith(_TOPIC):
        return _topic(attributes.get(_PREFERENCES), name.removeprefix(_TOPIC))
    return None


def _topic(preferences: object, topic: str) -> object:
    if isinstance(preferences, str):
        try:
            preferences = json.loads(preferences)
        except ValueError:
            return None
    topics = cast("dict[str, object]", preferences).get("topics") if isinstance(preferences, dict) else None
    return cast("dict[str, object]", topics).get(topic) if isinstance(topics, dict) else None


def _set_at(person: Person, name: str) -> int | None:
    """When an attribute was set, unix seconds; None where Customer.io does not say."""
    told = (person.timestamps or {}).get(_PREFERENCES if name.startswith(_TOPIC) else name)
    try:
        return int(told) if told is not None else None
    except (TypeError, ValueError):
        return None
