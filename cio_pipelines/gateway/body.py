"""Reading a request's body within limits of size and time."""

from __future__ import annotations

import asyncio

from starlette.types import Message, Receive

from cio_pipelines.gateway.problems import Busy, TooLarge, TooSlow

_CLOSE = {"Connection": "close"}
_AT_ONCE = 16
"""Bodies of the largest size that may be arriving together; what is more is asked to come again."""


class ClientGone(Exception):
    """The client closed the connection before its request was whole."""


class Bodies:
    """Reads bodies of requests.

    Args:
        max_bytes: the largest body that is taken.
        seconds: how long one may take to arrive.
    """

    def __init__(self, max_bytes: int, seconds: float) -> None:
        self.max_bytes = max_bytes
        self._seconds = seconds
        self._arriving_bytes = 0

    async def read(self, receive: Receive, announced: int) -> bytes:
        """The whole body, of which `announced` bytes were announced (0: unknown).

        Raises TooLarge, TooSlow or Busy, and ClientGone. Of a body that is too large nothing is kept, but as
        much again is read: a sender that is cut off in the middle of sending does not see the answer.
        """
        parts: list[bytes] = []
        size, is_too_large, more = 0, announced > self.max_bytes, True
        try:
            async with asyncio.timeout(self._seconds):
                while more and size <= 2 * self.max_bytes:
                    message = await receive()
                    if message["type"] != "http.request":
                        raise ClientGone
                    part: bytes = message.get("body", b"")
                    more = bool(message.get("more_body", False))
                    size += len(part)
                    is_too_large = is_too_large or size > self.max_bytes
                    if is_too_large:
                        self._arriving_bytes -= sum(map(len, parts))
                        parts.clear()
                        continue
                    self._arriving_bytes += len(part)
                    parts.append(part)
                    if self._arriving_bytes > _AT_ONCE * self.max_bytes:
                        raise Busy("Too much is arriving at once.", headers={"Retry-After": "1"})
        except TimeoutError:
            if not is_too_large:
                raise TooSlow("The body did not arrive in time.", headers=_CLOSE) from None
        finally:
            self._arriving_bytes -= sum(map(len, parts))
        if is_too_large:
            raise TooLarge(
                f"The body is larger than {self.max_bytes:,} bytes. Send less at once.", headers=_CLOSE
            )
        return b"".join(parts)


def replayed(body: bytes, receive: Receive) -> Receive:
    """Gives a body that was read once more, and then what comes after it."""
    is_given = False

    async def give() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return give
