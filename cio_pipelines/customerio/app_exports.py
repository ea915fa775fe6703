"""Exports of the App API: sets of people or deliveries that are too large to be read page by page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from cio_pipelines.customerio import checks
from cio_pipelines.customerio.app_calls import AppCalls, Call
from cio_pipelines.customerio.app_results import Export
from cio_pipelines.customerio.errors import InvalidOperation
from cio_pipelines.customerio.jsontext import dumps

DeliverySource = Literal["newsletter_id", "campaign_id", "transactional_message_id", "action_id"]
_SOURCES = ("newsletter_id", "campaign_id", "transactional_message_id", "action_id")


@dataclass(frozen=True, slots=True)
class _One:
    export: Export


@dataclass(frozen=True, slots=True)
class _All:
    exports: tuple[Export, ...] | None = None


@dataclass(frozen=True, slots=True)
class _Link:
    """Documented as `url`; a comment in an official client says `link`."""

    url: str | None = None
    link: str | None = None

    def __post_init__(self) -> None:
        if not self.address:
            raise ValueError("neither url nor link")

    @property
    def address(self) -> str:
        return self.url or self.link or ""


class ExportCalls(AppCalls):
    """Calls under /v1/exports. Making an export is tried again only when it was surely not accepted."""

    async def export_people(self, filters: Mapping[str, object]) -> Export:
        """Begin an export of the people whom a filter finds (see `search_people`)."""
        body = dumps({"filters": checks.audience_filter("filters", filters)})
        return await self._begin("app.export_people", "/v1/exports/customers", body)

    async def export_deliveries(
        self,
        source: DeliverySource,
        number: int,
        *,
        start: datetime | int | None = None,
        end: datetime | int | None = None,
        attributes: Sequence[str] | None = None,
        metric: str | None = None,
        drafts: bool | None = None,
    ) -> Export:
        """Begin an export of the deliveries of one newsletter, campaign, transactional message or action.

        `start` and `end` bound the time of creation (datetimes or unix seconds); `attributes` of the people
        are added; `metric` (`sent`, `delivered`, ...) keeps deliveries that have it.
        """
        if source not in _SOURCES:
            raise InvalidOperation("source", "invalid", f"source is one of {', '.join(_SOURCES)}")
        members: dict[str, object] = {source: checks.number(source, number)}
        for name, moment in (("start", start), ("end", end)):
            if moment is not None:
                members[name] = checks.moment(name, moment)
        if attributes is not None:
            members["attributes"] = [checks.line("attributes", attribute) for attribute in attributes]
        if metric is not None:
            members["metric"] = checks.line("metric", metric)
        if drafts is not None:
            members["drafts"] = checks.flag("drafts", drafts)
        return await self._begin("app.export_deliveries", "/v1/exports/deliveries", dumps(members))

    async def exports(self) -> tuple[Export, ...]:
        """All exports of the workspace."""
        return (await self._ask(Call("app.exports", "GET", "/v1/exports"), _All)).exports or ()

    async def export(self, export_id: int) -> Export:
        """How far an export is. NotFound when unknown."""
        return (await self._ask(Call("app.export", "GET", _path(export_id)), _One)).export

    async def export_url(self, export_id: int) -> str:
        """A signed address of the file of an export that is done, good for 15 minutes.

        It opens the file to whoever has it: never log it. Fetch it without our credentials.
        """
        call = Call("app.export_url", "GET", f"{_path(export_id)}/download")
        answer = await self._ask(call, _Link)
        return answer.address

    async def _begin(self, operation: str, path: str, body: bytes) -> Export:
        call = Call(operation, "POST", path, body=body, repeatable=False)
        return (await self._ask(call, _One)).export


def _path(export_id: int) -> str:
    return f"/v1/exports/{checks.number('export_id', export_id)}"
