"""Broadcasts of the App API: triggering one, and what became of a trigger."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from functools import partial

from cio_pipelines.customerio import checks
from cio_pipelines.customerio.app_calls import AppCalls, Call
from cio_pipelines.customerio.app_results import BroadcastTrigger
from cio_pipelines.customerio.audiences import Audience, DefaultAudience, trigger_body
from cio_pipelines.customerio.throttle import Throttle

_ERRORS_A_PAGE = 100


@dataclass(frozen=True, slots=True)
class _Triggered:
    id: int


@dataclass(frozen=True, slots=True)
class _Triggers:
    triggers: tuple[BroadcastTrigger, ...] | None = None


@dataclass(frozen=True, slots=True)
class _Errors:
    errors: tuple[str, ...] | None = None
    next: str | int | None = None


class BroadcastCalls(AppCalls):
    """Calls under /v1/campaigns/{broadcast}/triggers."""

    _broadcasts: Throttle

    async def trigger_broadcast(
        self,
        broadcast_id: int,
        audience: Audience = DefaultAudience(),  # noqa: B008  # frozen
        data: Mapping[str, object] | None = None,
    ) -> int:
        """Send a broadcast to an audience; returns the number of the trigger.

        `data` fills the message, at most 50,000 bytes. Not idempotent: see `AppClient.send`. Waits its turn,
        for Customer.io takes one trigger per ten seconds, and at most five wait to be processed.
        Raises InvalidOperation before sending, else any member of the error tree; a BadRequest of 422 names
        the member that is at fault.
        """
        call = Call(
            "app.trigger_broadcast",
            "POST",
            _path(broadcast_id),
            encode=partial(trigger_body, audience, data),
            repeatable=False,
            throttle=self._broadcasts,
            operations=1,
        )
        return (await self._ask(call, _Triggered)).id

    async def broadcast_trigger(self, broadcast_id: int, trigger_id: int) -> BroadcastTrigger:
        """How far a trigger is: `processed_at`, `recipients_count` and so on. NotFound when unknown."""
        path = f"{_path(broadcast_id)}/{checks.number('trigger_id', trigger_id)}"
        return await self._ask(Call("app.broadcast_trigger", "GET", path), BroadcastTrigger)

    async def broadcast_triggers(self, broadcast_id: int) -> tuple[BroadcastTrigger, ...]:
        """The triggers of a broadcast: number, times of creation and processing."""
        path = f"/v1/broadcasts/{checks.number('broadcast_id', broadcast_id)}/triggers"
        return (await self._ask(Call("app.broadcast_triggers", "GET", path), _Triggers)).triggers or ()

    async def broadcast_trigger_errors(self, broadcast_id: int, trigger_id: int) -> AsyncGenerator[str]:
        """What was wrong with recipients of a trigger, as "line 3: ...", over all pages.

        The texts are Customer.io's own and may quote a recipient: `replies.scrub` them before they are shown.
        """
        path = f"{_path(broadcast_id)}/{checks.number('trigger_id', trigger_id)}/errors"
        call = Call("app.broadcast_trigger_errors", "GET", path)
        async for page in self._pages(call, _Errors, _ERRORS_A_PAGE):
            for error in page.errors or ():
                yield error


def _path(broadcast_id: int) -> str:
    return f"/v1/campaigns/{checks.number('broadcast_id', broadcast_id)}/triggers"
