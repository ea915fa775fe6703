"""What stands before every route: who calls, what they may, how often, and how much they send.

Nothing of a body is read before its sender is known and has a right to send it.
"""

from __future__ import annotations

import logging
import math
import time

from aiolimiter import AsyncLimiter
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cio_pipelines.gateway.body import Bodies, ClientGone, replayed
from cio_pipelines.gateway.callers import Caller, Callers
from cio_pipelines.gateway.doors import Door, door_of
from cio_pipelines.gateway.metrics import GatewayMetrics
from cio_pipelines.gateway.problems import (
    NotAllowed,
    Problem,
    TooMany,
    Trouble,
    Unauthenticated,
    WrongType,
)

_log = logging.getLogger(__name__)
_GONE = "gone"
_MOST_DIGITS = 15


class Guard:
    """An ASGI application around the routes.

    Args:
        app: the routes; they find the caller in the state of the request.
        callers: knows the tokens.
        bodies: reads the bodies.
        metrics: what to count in.
    """

    def __init__(self, app: ASGIApp, callers: Callers, bodies: Bodies, metrics: GatewayMetrics) -> None:
        self._app = app
        self._callers = callers
        self._bodies = bodies
        self._metrics = metrics
        self._limiters: dict[tuple[str, float], AsyncLimiter] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        door = door_of(scope["path"])
        status = ""

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            try:
                await self._app(scope, await self._admitted(scope, receive, door), watched)
            except Problem as problem:
                await problem.response()(scope, receive, watched)
            except ClientGone:
                status = _GONE
            except Exception as error:  # noqa: BLE001  # it is told without its text, and answered
                # its text may quote the request
                fields = {"route": door.route, "error": type(error).__name__}
                _log.error("a request failed", extra={"fields": fields}, exc_info=error)
                if not status:
                    await Trouble().response()(scope, receive, watched)
        finally:
            self._metrics.answered(door, status or _GONE, time.perf_counter() - started)

    async def _admitted(self, scope: Scope, receive: Receive, door: Door) -> Receive:
        """Where to read the request from, once it may be read. Raises Problem."""
        headers = Headers(scope=scope)
        caller = await self._caller(headers)
        if door.scope is not None and door.scope not in caller.scopes:
            raise NotAllowed(door.scope)
        await self._count(caller)
        scope.setdefault("state", {})["caller"] = caller
        if scope["method"] != "POST":
            return receive
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise WrongType("Send the body as JSON, with Content-Type: application/json.")
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise WrongType(
                "Send the body without content encoding.", headers={"Accept-Encoding": "identity"}
            )
        length = headers.get("content-length", "0")
        announced = int(length) if length.isascii() and length.isdigit() and len(length) < _MOST_DIGITS else 0
        return replayed(await self._bodies.read(receive, announced), receive)

    async def _caller(self, headers: Headers) -> Caller:
        scheme, _, credential = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not credential:
            raise Unauthenticated("Send a token: Authorization: Bearer ….")
        caller = await self._callers.caller(credential.strip())
        if caller is None:
            raise Unauthenticated("The token is not known, or was revoked. Ask for another.")
        return caller

    async def _count(self, caller: Caller) -> None:
        """One request more of a caller. Raises TooMany."""
        limiter = self._limiters.get((caller.credential, caller.rate))
        if limiter is None:
            # a slow rate is one request in a longer time: the bucket must hold one at least
            limiter = AsyncLimiter(max(caller.rate, 1.0), max(1.0, 1.0 / caller.rate))
            self._limiters[caller.credential, caller.rate] = limiter
        if not limiter.has_capacity():
            wait = max(1, math.ceil(1.0 / caller.rate))
            raise TooMany(
                f"The token may be used {caller.rate:g} times a second.", headers={"Retry-After": str(wait)}
            )
        await limiter.acquire()  # does not wait: nothing ran since it was asked
