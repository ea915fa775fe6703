"""From what went wrong on the wire to a member of the error tree."""

from __future__ import annotations

import errno
import ssl

import httpx

from cio_pipelines.customerio.errors import (
    BadRequest,
    Forbidden,
    NotFound,
    PayloadTooLarge,
    RateLimited,
    ResponseError,
    ServerError,
    TransportError,
    Unauthorized,
    UnexpectedResponse,
)
from cio_pipelines.customerio.replies import error_details

_BY_STATUS: dict[int, type[ResponseError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    413: PayloadTooLarge,
    422: BadRequest,
}
# Failures before the first byte of the request can have left.
_NEVER_LEFT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.LocalProtocolError,
    httpx.UnsupportedProtocol,
)


def from_exchange(error: httpx.HTTPError | OSError) -> TransportError | UnexpectedResponse:
    """A failed exchange. httpx's own text is left out: it may quote what the server sent."""
    if isinstance(error, httpx.DecodingError):
        return unexpected(200, "the answer's content encoding is broken")
    kind = type(error).__name__
    root = _root_cause(error)
    if isinstance(root, ssl.SSLCertVerificationError):
        return TransportError(
            "the server's certificate is not trusted",
            may_have_been_received=False,
            retriable=False,
            code="certificate",
            remedy="Give the authority's certificate as `verify`, or check that this is the right host.",
        )
    name = errno.errorcode.get(root.errno or 0) if isinstance(root, OSError) else None
    code = f"{kind}:{name}" if name else kind
    never_left = isinstance(error, _NEVER_LEFT)
    told = "the request did not leave" if never_left else "the request may have been received"
    return TransportError(f"no answer: {told}", may_have_been_received=not never_left, code=code)


def from_status(status: int, content: bytes, retry_after: float | None) -> ResponseError:
    """A final status other than 2xx and redirects that are followed."""
    details = tuple(error_details(content))
    told = f": {details[0].message}" if details and details[0].message else ""
    if status == 429:
        kind = RateLimited
    elif status == 408 or status >= 500:
        kind = ServerError
    else:
        kind = _BY_STATUS.get(status, UnexpectedResponse)
    return kind(status, f"Customer.io answered {status}{told}", details=details, retry_after=retry_after)


def unexpected(status: int, message: str, remedy: str | None = None) -> UnexpectedResponse:
    """An answer outside the contract. `message` must quote nothing of it."""
    return UnexpectedResponse(status, message, remedy=remedy)


def _root_cause(error: BaseException) -> BaseException:
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        deeper = error.__cause__ or error.__context__
        if deeper is None:
            break
        error = deeper
    return error
