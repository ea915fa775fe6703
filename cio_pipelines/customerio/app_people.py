"""People of the App API: finding them, what Customer.io holds about them, and what happened to them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, fields

from cio_pipelines.customerio import checks, limits
from cio_pipelines.customerio.app_calls import AppCalls, Call, person_path
from cio_pipelines.customerio.app_results import Identity, Object, Person
from cio_pipelines.customerio.errors import InvalidOperation
from cio_pipelines.customerio.identifiers import PersonIdentifiers
from cio_pipelines.customerio.jsontext import dumps

_PEOPLE_A_PAGE = 1_000
_ACTIVITIES_A_PAGE = 100
_MESSAGES_A_PAGE = 1_000
_RELATIONSHIPS_A_PAGE = 100


@dataclass(frozen=True, slots=True)
class _Matches:
    results: tuple[Identity, ...] | None = None


@dataclass(frozen=True, slots=True)
class _Identities:
    identifiers: tuple[Identity, ...] | None = None
    next: str | int | None = None


@dataclass(frozen=True, slots=True)
class _Customer:
    customer: Person


@dataclass(frozen=True, slots=True)
class _Entry(Person):
    """One of many people: documented in 2022 as {"customer": {...}}, since then as the customer itself."""

    customer: Person | None = None

    def person(self) -> Person:
        own = {item.name: getattr(self, item.name) for item in fields(Person)}
        return self.customer or Person(**own)


@dataclass(frozen=True, slots=True)
class _Customers:
    customers: tuple[_Entry, ...] | None = None


@dataclass(frozen=True, slots=True)
class _Preferences:
    customer: Object


@dataclass(frozen=True, slots=True)
class _Segments:
    segments: tuple[Object, ...] | None = None


@dataclass(frozen=True, slots=True)
class _Messages:
    messages: tuple[Object, ...] | None = None
    next: str | int | None = None


@dataclass(frozen=True, slots=True)
class _Relationships:
    cio_relationships: tuple[Object, ...] | None = None
    next: str | int | None = None


@dataclass(frozen=True, slots=True)
class _Activities:
    activities: tuple[Object, ...] | None = None
    next: str | int | None = None


class PeopleCalls(AppCalls):
    """Calls under /v1/customers and /v1/activities.

    A person is named by an id, e-mail address, phone number or cio_id, as the workspace has them enabled;
    NotFound is raised for one who is unknown, or known by another kind of identifier.
    """

    async def people_by_email(self, email: str) -> tuple[Identity, ...]:
        """Everybody with an e-mail address: several people can share one, an unknown one has none."""
        call = Call("app.people_by_email", "GET", "/v1/customers", {"email": checks.line("email", email)})
        return (await self._ask(call, _Matches)).results or ()

    async def person(self, person: PersonIdentifiers) -> Person:
        """Attributes, devices and subscription of one person."""
        return (await self._ask(_of("app.person", person, "attributes"), _Customer)).customer

    async def people(self, ids: Sequence[str]) -> tuple[Person, ...]:
        """As `person` for 1 to 100 ids at once. Those that are unknown are left out."""
        if not 1 <= len(ids) <= limits.PEOPLE_AT_ONCE:
            raise InvalidOperation("ids", "too_many", f"give 1 to {limits.PEOPLE_AT_ONCE} ids")
        for number, identifier in enumerate(ids):
            limits.check_person_id(f"ids[{number}]", identifier)
        call = Call("app.people", "POST", "/v1/customers/attributes", body=dumps({"ids": list(ids)}))
        entries = (await self._ask(call, _Customers)).customers or ()
        return tuple(entry.person() for entry in entries)

    async def search_people(
        self, audience_filter: Mapping[str, object], limit: int = _PEOPLE_A_PAGE
    ) -> AsyncGenerator[Identity]:
        """Everybody whom a filter finds, over all pages of `limit` people (at most 1,000).

        As {"and": [{"segment": {"id": 4}}, {"attribute": {"field": "plan", "operator": "exists"}}]}; `or`,
        `not` and the operator `eq` with a `value` are the rest of it. Larger sets: `export_people`.
        """
        body = dumps({"filter": checks.audience_filter("filter", audience_filter)})
        call = Call("app.search_people", "POST", "/v1/customers", body=body)
        async for page in self._pages(call, _Identities, limit):
            for identity in page.identifiers or ():
                yield identity

    async def person_segments(self, person: PersonIdentifiers) -> tuple[Object, ...]:
        """The segments that a person is in: objects with id (text or number) and name."""
        return (await self._ask(_of("app.person_segments", person, "segments"), _Segments)).segments or ()

    async def person_messages(self, person: PersonIdentifiers) -> AsyncGenerator[Object]:
        """Deliveries to a person in the last six months.

        Objects with id, type, recipient, subject, metrics and the ids of what sent them.
        """
        call = _of("app.person_messages", person, "messages")
        async for page in self._pages(call, _Messages, _MESSAGES_A_PAGE):
            for message in page.messages or ():
                yield message

    async def person_relationships(self, person: PersonIdentifiers) -> AsyncGenerator[Object]:
        """Objects that a person is related to. One can appear on two pages."""
        call = _of("app.person_relationships", person, "relationships")
        async for page in self._pages(call, _Relationships, _RELATIONSHIPS_A_PAGE):
            for relationship in page.cio_relationships or ():
                yield relationship

    async def subscription_preferences(
        self, person: PersonIdentifiers, language: str | None = None
    ) -> Object:
        """What a person subscribes to: an object with unsubscribed and topics (id, name, subscribed)."""
        call = _of("app.subscription_preferences", person, "subscription_preferences", language=language)
        return (await self._ask(call, _Preferences)).customer

    async def person_activities(
        self, person: PersonIdentifiers, *, type: str | None = None, name: str | None = None
    ) -> AsyncGenerator[Object]:
        """What happened to a person, newest first: see `activities`."""
        call = _of("app.person_activities", person, "activities", type=type, name=name)
        async for activity in self._activities(call):
            yield activity

    async def activities(
        self, *, type: str | None = None, name: str | None = None, deleted: bool | None = None
    ) -> AsyncGenerator[Object]:
        """What happened in the workspace, newest first, over all pages: stop when you have seen enough.

        Objects with id, type (`attribute_change`, `failed_attribute_change`, `event`, ...), timestamp,
        customer_identifiers and data. `name` is that of an event; `deleted` asks for people deleted since.
        """
        query = {"type": type, "name": name, "deleted": deleted}
        async for activity in self._activities(Call("app.activities", "GET", "/v1/activities", query)):
            yield activity

    async def _activities(self, call: Call) -> AsyncGenerator[Object]:
        async for page in self._pages(call, _Activities, _ACTIVITIES_A_PAGE):
            for activity in page.activities or ():
                yield activity


def _of(operation: str, person: PersonIdentifiers, what: str, **more: str | None) -> Call:
    path, query = person_path(person)
    return Call(operation, "GET", f"{path}/{what}", {**query, **more})
