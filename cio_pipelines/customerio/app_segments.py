"""Segments of the App API: what there is, who is in one, and the manual ones that it can make."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from cio_pipelines.customerio import checks
from cio_pipelines.customerio.app_calls import AppCalls, Call
from cio_pipelines.customerio.app_results import Identity, Segment
from cio_pipelines.customerio.jsontext import dumps

_MEMBERS_A_PAGE = 30_000


@dataclass(frozen=True, slots=True)
class _One:
    segment: Segment


@dataclass(frozen=True, slots=True)
class _All:
    segments: tuple[Segment, ...] | None = None


@dataclass(frozen=True, slots=True)
class _Members:
    identifiers: tuple[Identity, ...] | None = None
    next: str | int | None = None


@dataclass(frozen=True, slots=True)
class _Count:
    count: int


class SegmentCalls(AppCalls):
    """Calls under /v1/segments. NotFound is raised for a segment that does not exist."""

    async def segments(self) -> tuple[Segment, ...]:
        """All segments of the workspace."""
        return (await self._ask(Call("app.segments", "GET", "/v1/segments"), _All)).segments or ()

    async def segment(self, segment_id: int) -> Segment:
        """One segment."""
        return (await self._ask(Call("app.segment", "GET", _path(segment_id)), _One)).segment

    async def segment_members(
        self, segment_id: int, limit: int = _MEMBERS_A_PAGE
    ) -> AsyncGenerator[Identity]:
        """Everybody in a segment, over all pages of `limit` people (at most 30,000)."""
        call = Call("app.segment_members", "GET", f"{_path(segment_id)}/membership")
        async for page in self._pages(call, _Members, limit):
            for identity in page.identifiers or ():
                yield identity

    async def segment_count(self, segment_id: int) -> int:
        """How many people are in a segment."""
        call = Call("app.segment_count", "GET", f"{_path(segment_id)}/customer_count")
        return (await self._ask(call, _Count)).count

    async def create_segment(self, name: str, description: str | None = None) -> Segment:
        """Make a manual segment; the Track API adds people to it.

        Not idempotent: tried again only when it was surely not accepted.
        """
        segment = {"name": checks.line("segment.name", name)}
        if description is not None:
            segment["description"] = checks.text("segment.description", description)
        body = dumps({"segment": segment})
        call = Call("app.create_segment", "POST", "/v1/segments", body=body, repeatable=False)
        return (await self._ask(call, _One)).segment

    async def delete_segment(self, segment_id: int) -> None:
        """Delete a manual segment. Tried again after an unknown outcome, it may raise NotFound."""
        await self._tell(Call("app.delete_segment", "DELETE", _path(segment_id)))


def _path(segment_id: int) -> str:
    return f"/v1/segments/{checks.number('segment_id', segment_id)}"
