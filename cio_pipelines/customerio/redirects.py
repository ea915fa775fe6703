"""Where a client's credentials may go: its own origin and, for Customer.io's hosts, the other region's."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Self

import httpx

from cio_pipelines.customerio import faults
from cio_pipelines.customerio.errors import ConfigurationError
from cio_pipelines.customerio.regions import KNOWN_ORIGINS

REDIRECTS = frozenset({301, 302, 307, 308})
"""Followed with method and body kept. Customer.io sends an EU workspace that asks the US host this way."""
_PERMANENT = frozenset({301, 308})
_HOST = re.compile(rb"[A-Za-z0-9._:-]+")
_DEFAULT_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port of a base URL, and the path before every endpoint's."""

    scheme: str
    host: str
    port: int
    prefix: str = ""

    @classmethod
    def parse(cls, base_url: str) -> Self:
        """Raises ConfigurationError unless it is an http(s) URL without credentials, query and fragment."""
        try:
            url = httpx.URL(base_url)
        except (httpx.InvalidURL, TypeError):
            url = httpx.URL("")
        if not _usable(url) or url.query or url.fragment:
            raise ConfigurationError(
                "the base URL must look like https://host[:port][/path], without credentials",
                field="base_url",
            )
        return cls.of(url, url.path.rstrip("/"))

    @classmethod
    def of(cls, url: httpx.URL, prefix: str = "") -> Self:
        """The origin of an absolute http(s) URL."""
        return cls(url.scheme, url.raw_host.decode("ascii"), url.port or _DEFAULT_PORTS[url.scheme], prefix)

    def url(self, path: str) -> httpx.URL:
        """Full URL of an endpoint."""
        return httpx.URL(f"{self}{path}")

    @property
    def is_loopback(self) -> bool:
        """Whether this is the machine itself."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost" or self.host.endswith(".localhost")

    @property
    def is_known(self) -> bool:
        """Whether this is one of Customer.io's documented hosts."""
        return Origin(self.scheme, self.host, self.port) in _KNOWN

    def may_send_to(self, target: Origin) -> bool:
        """Whether credentials meant for this origin may go to `target`."""
        if self.is_known:
            return target.is_known
        if target.host != self.host:
            return False
        upgrade = (self.scheme, self.port, target.scheme, target.port) == ("http", 80, "https", 443)
        return upgrade or (target.scheme, target.port) == (self.scheme, self.port)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.prefix}"


def _usable(url: httpx.URL) -> bool:
    return url.scheme in _DEFAULT_PORTS and not url.userinfo and bool(_HOST.fullmatch(url.raw_host))


_KNOWN = frozenset(Origin.parse(url) for url in KNOWN_ORIGINS)


def redirect_target(
    origin: Origin, url: httpx.URL, response: httpx.Response
) -> tuple[httpx.URL, Origin | None]:
    """The next address and, when the whole API moved for good to another host, its new origin.

    Raises UnexpectedResponse for a redirect that leads nowhere or to a foreign host.
    """
    status = response.status_code
    try:
        target = url.join(response.headers["Location"])
    except (KeyError, httpx.InvalidURL):
        target = httpx.URL("")
    if not _usable(target):
        raise faults.unexpected(status, "a redirect without a usable Location")
    there = Origin.of(target)
    if not origin.may_send_to(there):
        raise faults.unexpected(
            status,
            "a redirect to a foreign host was not followed, so that credentials stay here",
            "Check the base URL and the region; a proxy or login page may be answering in between.",
        )
    moved = status in _PERMANENT and target.path == url.path and target.query == url.query
    if not moved:
        return target, None
    return target, Origin(there.scheme, there.host, there.port, origin.prefix)
