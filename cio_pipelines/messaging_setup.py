"""Queue, clients and worker as the settings describe them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from cio_pipelines.customerio import AppClient, RetryPolicy
from cio_pipelines.messaging.fates import WorkerSettings
from cio_pipelines.messaging.queue import open_queue
from cio_pipelines.messaging.queue.errors import QueueError
from cio_pipelines.messaging.queue.protocol import Queue, QueueName
from cio_pipelines.messaging.queued import QueuedMessagingService
from cio_pipelines.messaging.repository import WAIT_SECONDS, UserMessagingRepository
from cio_pipelines.messaging.worker import Worker
from cio_pipelines.settings import LOCAL, SANDBOX_PORT, Settings, SettingsError
from cio_pipelines.warehouse import Warehouse

_ONCE = RetryPolicy(max_attempts=1)
"""A worker's clients try once: it is the queue that tries again."""

_SANDBOX_APP_KEY = "sandbox-app-key"


def message_queue(settings: Settings) -> Queue:
    """The queue that QUEUE_URL names, not entered yet. Raises SettingsError."""
    if settings.queue_url == f"sqlite:///{LOCAL / 'queue.sqlite'}":
        Path(LOCAL).mkdir(parents=True, exist_ok=True)
    try:
        return open_queue(settings.queue_url, max_messages=settings.cio_queue_max_messages)
    except QueueError as error:
        raise SettingsError(f"QUEUE_URL is not valid: {error}") from None


def queued_messages(settings: Settings) -> QueuedMessagingService:
    """The service over that queue, not entered yet. Raises SettingsError."""
    return QueuedMessagingService(message_queue(settings), wait_seconds=settings.cio_queue_wait_seconds)


def user_repository(
    settings: Settings, warehouse: Warehouse | None = None, *, wait_seconds: float = WAIT_SECONDS
) -> UserMessagingRepository:
    """Who syncs one user of this workspace. Raises SettingsError or WarehouseUnavailable."""
    return UserMessagingRepository(
        warehouse or settings.warehouse(),
        settings.sync_settings(),
        settings.track_client,
        wait_seconds=wait_seconds,
    )


def app_client(
    settings: Settings, retry: RetryPolicy | None = None, *, requests_per_second: float = 10
) -> AppClient:
    """A client of the workspace's App API. Raises SettingsError or ConfigurationError."""
    key, url = settings.customerio_app_api_key, settings.customerio_app_url
    if key is None and not settings.is_sandboxed:
        raise SettingsError(
            "CUSTOMERIO_APP_API_KEY is not set. Set it to an App API key of the workspace, which sends "
            "transactional messages and broadcasts; without one, serve `--queue identify --queue track`."
        )
    if url is None and settings.is_sandboxed:
        url = settings.track_url or f"http://127.0.0.1:{SANDBOX_PORT}"
    settings.demand_address(url)
    return AppClient(
        api_key=_SANDBOX_APP_KEY if key is None else key.get_secret_value(),
        region=settings.customerio_region,
        base_url=url,
        requests_per_second=requests_per_second,
        retry=retry or RetryPolicy(),
        verify=settings.customerio_ca_bundle or True,
    )


def worker_settings(settings: Settings) -> WorkerSettings:
    """How a worker works."""
    concurrency: dict[QueueName, int] = {
        "identify": settings.cio_worker_identify,
        "track": settings.cio_worker_track,
        "transactional": settings.cio_worker_transactional,
        "broadcast": settings.cio_worker_broadcast,
    }
    return WorkerSettings(
        concurrency=concurrency,
        max_attempts=settings.cio_message_attempts,
        linger=settings.cio_worker_linger_seconds,
        lease=settings.cio_worker_lease_seconds,
        drain=settings.cio_worker_drain_seconds,
        resend_unknown=settings.cio_resend_unknown,
    )


@asynccontextmanager
async def open_worker(settings: Settings, how: WorkerSettings) -> AsyncGenerator[Worker]:
    """A worker ready to run. Raises SettingsError, ConfigurationError or QueueError."""
    async with AsyncExitStack() as stack:
        needs_app = {"transactional", "broadcast"} & set(how.queues)
        app = await stack.enter_async_context(app_client(settings, _ONCE)) if needs_app else None
        track = await stack.enter_async_context(settings.track_client(_ONCE))
        queue = await stack.enter_async_context(message_queue(settings))
        yield Worker(queue, track, app, how)
