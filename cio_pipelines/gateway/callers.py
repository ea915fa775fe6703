"""Who calls: bearer tokens against the file, which is read again when it changes."""

from __future__ import annotations

import hmac
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cio_pipelines.gateway.access import (
    Access,
    AccessError,
    Scope,
    hashed,
    looks_like_a_token,
    read_access,
)

_log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""How often it is seen whether the file has changed: a revoked token works for as long at most."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A client that has shown who it is.

    `name` is the client, whose idempotency keys these are; `credential` is the one token (or identity) that
    the rate is counted for.
    """

    name: str
    credential: str
    scopes: frozenset[Scope]
    rate: float


class Identities(Protocol):
    """Tells whose identity token this is."""

    async def email_of(self, token: str) -> str | None:
        """The verified e-mail address, in lower case; None when the token proves nothing."""
        ...


class Callers:
    """Knows the tokens.

    Args:
        path: the file. It must be valid now; when it stops being so, what it said last holds, which is logged
            and counted.
        identities: verifies what is no token of ours; None when nothing else is taken.
        look_seconds: how often it is seen whether the file has changed.

    Raises AccessError.
    """

    def __init__(
        self,
        path: Path,
        identities: Identities | None = None,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._path = path
        self._identities = identities
        self._look_seconds = look_seconds
        self._version = _version_of(path)
        self._access = read_access(path)
        self._look_again = time.monotonic() + look_seconds
        self._is_valid = True

    @property
    def takes_identities(self) -> bool:
        """Whether anything but tokens of ours is taken."""
        return self._identities is not None

    @property
    def access(self) -> Access:
        """What the file says now."""
        self._reload()
        return self._access

    def is_file_valid(self) -> bool:
        """Whether the file is as it was read last."""
        self._reload()
        return self._is_valid

    async def caller(self, credential: str) -> Caller | None:
        """Whose bearer token this is; None when nobody's."""
        access = self.access
        if looks_like_a_token(credential):
            digest = hashed(credential)
            # every token is compared, each in the same time, so that nothing is learnt from how long it took
            found = [token for token in access.tokens if hmac.compare_digest(token.sha256, digest)]
            if not found:
                return None
            token = found[0]
            return Caller(f"token:{token.name}", token.sha256, frozenset(token.scopes), token.rate)
        if self._identities is None or not access.google:
            return None
        email = await self._identities.email_of(credential)
        for identity in access.google:
            if identity.email == email:
                name = f"google:{identity.email}"
                return Caller(name, name, frozenset(identity.scopes), identity.rate)
        return None

    def _reload(self) -> None:
        now = time.monotonic()
        if now < self._look_again:
            return
        self._look_again = now + self._look_seconds
        version = _version_of(self._path)
        if version == self._version:
            return
        self._version = version
        try:
            self._access = read_access(self._path)
        except AccessError as error:
            self._is_valid = False
            reason = f"{error} What it said before holds. Correct it, or make it anew with cio tokens."
            _log.error("the file of tokens is not read", extra={"fields": {"reason": reason}})
            return
        self._is_valid = True
        fields = {"tokens": len(self._access.tokens), "identities": len(self._access.google)}
        _log.info("the file of tokens was read again", extra={"fields": fields})


def _version_of(path: Path) -> tuple[int, int, int] | None:
    """Changes with the file; None when there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
