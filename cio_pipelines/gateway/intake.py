"""Keeping a message for a caller, and what can be answered when that fails."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, cast

from fastapi import Depends, Header, Request
from pydantic import StringConstraints

from cio_pipelines.customerio import InvalidOperation
from cio_pipelines.gateway.callers import Caller
from cio_pipelines.gateway.metrics import GatewayMetrics
from cio_pipelines.gateway.models import LATEST_DELAY_DAYS, Accepted
from cio_pipelines.gateway.problems import Conflict, Fault, Full, Invalid, Unavailable
from cio_pipelines.messaging.queue.errors import IdempotencyError, QueueError, QueueFull
from cio_pipelines.messaging.queue.protocol import MessageStatus, Receipt
from cio_pipelines.messaging.queued import Options, QueuedMessagingService
from cio_pipelines.webhooks.seldom import Seldom

_log = logging.getLogger(__name__)

KEY_CHARACTERS = 255
_SOON = {"Retry-After": "1"}
_LATER = {"Retry-After": "5"}
_FIELDS = {"identifiers.id": "person_id", "id": "event_id", "operation": ""}

Enqueue = Callable[[QueuedMessagingService, Options], Awaitable[Receipt]]


class Intake:
    """The way into the queue.

    Args:
        service: the service, None while there is none.
        metrics: what to count in.
        keep_seconds: how long a message's state and its key are known after it ended.
    """

    def __init__(
        self,
        service: Callable[[], QueuedMessagingService | None],
        metrics: GatewayMetrics,
        keep_seconds: float,
    ) -> None:
        self._service = service
        self._metrics = metrics
        self._keep_seconds = keep_seconds
        self._troubles = Seldom()

    async def keep(
        self,
        caller: Caller,
        key: str | None,
        not_before: int | None,
        enqueue: Enqueue,
        named: Callable[[str], str],
    ) -> Accepted:
        """Keep one message; `named` gives the request's name of a member at fault. Raises Problem."""
        options = Options(
            # no client can meet a key of another: a name holds no line break, and neither does a header
            idempotency_key=None if key is None else f"{caller.name}\n{key}",
            not_before=_moment(not_before),
            keep_seconds=self._keep_seconds,
        )
        try:
            receipt = await enqueue(self._open(), options)
        except InvalidOperation as error:
            fault = Fault(field=named(error.field or ""), reason=error.reason, message=error.message)
            raise Invalid([fault]) from None
        except IdempotencyError:
            raise Conflict(
                "The idempotency key was used for another request. Repeat a request unchanged, and give a "
                "new one a new key."
            ) from None
        except QueueFull:
            raise Full("The queue is full. Send the same request again later.", headers=_LATER) from None
        except QueueError as error:
            raise self._trouble(error) from None
        if receipt.is_duplicate:
            self._metrics.duplicates.inc()
        return Accepted(message_id=receipt.message_id, duplicate=receipt.is_duplicate)

    async def status(self, message_id: str) -> MessageStatus | None:
        """What is known of a message; None when nothing. Raises Problem."""
        try:
            return await self._open().status(message_id)
        except QueueError as error:
            raise self._trouble(error) from None

    def _open(self) -> QueuedMessagingService:
        service = self._service()
        if service is None:
            raise Unavailable("The queue is not open yet. Send the same request again.", headers=_SOON)
        return service

    def _trouble(self, error: QueueError) -> Unavailable:
        if count := self._troubles.happened():
            fields = {"reason": str(error), "times": count}
            _log.error("messages cannot be kept, and are answered 503", extra={"fields": fields})
        return Unavailable("The queue cannot be used now. Send the same request again later.", headers=_LATER)


def in_operation(field: str) -> str:
    """What the member of an operation is called in a request."""
    return _FIELDS.get(field, field)


@dataclass(frozen=True, slots=True)
class Call:
    """A request of somebody, before its message is known."""

    intake: Intake
    caller: Caller
    key: str | None

    async def keep(
        self, not_before: int | None, enqueue: Enqueue, named: Callable[[str], str] = in_operation
    ) -> Accepted:
        """Keep its message. Raises Problem."""
        return await self.intake.keep(self.caller, self.key, not_before, enqueue, named)


Key = Annotated[
    str,
    StringConstraints(min_length=1, max_length=KEY_CHARACTERS, pattern=r"^[!-~]+$"),
]


async def _call(
    request: Request,
    idempotency_key: Annotated[
        Key | None,
        Header(
            description=(
                "Names the message: the same request again, while keys are kept, is answered with the id of "
                "the first. Each client has keys of its own."
            ),
            examples=["order-4711-receipt"],
        ),
    ] = None,
) -> Call:
    return Call(intake_of(request), cast("Caller", request.state.caller), idempotency_key)


Called = Annotated[Call, Depends(_call)]


def intake_of(request: Request) -> Intake:
    """That of the application that the request is for."""
    return cast("Intake", request.app.state.intake)


def _moment(not_before: int | None) -> datetime | None:
    if not_before is None:
        return None
    if not_before > time.time() + LATEST_DELAY_DAYS * 86_400:
        message = f"At most {LATEST_DELAY_DAYS} days ahead."
        raise Invalid([Fault(field="not_before", reason="invalid", message=message)])
    return datetime.fromtimestamp(not_before, UTC)
