"""Files that a call names by their address: fetched from this machine only."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import httpx

from cio_pipelines.sandbox.loopback import is_loopback

_SECONDS = 60.0
_LARGEST = 512_000_000
"""Most bytes of a file; Customer.io takes 10 GB."""


class CannotFetch(Exception):
    """A file cannot be had; the message says why, as Customer.io says it."""


def is_local(url: str) -> bool:
    """Whether `url` is http or https, and names this machine by a loopback address or as localhost."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and host is not None and is_loopback(host)


async def fetch(url: str) -> bytes:
    """The content of a file, unpacked where the server says that it is compressed. Raises CannotFetch.

    No redirect is followed, and no proxy of the environment used: the address was checked, others were not.
    """
    content = bytearray()
    try:
        async with (
            asyncio.timeout(_SECONDS),
            httpx.AsyncClient(trust_env=False, timeout=_SECONDS) as client,
            client.stream("GET", url) as answer,
        ):
            if answer.status_code != 200:
                status = f"{answer.status_code} {answer.reason_phrase}"
                raise CannotFetch(f"failed to download data file, server responded with code {status}")
            async for piece in answer.aiter_bytes():
                content += piece
                if len(content) > _LARGEST:
                    raise CannotFetch(f"data file cannot be longer than {_LARGEST} bytes")
    except (httpx.HTTPError, TimeoutError) as error:
        raise CannotFetch(f"failed to download data file, {type(error).__name__}") from None
    return bytes(content)
