"""The demo's application: what it says goes through the queue, and a worker delivers it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rich.table import Table

from cio_pipelines.cli.console import pairs
from cio_pipelines.customerio import PersonIdentifiers, TransactionalEmail
from cio_pipelines.messaging.queued import Options
from cio_pipelines.messaging_setup import open_worker, queued_messages, worker_settings
from cio_pipelines.settings import LOCAL, Settings

if TYPE_CHECKING:
    from cio_pipelines.sandbox import SandboxServer

_RECEIPT = "order_receipt"
_QUEUE = "demo-queue.sqlite"


def speak(settings: Settings, server: SandboxServer, person_id: str) -> Table:
    """Somebody orders: a profile, an event and a receipt, put twice as after a crash and delivered once.

    Through a queue of the demo's own: in that of QUEUE_URL may be messages that are meant for Customer.io.
    """
    for path in LOCAL.glob(f"{_QUEUE}*"):
        path.unlink()
    settings = settings.model_copy(update={"queue_url": f"sqlite://{LOCAL / _QUEUE}"})
    put = asyncio.run(_put(settings, person_id))
    delivered = asyncio.run(_deliver(settings))
    receipts = server.delivery_counts(by="subject")
    return pairs(
        [
            ("put", f"{put} messages, each twice with one idempotency key"),
            ("delivered", f"{delivered} by a worker, in the order of the person"),
            ("sent", f"{sum(receipts.values()):,} messages in the sandbox, the receipt among them"),
        ]
    )


async def _put(settings: Settings, person_id: str) -> int:
    receipt = TransactionalEmail(
        to="customer@example.com",
        transactional_message_id=_RECEIPT,
        identifiers=PersonIdentifiers(id=person_id),
        message_data={"order": 1, "total": "12.50"},
        subject="Your receipt",
    )
    ids: set[str] = set()
    async with queued_messages(settings) as service:
        for _ in range(2):
            for put in (
                service.enqueue_identify(person_id, {"last_cart_value": 12.5}, options=_once("profile")),
                service.enqueue_track(person_id, "cart_checked_out", {"items": 3}, options=_once("event")),
                service.enqueue_transactional(receipt, after_profile=True, options=_once("receipt")),
            ):
                ids.add((await put).message_id)
    return len(ids)


async def _deliver(settings: Settings) -> int:
    async with open_worker(settings, worker_settings(settings)) as worker:
        await worker.run(until_empty=True)
        return worker.counts["delivered"]


def _once(key: str) -> Options:
    return Options(idempotency_key=f"demo-{key}")
