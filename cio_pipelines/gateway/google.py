"""Identity tokens that Google signed: whose they are.

The rules are those of OpenID Connect as Google publishes them: RS256 by one of Google's certificates, issuer,
audience, expiry, a verified e-mail address. Checking the signature is google-auth's.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, cast

import httpx
import orjson
from google.auth import exceptions, jwt

from cio_pipelines.gateway.problems import IdentityUnavailable
from cio_pipelines.webhooks.seldom import Seldom

_log = logging.getLogger(__name__)

CERTIFICATES_URL = "https://www.googleapis.com/oauth2/v1/certs"
"""Google's certificates in PEM form by key id."""

_ISSUERS = frozenset({"accounts.google.com", "https://accounts.google.com"})
_FETCH_SECONDS = 5.0
_MOST_BYTES = 100_000
_SHORTEST_SECONDS, _USUAL_SECONDS, _LONGEST_SECONDS = 60.0, 3_600.0, 86_400.0
_STALE_SECONDS = 86_400.0
"""For how long certificates that could not be fetched anew are trusted still."""
_SKEW_SECONDS = 30
_MOST_TOKEN_BYTES = 8_000


class GoogleIdentities:
    """Verifies identity tokens made for one audience.

    Args:
        audience: what the token must be made for: this service's URL, say.
        url: where the certificates are.
        clock: seconds, never going back; for the age of certificates.
    """

    def __init__(
        self, audience: str, url: str = CERTIFICATES_URL, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._audience = audience
        self._url = url
        self._clock = clock
        self._certificates: Mapping[str, str] = {}
        self._fetched_at = self._tried_at = float("-inf")
        self._fresh_until = float("-inf")
        self._fetching = asyncio.Lock()
        self._failures = Seldom()

    async def email_of(self, token: str) -> str | None:
        """The verified e-mail address, in lower case; None when the token proves nothing.

        Raises IdentityUnavailable when there are no certificates to verify it with.
        """
        if len(token) > _MOST_TOKEN_BYTES or token.count(".") != 2:
            return None
        key_id = _key_id(token)
        if key_id is None:
            return None
        certificate = (await self._certificates_for(key_id)).get(key_id)
        if certificate is None:
            return None
        try:
            claims = cast(
                "Mapping[str, Any]",
                jwt.decode(  # pyright: ignore[reportUnknownMemberType]
                    token,
                    certs={key_id: certificate},
                    audience=self._audience,
                    clock_skew_in_seconds=_SKEW_SECONDS,
                ),
            )
        except (exceptions.GoogleAuthError, ValueError):
            return None
        email = claims.get("email")
        if claims.get("iss") not in _ISSUERS or claims.get("email_verified") is not True:
            return None
        return email.lower() if isinstance(email, str) else None

    async def _certificates_for(self, key_id: str) -> Mapping[str, str]:
        """Certificates by key id, fetched when they are old; and, now and then, when the key is not known."""
        async with self._fetching:
            now = self._clock()
            is_old = now >= self._fresh_until
            may_try = now - self._tried_at >= (_SHORTEST_SECONDS if self._certificates else _FETCH_SECONDS)
            if (is_old or key_id not in self._certificates) and may_try:
                self._tried_at = now
                await self._fetch(now)
            if now - self._fetched_at > _STALE_SECONDS:
                raise IdentityUnavailable(
                    "Google's certificates cannot be fetched, so that the token cannot be verified now.",
                    headers={"Retry-After": "5"},
                )
            return self._certificates

    async def _fetch(self, now: float) -> None:
        try:
            certificates, lifetime = await asyncio.wait_for(_download(self._url), _FETCH_SECONDS)
        except (httpx.HTTPError, ValueError, TimeoutError) as error:
            if count := self._failures.happened():
                fields = {"error": type(error).__name__, "times": count}
                _log.warning("Google's certificates cannot be fetched", extra={"fields": fields})
            return
        self._certificates = certificates
        self._fetched_at = now
        self._fresh_until = now + lifetime


async def _download(url: str) -> tuple[Mapping[str, str], float]:
    """Certificates, and the seconds that they are fresh for. Raises httpx.HTTPError or ValueError."""
    async with (
        httpx.AsyncClient(timeout=_FETCH_SECONDS) as client,
        client.stream("GET", url) as response,
    ):
        response.raise_for_status()
        text = bytearray()
        async for part in response.aiter_bytes():
            text += part
            if len(text) > _MOST_BYTES:
                raise ValueError("the certificates are too large")
    found: object = orjson.loads(text)
    if not isinstance(found, dict):
        raise ValueError("the certificates are no JSON object")  # noqa: TRY004  # the sender's fault
    certificates = {
        name: value
        for name, value in cast("dict[str, object]", found).items()
        if isinstance(value, str) and "CERTIFICATE" in value
    }
    if not certificates:
        raise ValueError("there are no certificates")
    return certificates, _lifetime(response.headers.get("cache-control", ""))


def _lifetime(cache_control: str) -> float:
    age = re.search(r"max-age=(\d{1,9})", cache_control, re.ASCII)
    seconds = float(age[1]) if age else _USUAL_SECONDS
    return min(max(seconds, _SHORTEST_SECONDS), _LONGEST_SECONDS)


def _key_id(token: str) -> str | None:
    """Which key a token says that it is signed with; None when it is no token of Google's form."""
    try:
        header: object = jwt.decode_header(token)  # pyright: ignore[reportUnknownMemberType]
    except (exceptions.GoogleAuthError, ValueError):
        return None
    if not isinstance(header, dict):
        return None
    fields = cast("dict[str, object]", header)
    key_id = fields.get("kid")
    return key_id if fields.get("alg") == "RS256" and isinstance(key_id, str) else None
