"""Where a Customer.io workspace lives, and the hosts that answer for it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Region(StrEnum):
    """Data centre of a workspace. Hosts: Customer.io's Track and App API references (2026)."""

    US = "us"
    EU = "eu"

    @property
    def track_url(self) -> str:
        """Base URL of the Track API, without a trailing slash."""
        return "https://track.customer.io" if self is Region.US else "https://track-eu.customer.io"

    @property
    def app_url(self) -> str:
        """Base URL of the App API, without a trailing slash; its paths start with `/v1`."""
        return "https://api.customer.io" if self is Region.US else "https://api-eu.customer.io"


KNOWN_ORIGINS = frozenset(url for region in Region for url in (region.track_url, region.app_url))
"""The only places to which credentials for Customer.io's own hosts may be redirected."""


@dataclass(frozen=True, slots=True)
class AccountRegion:
    """What `GET /api/v1/accounts/region` says: the workspace's own Track URL, region and number."""

    url: str
    region: Region
    environment_id: int
