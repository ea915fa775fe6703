"""Running the queue's scripts on a server that may restart meanwhile."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, cast

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as NotConnected
from redis.exceptions import TimeoutError as TookTooLong

from cio_pipelines.messaging.queue.errors import QueueError, QueueUnavailable

CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 15.0
"""For a script with very many messages on a busy server."""

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 0.5

_PASSES: Final = (
    *(NotConnected, TookTooLong, BusyLoadingError, ReadOnlyError, MasterDownError, ClusterDownError),
    *(TryAgainError, OSError),
)
"""A server that restarts, or another that takes over from it."""


def _read(name: str) -> str:
    return (Path(__file__).with_name("lua") / f"{name}.lua").read_text()


class Script:
    """Lua that runs as one transaction; the server remembers it by its hash until it restarts."""

    def __init__(self, name: str) -> None:
        self.text = _read("common") + _read(name)
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


class RedisClient:
    """A connection pool and the prefix of all keys.

    A script whose answer was lost is run again with the same arguments: scripts recognise what they did by
    the token among them, or change nothing by doing it twice.
    """

    def __init__(self, url: str, prefix: str) -> None:
        """Raises QueueError when the URL cannot be read; connects on first use."""
        self._prefix = "{" + prefix + "}"
        try:
            self._redis = Redis.from_url(  # pyright: ignore[reportUnknownMemberType]
                url,
                socket_timeout=ANSWER_SECONDS,
                socket_connect_timeout=CONNECT_SECONDS,
                retry=Retry(NoBackoff(), 0),  # what is tried again is decided here
                client_name="cio-queue",
            )
        except (ValueError, TypeError, AttributeError):
            # its message would quote the URL
            raise QueueError(
                "The URL of the Redis queue cannot be read.",
                "Give redis://host:6379/0 or rediss://user:password@host:6379/0; escape signs of a password.",
            ) from None
        options = self._redis.connection_pool.connection_kwargs
        self.where: str = f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"

    async def close(self) -> None:
        """Close all connections."""
        await self._redis.aclose()

    async def run(self, script: Script, *arguments: str | bytes | float, patience: float) -> Any:
        """What a script returns. For `patience` seconds a server that is away is tried again.

        Raises QueueUnavailable.
        """
        return await self._patiently(lambda: self._evaluate(script, arguments), patience)

    async def command(self, *words: str, patience: float) -> Any:
        """What a command answers that may be given twice. Raises QueueUnavailable."""
        return await self._patiently(lambda: self._execute(*words), patience)

    async def version(self, ours: str, patience: float) -> str:
        """The layout of what is there; ours when nothing is. Raises QueueUnavailable."""
        key = f"{self._prefix}:version"
        await self.command("SET", key, ours, "NX", patience=patience)
        found: bytes | None = await self.command("GET", key, patience=patience)
        return found.decode() if found else ours

    async def setting(self, name: str, patience: float) -> str:
        """A setting of the server; '' when it does not tell, as hosted ones may. Raises QueueUnavailable."""

        async def ask() -> str:
            try:
                get = cast(
                    "Callable[[str], Awaitable[dict[str | bytes, str | bytes]]]", self._redis.config_get
                )  # pyright: ignore[reportUnknownMemberType]
                answer = await get(name)
            except (ResponseError, NoPermissionError):
                return ""
            return {_text(key): _text(value) for key, value in answer.items()}.get(name, "")

        return await self._patiently(ask, patience)

    async def _patiently(self, attempt: Callable[[], Awaitable[Any]], patience: float) -> Any:
        end = time.monotonic() + patience
        pause = _FIRST_PAUSE
        while True:
            try:
                return await attempt()
            except AuthenticationError:
                raise QueueUnavailable(
                    f"Redis at {self.where} refuses the user or password of the queue.",
                    "Correct QUEUE_URL.",
                ) from None
            except _PASSES as error:
                if time.monotonic() + pause > end:
                    raise QueueUnavailable(
                        f"Redis at {self.where} did not answer for {patience:g} seconds"
                        f" ({type(error).__name__}).",
                        "See whether it runs, and whether QUEUE_URL names it.",
                    ) from None
            except OutOfMemoryError:
                raise QueueUnavailable(
                    f"Redis at {self.where} has no memory for more messages.",
                    "Start more workers (cio worker), or raise its maxmemory.",
                ) from None
            except RedisError as error:
                # the rest of its message may quote what was sent
                code = str(error).partition(" ")[0] if str(error)[:1].isupper() else ""
                raise QueueUnavailable(
                    f"Redis at {self.where} refused ({type(error).__name__} {code}).".replace(" )", ")"),
                    "See its log; the queue needs scripts (EVALSHA) and an instance that may be written.",
                ) from None
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, 2 * pause)

    async def _evaluate(self, script: Script, arguments: tuple[str | bytes | float, ...]) -> Any:
        try:
            return await self._execute("EVALSHA", script.sha, 1, self._prefix, *arguments)
        except NoScriptError:
            return await self._execute("EVAL", script.text, 1, self._prefix, *arguments)

    async def _execute(self, *words: str | bytes | float) -> Any:
        return cast("Any", await self._redis.execute_command(*words))  # pyright: ignore[reportUnknownMemberType]


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
