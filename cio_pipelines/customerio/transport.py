"""One HTTP conversation with a Customer.io API: rate, retries, redirects, deadlines. Knows no endpoint.

The client class gives the base URL and the authorization; this module gives back a successful reply or raises
one of the errors in `errors.py`.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from cio_pipelines.customerio import faults
from cio_pipelines.customerio.errors import (
    ConfigurationError,
    CustomerIOError,
    DeadlineExceeded,
    RateLimited,
    RetryBudgetExhausted,
    ServerError,
    TransportError,
    Unauthorized,
)
from cio_pipelines.customerio.quiet import unlogged
from cio_pipelines.customerio.redirects import REDIRECTS, Origin, redirect_target
from cio_pipelines.customerio.retry import RetryBudget, RetryPolicy, Timeouts, retry_after_seconds
from cio_pipelines.customerio.throttle import Throttle

_MAX_HOPS = 3
Verify = ssl.SSLContext | bool | str | Path


@dataclass(slots=True)
class Account:
    """What one call has cost so far; `deadline` and `started` are on the policy's clock, in seconds.

    `in_doubt`: an attempt of the request at hand may have been accepted though its answer did not say so.
    """

    operation: str
    started: float
    deadline: float
    requests: int = 0
    attempts: int = 0
    bytes_sent: int = 0
    status: int | None = None
    in_doubt: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """A 2xx answer, read to its end."""

    status: int
    content: bytes = field(repr=False)


class ApiTransport:
    """An async context manager around one connection pool to one API of one workspace."""

    def __init__(
        self,
        *,
        base_url: str,
        authorization: str,
        user_agent: str,
        throttle: Throttle,
        timeouts: Timeouts,
        policy: RetryPolicy,
        max_in_flight: int,
        verify: Verify = True,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Raises ConfigurationError for a base URL or a certificate store that cannot work."""
        self._origin = Origin.parse(base_url)
        self._policy = policy
        self._throttle = throttle
        self._budget = RetryBudget(policy)
        self._unauthorized = False
        self._http = httpx.AsyncClient(
            headers={
                "Authorization": authorization,
                "Content-Type": "application/json",
                "Accept": "application/json",
                "User-Agent": user_agent,
            },
            timeout=httpx.Timeout(
                connect=timeouts.connect, read=timeouts.read, write=timeouts.write, pool=timeouts.pool
            ),
            limits=httpx.Limits(max_connections=max_in_flight, max_keepalive_connections=max_in_flight),
            verify=_ssl_context(verify),
            transport=transport,
            follow_redirects=False,
            # A proxy meant for the outside world is never the way to this machine.
            trust_env=not self._origin.is_loopback,
        )

    @property
    def base_url(self) -> str:
        """Where requests go now; a permanent redirect between regions moves it."""
        return str(self._origin)

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        value: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        await self._http.__aexit__(kind, value, trace)

    def open_account(self, operation: str, deadline: float | None = None) -> Account:
        """Start the clock of a call. `deadline` (policy's clock) shortens the policy's own."""
        now = self._policy.clock()
        latest = now + self._policy.deadline
        return Account(operation, now, latest if deadline is None else min(latest, deadline))

    async def request(
        self,
        account: Account,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        repeatable: bool = True,
        throttle: Throttle | None = None,
    ) -> Reply:
        """Send one request until it is answered for good. Costs are added to `account`.

        One that is not `repeatable` is tried again only when it was surely not accepted: the connection was
        never established, or a 429. `throttle` replaces the transport's own.
        Returns a 2xx reply. Raises ResponseError, TransportError, RetryBudgetExhausted or DeadlineExceeded,
        with `was_accepted` true of all attempts together. After a 401 every request raises Unauthorized
        without being sent.
        """
        account.in_doubt = False
        remaining = account.deadline - self._policy.clock()
        before = account.attempts
        scope = asyncio.timeout(remaining)
        try:
            async with scope:
                return await self._persist(
                    account, method, path, body, repeatable, throttle or self._throttle
                )
        except TimeoutError:
            failure: CustomerIOError = DeadlineExceeded("the call's deadline passed before an answer came")
        except CustomerIOError as error:
            failure = error
        failure.operation = account.operation
        failure.attempts = account.attempts - before
        if failure.status is None and failure.attempts:
            failure.status = account.status
        if account.in_doubt:
            failure.was_accepted = "unknown"
        raise failure

    async def _persist(
        self, account: Account, method: str, path: str, body: bytes, repeatable: bool, throttle: Throttle
    ) -> Reply:
        account.requests += 1
        self._budget.earn()
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._attempt(account, method, path, body, throttle)
            except (RateLimited, ServerError, TransportError) as error:
                failure = error
            if isinstance(failure, TransportError) and not failure.retriable:
                raise failure
            if attempt >= self._policy.max_attempts or not (repeatable or failure.was_accepted == "no"):
                raise failure
            await self._back_off(account, attempt, failure, throttle)

    async def _back_off(
        self,
        account: Account,
        attempt: int,
        failure: RateLimited | ServerError | TransportError,
        throttle: Throttle,
    ) -> None:
        asked = None if isinstance(failure, TransportError) else failure.retry_after
        wait = self._policy.backoff(attempt) if asked is None else asked
        if isinstance(failure, RateLimited) or asked is not None:
            # The limit is the workspace's, so everyone under it waits; the pause holds this request back too.
            throttle.pause(wait)
        if self._policy.clock() + wait > account.deadline:
            raise DeadlineExceeded(
                f"a wait of {wait:.1f} s before the next attempt would outlast the call's deadline",
                status=failure.status,
                code=type(failure).__name__,
            ) from failure
        if not self._budget.spend():
            raise RetryBudgetExhausted(
                "the client's retry budget is spent", status=failure.status, code=type(failure).__name__
            ) from failure
        if not isinstance(failure, RateLimited) and asked is None:
            await self._policy.sleep(wait)

    async def _attempt(
        self, account: Account, method: str, path: str, body: bytes, throttle: Throttle
    ) -> Reply:
        origin, status = self._origin, 0
        url = origin.url(path)
        for _ in range(_MAX_HOPS + 1):
            self._require_credentials()
            await throttle.acquire(account.deadline)
            try:
                # Another request may have met a 401 while this one waited for its turn.
                self._require_credentials()
                response = await self._exchange(account, method, url, body)
            finally:
                throttle.release()
            status = response.status_code
            if status not in REDIRECTS:
                return self._judge(account, response)
            url, moved = redirect_target(origin, url, response)
            if moved is not None:
                self._origin = moved
        raise faults.unexpected(status, f"more than {_MAX_HOPS} redirects")

    def _require_credentials(self) -> None:
        if self._unauthorized:
            raise Unauthorized(401, "not sent: these credentials were refused before", code="refused_before")

    async def _exchange(self, account: Account, method: str, url: httpx.URL, body: bytes) -> httpx.Response:
        account.attempts += 1
        account.bytes_sent += len(body)
        account.status = None
        doubted, account.in_doubt = account.in_doubt, True  # also when the deadline breaks this off
        try:
            with unlogged():
                response = await self._http.request(method, url, content=body or None)
        except (httpx.HTTPError, OSError) as error:
            failure = faults.from_exchange(error)
            account.in_doubt = doubted or failure.was_accepted == "unknown"
        else:
            account.status = response.status_code
            account.in_doubt = doubted
            return response
        # Raised out here so as not to chain the httpx error, which holds the request with its credentials.
        raise failure

    def _judge(self, account: Account, response: httpx.Response) -> Reply:
        if 200 <= response.status_code < 300:
            return Reply(response.status_code, response.content)
        wait = retry_after_seconds(response.headers.get("Retry-After"), self._policy.now())
        failure = faults.from_status(response.status_code, response.content, wait)
        account.in_doubt = account.in_doubt or failure.was_accepted == "unknown"
        if isinstance(failure, Unauthorized):
            self._unauthorized = True
        raise failure


def _ssl_context(verify: Verify) -> ssl.SSLContext | bool:
    if isinstance(verify, (bool, ssl.SSLContext)):
        return verify
    path = Path(verify)
    try:
        if path.is_dir():
            return ssl.create_default_context(capath=path)
        return ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError):
        failure = ConfigurationError(
            "the certificate store cannot be read",
            field="verify",
            remedy="Give the path of a PEM file, or of a folder of hashed certificates.",
        )
    raise failure
