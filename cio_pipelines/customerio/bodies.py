"""Sending one batch body, and finding the guilty operations when Customer.io refuses it whole."""

from __future__ import annotations

from cio_pipelines.customerio.encoding import EncodedOperations
from cio_pipelines.customerio.errors import (
    BadRequest,
    CustomerIOError,
    ErrorDetail,
    PayloadTooLarge,
    ResponseError,
)
from cio_pipelines.customerio.faults import unexpected
from cio_pipelines.customerio.replies import MalformedReply, Rejection, batch_rejections, rejection
from cio_pipelines.customerio.results import Ranges, joined
from cio_pipelines.customerio.transport import Account, ApiTransport

BATCH_PATH = "/api/v2/batch"
Fate = tuple[tuple[Rejection, ...], Ranges, CustomerIOError | None]


async def send_body(
    transport: ApiTransport,
    account: Account,
    operations: EncodedOperations,
    start: int,
    stop: int,
    max_consecutive_refusals: int,
) -> Fate:
    """Send operations [start, stop) in one body; return rejections, unanswered ranges, and why.

    A body refused whole (400, 413, 422) is halved until what is refused is one operation: about 2 k log2(n)
    requests for k guilty ones of n. After `max_consecutive_refusals` refused requests in a row the search
    ends. If nothing at all was understood by then, the fault is taken to be ours and not the rows': the whole
    range is unanswered.
    """
    pending = [(start, stop)]
    rejections: list[Rejection] = []
    understood = False
    streak = 0
    error: CustomerIOError | None = None
    while pending and error is None:
        low, high = pending.pop()
        try:
            refused = await _post(transport, account, operations, low, high)
        except (BadRequest, PayloadTooLarge) as refusal:
            streak += 1
            if high - low == 1:
                rejections.append(_single(low, refusal))
            else:
                middle = (low + high) // 2
                pending += [(middle, high), (low, middle)]  # the left half is taken first
            if streak >= max_consecutive_refusals and pending:
                error = refusal
                error.remedy = f"{streak} requests in a row were refused, so the search ended. {error.remedy}"
        except CustomerIOError as failure:
            pending.append((low, high))
            error = failure
        else:
            rejections += refused
            understood = True
            streak = 0
    if isinstance(error, (BadRequest, PayloadTooLarge)) and not understood:
        return (), ((start, stop),), error
    return tuple(sorted(rejections, key=lambda item: item.index)), joined(pending), error


async def _post(
    transport: ApiTransport, account: Account, operations: EncodedOperations, low: int, high: int
) -> tuple[Rejection, ...]:
    reply = await transport.request(account, "POST", BATCH_PATH, operations.body(low, high))
    if reply.status not in (200, 207):
        raise _unlike_a_batch(account, reply.status, "an undocumented status")
    try:
        return batch_rejections(reply.content, low, high - low, reply.status)
    except MalformedReply as fault:
        reason = str(fault)
    raise _unlike_a_batch(account, reply.status, reason)


def _unlike_a_batch(account: Account, status: int, reason: str) -> ResponseError:
    failure = unexpected(
        status, f"the batch's answer cannot be read, so nothing counts as accepted: {reason}"
    )
    failure.operation, failure.attempts = account.operation, account.attempts
    return failure


def _single(index: int, refusal: BadRequest | PayloadTooLarge) -> Rejection:
    status = refusal.status if refusal.status is not None else 400
    return rejection(index, refusal.details or (ErrorDetail(),), status)
