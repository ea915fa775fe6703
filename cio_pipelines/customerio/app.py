"""The App API client: messages and broadcasts out, people and what happened to them back."""

from __future__ import annotations

import httpx
from opentelemetry import metrics

from cio_pipelines.customerio.app_broadcasts import BroadcastCalls
from cio_pipelines.customerio.app_calls import Call
from cio_pipelines.customerio.app_exports import ExportCalls
from cio_pipelines.customerio.app_people import PeopleCalls
from cio_pipelines.customerio.app_results import Sent
from cio_pipelines.customerio.app_segments import SegmentCalls
from cio_pipelines.customerio.app_suppressions import SuppressionCalls
from cio_pipelines.customerio.calls import check_secret
from cio_pipelines.customerio.errors import ConfigurationError
from cio_pipelines.customerio.regions import Region
from cio_pipelines.customerio.retry import RetryPolicy, Timeouts
from cio_pipelines.customerio.telemetry import Observer, Telemetry
from cio_pipelines.customerio.throttle import Throttle
from cio_pipelines.customerio.transactional import TransactionalMessage
from cio_pipelines.customerio.transport import ApiTransport, Verify
from cio_pipelines.customerio.version import user_agent


class AppClient(BroadcastCalls, PeopleCalls, SegmentCalls, ExportCalls, SuppressionCalls):
    """An async context manager; one per workspace and process, for it holds the workspace's rate limits.

    `api_key` is an App API key. `base_url` replaces the region's host (sandbox, proxy). The limits are
    Customer.io's own (App API reference, 2022 and 2026): 10 requests a second for all calls together, 100 for
    transactional messages, a broadcast trigger every 10 seconds. Each is kept by itself, so the pause that a
    429 asks for under one holds up none of the others. `max_in_flight` bounds the requests under each.
    The other settings are as TrackClient's. Raises ConfigurationError for settings that cannot work.

    GETs, searches and calls that may be repeated are retried as TrackClient's are.
    """

    def __init__(
        self,
        *,
        api_key: str,
        region: Region = Region.US,
        base_url: str | None = None,
        requests_per_second: float = 10,
        transactional_per_second: float = 100,
        seconds_per_broadcast: float = 10,
        max_in_flight: int = 10,
        timeout: Timeouts = Timeouts(),  # noqa: B008  # frozen
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008  # frozen
        verify: Verify = True,
        observer: Observer | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        meter_provider: metrics.MeterProvider | None = None,
    ) -> None:
        check_secret("api_key", api_key)
        if not api_key.isascii():
            raise ConfigurationError("api_key holds a character that no key has", field="api_key")
        if seconds_per_broadcast <= 0:
            raise ConfigurationError(
                "seconds_per_broadcast must be above zero", field="seconds_per_broadcast"
            )
        general = Throttle(requests_per_second, max_in_flight, retry)
        self._transactional = Throttle(transactional_per_second, max_in_flight, retry)
        self._broadcasts = Throttle(1 / seconds_per_broadcast, max_in_flight, retry)
        api = ApiTransport(
            base_url=Region(region).app_url if base_url is None else base_url,
            authorization=f"Bearer {api_key}",
            user_agent=user_agent(),
            throttle=general,
            timeouts=timeout,
            policy=retry,
            max_in_flight=3 * max_in_flight,  # a slot of one limit never waits for a connection of another
            verify=verify,
            transport=transport,
        )
        super().__init__(api, retry, Telemetry(observer, meter_provider))

    async def send(self, message: TransactionalMessage) -> Sent:
        """Send a transactional message; when this returns, Customer.io has taken it.

        Customer.io knows no idempotency key: a message sent twice is delivered twice. So it is tried again
        only when it was surely not taken: the connection was never established, or the answer was 429. Any
        other failure is raised at once, and `was_accepted` of the error is `no` (4xx) or `unknown` (a timeout
        or reset after sending, 5xx, an answer that cannot be read).

        Raises InvalidOperation before sending, else any member of the error tree.
        """
        call = Call(
            f"app.send_{message.kind}",
            "POST",
            message.path,
            encode=message.encode,
            repeatable=False,
            throttle=self._transactional,
            operations=1,
        )
        return await self._ask(call, Sent)
