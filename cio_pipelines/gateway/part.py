"""The gateway as a part of `cio serve`: its routes, its queue, whether it can be used."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from prometheus_client.registry import Collector
from starlette.types import ASGIApp

from cio_pipelines.gateway.body import Bodies
from cio_pipelines.gateway.callers import Callers
from cio_pipelines.gateway.doors import PREFIX
from cio_pipelines.gateway.guard import Guard
from cio_pipelines.gateway.intake import Intake
from cio_pipelines.gateway.metrics import GatewayMetrics
from cio_pipelines.gateway.routes import build_routes
from cio_pipelines.messaging.queue.errors import QueueError
from cio_pipelines.messaging.queued import QueuedMessagingService

_log = logging.getLogger(__name__)

_AGAIN_SECONDS = 1.0
_FIRST_SECONDS = 2.0
_FRESH_SECONDS = 1.0
_PATIENCE_SECONDS = 2.0
_NO_MESSAGE: Final = "0" * 26
"""A message id that is never given out: the queue is asked for it to see whether it answers."""


@dataclass(frozen=True, slots=True)
class GatewayLimits:
    """Bytes of a body; seconds that it may take to arrive, and that a message's state and key are kept."""

    max_bytes: int = 4_000_000
    body_seconds: float = 10.0
    keep_seconds: float = 86_400.0


class Gateway:
    """A part of the service.

    Args:
        callers: knows the tokens.
        open_service: makes the service around the queue, not entered yet; called again while it cannot be
            entered.
        limits: what is refused, and how long things are kept.
    """

    path = PREFIX

    def __init__(
        self,
        callers: Callers,
        open_service: Callable[[], QueuedMessagingService],
        limits: GatewayLimits | None = None,
    ) -> None:
        limits = limits or GatewayLimits()
        self._callers = callers
        self._open_service = open_service
        self._service: QueuedMessagingService | None = None
        self._fault: str | None = "The queue is being opened."
        self._looked_at = float("-inf")
        self._looking = asyncio.Lock()
        self._metrics = GatewayMetrics()
        self._metrics.tokens_file_valid.set_function(self._is_tokens_file_valid)
        self._routes = build_routes(Intake(lambda: self._service, self._metrics, limits.keep_seconds))
        self.collector: Collector = self._metrics
        self.app: ASGIApp = Guard(
            self._routes, callers, Bodies(limits.max_bytes, limits.body_seconds), self._metrics
        )

    def describe(self, schema: dict[str, Any]) -> None:
        """Add the routes to the description of the service."""
        _merge(schema, self._routes)

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        """While the service runs. A queue that cannot be opened is tried again until it can."""
        first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        opening = asyncio.create_task(self._open(first))
        # mostly it is open before the first request comes
        await asyncio.wait([opening, first], timeout=_FIRST_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        try:
            yield
        finally:
            opening.cancel()
            await asyncio.wait([opening])
            if self._service is not None:
                await self._service.__aexit__()

    async def fault(self) -> str | None:
        """Why messages could not be kept; None when they can. The queue is asked at most once a second."""
        async with self._looking:
            now = asyncio.get_running_loop().time()
            if self._service is not None and now - self._looked_at >= _FRESH_SECONDS:
                self._looked_at = now
                self._fault = await _fault_of(self._service)
        return self._fault

    async def _open(self, tried: asyncio.Future[None]) -> None:
        told = ""
        while self._service is None:
            service = self._open_service()
            try:
                await service.__aenter__()
            except QueueError as error:
                self._fault = str(error)
                if told != self._fault:
                    told = self._fault
                    fields = {"reason": told}
                    _log.error("the queue cannot be opened, and is tried again", extra={"fields": fields})
                if not tried.done():
                    tried.set_result(None)
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                self._fault = None
                self._service = service

    def _is_tokens_file_valid(self) -> float:
        return float(self._callers.is_file_valid())


async def _fault_of(service: QueuedMessagingService) -> str | None:
    try:
        await asyncio.wait_for(service.status(_NO_MESSAGE), _PATIENCE_SECONDS)
    except QueueError as error:
        return str(error)
    except TimeoutError:
        return f"The queue did not answer within {_PATIENCE_SECONDS:g} s."
    return None


def _merge(schema: dict[str, Any], routes: FastAPI) -> None:
    ours = get_openapi(title="gateway", version="1", routes=routes.routes)
    for path, item in ours["paths"].items():
        schema["paths"][f"{PREFIX}{path}"] = item
    components: dict[str, dict[str, Any]] = schema.setdefault("components", {})
    for kind, members in ours.get("components", {}).items():
        components.setdefault(kind, {}).update(members)
