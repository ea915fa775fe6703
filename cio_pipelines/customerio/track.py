"""The Track API client: operations in, what became of each of them out."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence

import httpx
import numpy as np
from opentelemetry import metrics

from cio_pipelines.customerio.bodies import send_body
from cio_pipelines.customerio.calls import ApiClient, check_secret, documented, unreadable
from cio_pipelines.customerio.encoding import EncodedOperations
from cio_pipelines.customerio.errors import ConfigurationError, InvalidOperation
from cio_pipelines.customerio.limits import BATCH_BODY_BYTES
from cio_pipelines.customerio.operations import Operation
from cio_pipelines.customerio.regions import AccountRegion, Region
from cio_pipelines.customerio.replies import Rejection
from cio_pipelines.customerio.results import SendResult, merged
from cio_pipelines.customerio.retry import RetryPolicy, Timeouts
from cio_pipelines.customerio.telemetry import Observer, Telemetry
from cio_pipelines.customerio.throttle import Throttle
from cio_pipelines.customerio.transport import Account, ApiTransport, Verify
from cio_pipelines.customerio.version import user_agent

_BATCH, _ENTITY, _REGION = "track.batch", "track.entity", "track.region"


class TrackClient(ApiClient):
    """An async context manager; one per workspace and process, for it holds the workspace's rate limit.

    `site_id` and `api_key` are the Track API credentials. `base_url` replaces the region's host (sandbox,
    proxy). `verify` is as httpx takes it, or the path of a PEM file or of a folder of certificates.
    `observer` gets one CallEvent per call; `transport` replaces the network beneath httpx.
    Raises ConfigurationError for settings that cannot work.
    """

    def __init__(
        self,
        *,
        site_id: str,
        api_key: str,
        region: Region = Region.US,
        base_url: str | None = None,
        requests_per_second: float = 100,
        max_in_flight: int = 10,
        timeout: Timeouts = Timeouts(),  # noqa: B008  # frozen
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008  # frozen
        verify: Verify = True,
        observer: Observer | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        meter_provider: metrics.MeterProvider | None = None,
    ) -> None:
        self._max_in_flight = max_in_flight
        api = ApiTransport(
            base_url=Region(region).track_url if base_url is None else base_url,
            authorization=_basic(site_id, api_key),
            user_agent=user_agent(),
            throttle=Throttle(requests_per_second, max_in_flight, retry),
            timeouts=timeout,
            policy=retry,
            max_in_flight=max_in_flight,
            verify=verify,
            transport=transport,
        )
        super().__init__(api, retry, Telemetry(observer, meter_provider))

    async def batch(self, operations: Sequence[Operation]) -> SendResult:
        """Send typed operations, packed into as few bodies as fit, several in flight.

        Indexes in the result are those of `operations`. One that breaks a documented limit is not sent: it is
        a Rejection with status 0. The policy's deadline holds for the whole call.
        """
        account = self._transport.open_account(_BATCH)
        with self._measured(account, len(operations)) as event:
            texts: list[bytes] = []
            positions: list[int] = []
            invalid: list[Rejection] = []
            for place, operation in enumerate(operations):
                try:
                    texts.append(operation.encode())
                    positions.append(place)
                except InvalidOperation as fault:
                    invalid.append(Rejection(place, fault.reason, fault.field or "", fault.message, 0))
            encoded = EncodedOperations.from_bytes(texts)
            results = await self._send_all(encoded, account)
            result = merged(
                results,
                np.array(positions, dtype=np.int64),
                invalid,
                len(operations),
                self._policy.clock() - account.started,
            )
            event.settle(result)
            return result

    async def send(self, operations: EncodedOperations, start: int, stop: int) -> SendResult:
        """Send operations [start, stop), one body's worth as `pack` cuts them.

        Faults of rows and of the wire are in the result, never raised. Raises IndexError for a range that is
        empty or outside the operations, ValueError for one that does not fit a body.
        """
        if operations.body_size(start, stop) >= BATCH_BODY_BYTES:
            raise ValueError("the range does not fit one body: cut it with EncodedOperations.pack()")
        account = self._transport.open_account(_BATCH)
        with self._measured(account, stop - start) as event:
            result = await self._send(operations, start, stop, account)
            event.settle(result)
            return result

    async def entity(self, operation: Operation) -> None:
        """Send one operation by itself; when this returns, Customer.io has accepted it.

        Raises InvalidOperation before sending, else any member of the error tree.
        """
        account = self._transport.open_account(_ENTITY)
        with self._measured(account, 1):
            reply = await self._transport.request(account, "POST", "/api/v2/entity", operation.encode())
            body = documented(account, reply)
            if body.get("errors"):
                raise unreadable(account, reply, "a success that names errors")

    async def region(self) -> AccountRegion:
        """Ask which region and workspace the credentials belong to. Raises any member of the error tree."""
        account = self._transport.open_account(_REGION)
        with self._measured(account, 0):
            reply = await self._transport.request(account, "GET", "/api/v1/accounts/region")
            body = documented(account, reply)
            url, region, number = body.get("url"), body.get("region"), body.get("environment_id")
            if not isinstance(url, str) or region not in tuple(Region) or type(number) is not int:
                raise unreadable(account, reply, "url, region or environment_id is missing")
            return AccountRegion(url, Region(str(region)), number)

    async def _send(
        self, operations: EncodedOperations, start: int, stop: int, account: Account
    ) -> SendResult:
        limit = self._policy.max_consecutive_refusals
        fate = await send_body(self._transport, account, operations, start, stop, limit)
        rejections, unanswered, error = fate
        return SendResult(
            start=start,
            stop=stop,
            rejections=rejections,
            unanswered=unanswered,
            error=error,
            requests=account.requests,
            attempts=account.attempts,
            bytes_sent=account.bytes_sent,
            status=account.status,
            seconds=self._policy.clock() - account.started,
        )

    async def _send_all(self, operations: EncodedOperations, whole: Account) -> list[SendResult]:
        ranges = operations.pack()
        results: list[SendResult | None] = [None] * len(ranges)
        work = iter(enumerate(ranges))

        async def worker() -> None:
            for number, (start, stop) in work:
                account = self._transport.open_account(_BATCH, whole.deadline)
                results[number] = await self._send(operations, start, stop, account)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._max_in_flight, len(ranges))):
                group.create_task(worker())
        return [result for result in results if result is not None]


def _basic(site_id: str, api_key: str) -> str:
    check_secret("site_id", site_id)
    check_secret("api_key", api_key)
    if ":" in site_id:
        raise ConfigurationError("site_id holds a colon, which no Site ID has", field="site_id")
    return "Basic " + base64.b64encode(f"{site_id}:{api_key}".encode()).decode("ascii")
