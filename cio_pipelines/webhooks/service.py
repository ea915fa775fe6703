"""The service as one application: the webhook, and what its operators need beside it."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi
from fastapi_offline import FastAPIOffline
from prometheus_client.registry import Collector
from pydantic import BaseModel
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from cio_pipelines.landing import LandingZone
from cio_pipelines.webhooks.authentication import Authenticator, KeyRing
from cio_pipelines.webhooks.bus import EventBus
from cio_pipelines.webhooks.commit import CommitLimits, GroupCommit
from cio_pipelines.webhooks.handlers import watch_consent
from cio_pipelines.webhooks.metrics import CONTENT_TYPE, Metrics
from cio_pipelines.webhooks.openapi import webhook_operation
from cio_pipelines.webhooks.readiness import Readiness
from cio_pipelines.webhooks.receiver import Receiver
from cio_pipelines.webhooks.workers import Workers

WEBHOOK_PATH = "/webhooks/customerio"

_WRITERS = 8
_HANDLERS_END_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class ServiceLimits:
    """What a request may be: bytes of its body, seconds of its timestamp's age; and how events are stored."""

    max_bytes: int = 5_000_000
    tolerance_seconds: float = 8 * 86_400
    commit: CommitLimits = field(default_factory=CommitLimits)


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Ready(BaseModel):
    """Whether everything that comes in can be stored now, and if not, why."""

    status: Literal["ready", "not_ready"] = "ready"
    reason: str | None = None


class Part(Protocol):
    """What is served beside the webhook by the same process.

    `app` answers below `path`; `collector` counts for Prometheus.
    """

    path: str
    app: ASGIApp
    collector: Collector

    def lifespan(self) -> AbstractAsyncContextManager[None]:
        """Entered before the first request, left after the last."""
        ...

    async def fault(self) -> str | None:
        """Why it cannot do its work now; None when it can."""
        ...

    def describe(self, schema: dict[str, Any]) -> None:
        """Add its routes to the OpenAPI document of the service."""
        ...


def create_app(
    *,
    zone: LandingZone,
    keys: Sequence[str] | KeyRing,
    bus: EventBus | None = None,
    limits: ServiceLimits | None = None,
    parts: Sequence[Part] = (),
    clock: Callable[[], float] = time.time,
) -> FastAPI:
    """Build the application.

    Its lifespan starts and ends the handlers of the bus, and the parts.

    Args:
        zone: where events are kept.
        keys: the signing keys that are active; a ring when they may change.
        bus: with the handlers that have subscribed; the built-in ones are added.
        limits: what is refused, and how long things may take.
        parts: what else is served.
        clock: now, in unix seconds.
    """
    limits = limits or ServiceLimits()
    bus = bus or EventBus()
    metrics = Metrics()
    watch_consent(bus, metrics.consent_changes)
    workers = Workers(_WRITERS, "landing zone")
    commit = GroupCommit(zone, limits.commit, workers, metrics)
    metrics.watch_waiting(lambda: commit.waiting_events, lambda: commit.waiting_bytes)
    receiver = Receiver(
        authenticator=Authenticator(keys, limits.tolerance_seconds, clock),
        commit=commit,
        bus=bus,
        metrics=metrics,
        clock=clock,
        max_bytes=limits.max_bytes,
        body_seconds=limits.commit.answer_seconds,
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        del app
        bus.start(metrics)
        async with AsyncExitStack() as stack:
            for part in parts:
                await stack.enter_async_context(part.lifespan())
            yield
        workers.close()
        bus.close(_HANDLERS_END_SECONDS)

    app = FastAPIOffline(
        redoc_url=None,
        title="cio_pipelines",
        description="Takes what Customer.io reports, and keeps it until the warehouse has it.",
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.router.routes.insert(0, Route(WEBHOOK_PATH, receiver, include_in_schema=False))
    _add_operators_routes(app, Readiness(zone, workers), metrics, parts)
    for part in parts:
        app.router.routes.append(_mount(part))
        metrics.registry.register(part.collector)

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title, version=app.version, description=app.description, routes=app.routes
            )
            schema["paths"] = {WEBHOOK_PATH: webhook_operation(limits.max_bytes), **schema["paths"]}
            for part in parts:
                part.describe(schema)
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi
    return app


def _mount(part: Part) -> Mount:
    mount = Mount(part.path, part.app)
    # else a path with a line break would pass by the part, and by whatever it asks of its callers
    mount.path_regex = re.compile(mount.path_regex.pattern, re.DOTALL)
    return mount


def _add_operators_routes(
    app: FastAPI, readiness: Readiness, metrics: Metrics, parts: Sequence[Part]
) -> None:
    @app.get("/healthz", tags=["operations"])
    async def healthz() -> Alive:
        """Whether the process is alive."""
        return Alive()

    @app.get("/readyz", tags=["operations"], responses={503: {"model": Ready, "description": "Not ready"}})
    async def readyz(response: Response) -> Ready:
        """Whether everything that comes in can be stored now."""
        reasons = [await readiness.fault(), *[await part.fault() for part in parts]]
        reason = " ".join(told for told in reasons if told) or None
        if reason is None:
            return Ready()
        response.status_code = 503
        return Ready(status="not_ready", reason=reason)

    @app.get(
        "/metrics",
        tags=["operations"],
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def metrics_() -> Response:
        """Counters for Prometheus."""
        return Response(metrics.text(), media_type=CONTENT_TYPE)
