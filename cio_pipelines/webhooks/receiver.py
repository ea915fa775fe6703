"""The webhook that Customer.io calls: authenticate, keep, answer, in this order."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from starlette.types import Receive, Scope, Send

from cio_pipelines.webhooks import answers
from cio_pipelines.webhooks.answers import Answer
from cio_pipelines.webhooks.authentication import Authenticator
from cio_pipelines.webhooks.bus import EventBus, WebhookEvent
from cio_pipelines.webhooks.commit import GroupCommit, Outcome
from cio_pipelines.webhooks.envelope import NotJson, read_envelope
from cio_pipelines.webhooks.layout import Received, folder_name
from cio_pipelines.webhooks.metrics import Metrics

_log = logging.getLogger(__name__)

_ANSWERS = {
    Outcome.DURABLE: answers.ACCEPTED,
    Outcome.FAILED: answers.NOT_STORED,
    Outcome.LATE: answers.NOT_STORED_IN_TIME,
}
_DISCONNECTED = "disconnected"


class Receiver:
    """An ASGI application for the one path, called for every method.

    Args:
        authenticator: knows the signing keys.
        commit: where events become durable.
        bus: whom to tell afterwards.
        metrics: what to count in.
        clock: now, in unix seconds.
        max_bytes: the largest body that is taken.
        body_seconds: how long a body may take to arrive.
    """

    def __init__(
        self,
        *,
        authenticator: Authenticator,
        commit: GroupCommit,
        bus: EventBus,
        metrics: Metrics,
        clock: Callable[[], float],
        max_bytes: int,
        body_seconds: float,
    ) -> None:
        self._authenticator = authenticator
        self._commit = commit
        self._bus = bus
        self._metrics = metrics
        self._clock = clock
        self._max_bytes = max_bytes
        self._body_seconds = body_seconds
        self._arriving_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        event: WebhookEvent | None = None
        try:
            taken = await self._take(scope, receive)
            if isinstance(taken, WebhookEvent):
                event, answer = taken, answers.ACCEPTED
            else:
                answer = taken
        except Exception as error:  # noqa: BLE001  # 500 would make Customer.io wait an hour
            # its text may quote the request
            _log.error("a request failed", extra={"fields": {"error": type(error).__name__}}, exc_info=error)
            answer = answers.TROUBLE
        if answer is not None:
            await answer.give(send)
        self._metrics.answered(answer.reason if answer else _DISCONNECTED, time.perf_counter() - started)
        if event is not None:
            self._bus.publish(event)

    async def _take(self, scope: Scope, receive: Receive) -> WebhookEvent | Answer | None:
        """The event, once it is durable; or why not; None when the sender went away."""
        if scope["method"] != "POST":
            return answers.WRONG_METHOD
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            return answers.ENCODED
        claim = self._authenticator.claim(headers.get(b"x-cio-timestamp"), headers.get(b"x-cio-signature"))
        if isinstance(claim, Answer):
            return claim
        body = await self._body(receive, int(headers.get(b"content-length", 0)))
        if not isinstance(body, bytes):
            return body
        key_index = self._authenticator.key_index(claim, body)
        if isinstance(key_index, Answer):
            return key_index
        self._metrics.signed_by(key_index)
        try:
            envelope = read_envelope(body)
        except NotJson:
            return answers.NOT_JSON
        if not self._commit.has_room(len(body)):
            return answers.BUSY
        received = Received(datetime.fromtimestamp(self._clock(), UTC), body)
        outcome = await self._commit.submit(folder_name(envelope.object_type), received)
        if outcome is not Outcome.DURABLE:
            return _ANSWERS[outcome]
        self._metrics.stored(envelope.object_type, envelope.metric)
        return WebhookEvent(*envelope, *received)

    async def _body(self, receive: Receive, announced: int) -> bytes | Answer | None:
        """The whole body; or why it is not taken; None when the sender went away.

        Of a body that is too large nothing is kept, but as much again is read: a sender that is cut off in
        the middle of sending does not see the answer.
        """
        parts: list[bytes] = []
        size, is_too_large = 0, announced > self._max_bytes
        try:
            async with asyncio.timeout(self._body_seconds):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        return None
                    part = message.get("body", b"")
                    size += len(part)
                    is_too_large = is_too_large or size > self._max_bytes
                    more = message.get("more_body", False)
                    if is_too_large:
                        self._arriving_bytes -= sum(map(len, parts))
                        parts.clear()
                    elif not self._commit.has_room(self._arriving_bytes + len(part)):
                        return answers.BUSY
                    else:
                        self._arriving_bytes += len(part)
                        parts.append(part)
                    if not more or size > 2 * self._max_bytes:
                        return answers.TOO_LARGE if is_too_large else b"".join(parts)
        except TimeoutError:
            return answers.TOO_LARGE if is_too_large else answers.SLOW_BODY
        finally:
            self._arriving_bytes -= sum(map(len, parts))
