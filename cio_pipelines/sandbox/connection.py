"""A keep-alive HTTP/1.1 connection that posts one body at a time and hands back the status.

The usual clients spend more time on a request than the receiver under test does on answering it.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import cast
from urllib.parse import urlsplit

import httptools

_FINAL = 200


class Target:
    """Where to post, taken apart once. Raises ValueError for a URL that is not http or https with a host."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise ValueError("a webhook URL is http:// or https:// with a host, and without credentials")
        if not url.isascii() or any(character <= " " for character in url):
            raise ValueError("a webhook URL is plain ASCII without spaces")
        self.url = url
        self.host = parts.hostname
        self.port = parts.port or (443 if parts.scheme == "https" else 80)
        self.tls = ssl.create_default_context() if parts.scheme == "https" else None
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self.head = (
            f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUser-Agent: Customer.io sandbox\r\n"
            "Content-Type: application/json\r\n"
        ).encode()


class Connection:
    """Opens when it is first used, and again after it was closed. Not for use by several tasks at a time."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._exchange: _Exchange | None = None

    async def post(self, fields: bytes, body: bytes) -> int:
        """Post a body with more header lines; returns the status.

        Raises OSError (ssl.SSLError for TLS) when there is no connection or it breaks, and ValueError
        for an answer that is not HTTP. After any exception, being cancelled too, the connection is closed.
        """
        request = b"".join((self._target.head, b"Content-Length: %d\r\n" % len(body), fields, b"\r\n", body))
        reused = self._exchange
        try:
            if reused is not None and not reused.closed:
                try:
                    return await reused.send(request)
                except ConnectionError:
                    # A server may close an idle connection just as it is used; that is no failed attempt.
                    if reused.answering:
                        raise
            return await (await self._open()).send(request)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Drop the connection, if there is one."""
        if self._exchange is not None:
            self._exchange.abort()
            self._exchange = None

    async def _open(self) -> _Exchange:
        target = self._target
        _, self._exchange = await asyncio.get_running_loop().create_connection(
            _Exchange, target.host, target.port, ssl=target.tls
        )
        return self._exchange


class _Exchange(asyncio.Protocol):
    """The connection as the event loop sees it, and the callbacks of the parser of answers."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self.closed = False
        self.answering = False
        self._status = 0
        self._answer: asyncio.Future[int] | None = None
        self._parser = httptools.HttpResponseParser(self)

    def send(self, request: bytes) -> asyncio.Future[int]:
        """Write a request; the future is the status, once the whole answer was read."""
        self.answering, self._status = False, 0
        answer = self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return answer

    def abort(self) -> None:
        """Close at once."""
        self.closed = True
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.answering = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(ValueError(f"the answer is not HTTP: {error}"))
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._status:  # an answer may end with the connection, and a status is what was asked for
            self._succeed()
        else:
            self._fail(exc if isinstance(exc, OSError) else ConnectionResetError("the connection was closed"))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        self._status = status if status >= _FINAL else 0  # after an interim answer the real one follows

    def on_message_complete(self) -> None:
        if self._status:
            if not self._parser.should_keep_alive():
                self.abort()
            self._succeed()

    def _succeed(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(self._status)

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
