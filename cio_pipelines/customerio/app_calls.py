"""How the App API is called: one measured request, its answer as a typed value, and lists page by page."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from cio_pipelines.customerio.calls import ApiClient, documented, unreadable
from cio_pipelines.customerio.errors import NotFound
from cio_pipelines.customerio.identifiers import PersonIdentifiers
from cio_pipelines.customerio.throttle import Throttle

Answer = TypeVar("Answer")
Query = Mapping[str, str | int | bool | None]


@dataclass(frozen=True, slots=True)
class Call:
    """A request of the App API. `path` has its values percent-encoded already.

    One that is not `repeatable` is tried again only when it was surely not accepted. `encode` makes the body
    within the measured call, so that what is refused before sending has its event too.
    """

    operation: str
    method: str
    path: str = field(repr=False)
    query: Query | None = field(default=None, repr=False)
    body: bytes = field(default=b"", repr=False)
    encode: Callable[[], bytes] | None = field(default=None, repr=False)
    repeatable: bool = True
    throttle: Throttle | None = None
    operations: int = 0

    @property
    def target(self) -> str:
        """Path and query. Members of the query that are None are left out."""
        given = {name: _spelled(value) for name, value in (self.query or {}).items() if value is not None}
        return f"{self.path}?{urlencode(given, quote_via=quote, safe='')}" if given else self.path


class AppCalls(ApiClient):
    """Base of the groups of calls that make up AppClient."""

    async def _ask(self, call: Call, kind: type[Answer]) -> Answer:
        """Make a call and read its answer as a `kind`.

        Raises any member of the error tree; UnexpectedResponse when the answer is not of that kind.
        """
        account = self._transport.open_account(call.operation)
        with self._measured(account, call.operations):
            body = call.body if call.encode is None else call.encode()
            try:
                reply = await self._transport.request(
                    account,
                    call.method,
                    call.target,
                    body,
                    repeatable=call.repeatable,
                    throttle=call.throttle,
                )
            except NotFound as error:
                if error.details:
                    # An unknown path is answered in HTML: Customer.io itself said this.
                    error.remedy = "Customer.io knows no such thing: check the identifier and its kind."
                raise
            answer = documented(account, reply)
            try:
                return msgspec.convert(answer, kind, strict=False)
            except msgspec.ValidationError as fault:
                place = str(fault).rpartition(" - at ")[2] if " - at " in str(fault) else "`$`"
            raise unreadable(account, reply, f"the value {place} is missing or of the wrong type")

    async def _tell(self, call: Call) -> None:
        """Make a call whose answer says nothing beyond its status.

        Raises any member of the error tree; UnexpectedResponse when a 200 is not a JSON object.
        """
        account = self._transport.open_account(call.operation)
        with self._measured(account, call.operations):
            reply = await self._transport.request(account, call.method, call.target, call.body)
            if reply.status != 204:
                documented(account, reply)

    async def _pages(
        self, call: Call, kind: type[Answer], limit: int | None, start: str | None = None
    ) -> AsyncGenerator[Answer]:
        """Answers page by page, `limit` items each. Ends with a page that names no next one, or itself."""
        seen = {start}
        while True:
            query = {**(call.query or {}), "limit": limit, "start": start}
            page = await self._ask(replace(call, query=query), kind)
            yield page
            following: Any = getattr(page, "next", None)
            start = str(following) if following else None
            if start is None or start in seen:
                return
            seen.add(start)


def segment_of(value: str | int) -> str:
    """A value as one segment of a path: an unencoded `+`, `@` or `/` would be another address."""
    return quote(str(value), safe="")


def person_path(person: PersonIdentifiers) -> tuple[str, Query]:
    """The path of a person, and the query that says by what they are named. Raises InvalidOperation."""
    ((kind, value),) = person.wire().items()
    return f"/v1/customers/{segment_of(str(value))}", {"id_type": kind}


def _spelled(value: str | int | bool | None) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
