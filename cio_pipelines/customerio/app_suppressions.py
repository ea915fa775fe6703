"""Addresses to which the provider of the workspace's e-mail does not deliver, over the App API.

They have nothing to do with people suppressed in Customer.io: neither call touches the other's list.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import Literal

from cio_pipelines.customerio import checks
from cio_pipelines.customerio.app_calls import AppCalls, Call, segment_of
from cio_pipelines.customerio.app_results import SuppressedAddress
from cio_pipelines.customerio.errors import InvalidOperation

SuppressionType = Literal["bounces", "blocks", "spam_reports", "invalid_emails"]
_TYPES = ("bounces", "blocks", "spam_reports", "invalid_emails")
_ADDRESSES_A_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class _Addresses:
    category: str | None = None
    suppressions: tuple[SuppressedAddress, ...] | None = None

    def named(self) -> tuple[SuppressedAddress, ...]:
        return tuple(replace(entry, category=self.category) for entry in self.suppressions or ())


class SuppressionCalls(AppCalls):
    """Calls under /v1/esp."""

    async def suppressed_address(self, email: str) -> tuple[SuppressedAddress, ...]:
        """Whether and why an address is suppressed: nothing when it is not."""
        path = f"/v1/esp/search_suppression/{segment_of(checks.line('email', email))}"
        return (await self._ask(Call("app.suppressed_address", "GET", path), _Addresses)).named()

    async def suppressed_addresses(
        self, type: SuppressionType, domain: str | None = None, limit: int = _ADDRESSES_A_PAGE
    ) -> AsyncGenerator[SuppressedAddress]:
        """All addresses suppressed for a reason, over all pages of `limit` (at most 1,000).

        `domain` is one of the workspace's sending domains: an address can be suppressed for several.
        """
        offset = 0
        while True:
            query = {"limit": limit, "offset": offset, "domain": domain}
            page = await self._ask(Call("app.suppressed_addresses", "GET", _path(type), query), _Addresses)
            addresses = page.named()
            for address in addresses:
                yield address
            if len(addresses) < limit:
                return
            offset += len(addresses)

    async def suppress_address(self, type: SuppressionType, email: str) -> None:
        """Have the provider not deliver to an address any more."""
        path = f"{_path(type)}/{segment_of(checks.line('email', email))}"
        await self._tell(Call("app.suppress_address", "POST", path))

    async def release_address(self, type: SuppressionType, email: str) -> None:
        """Take an address off the provider's list."""
        path = f"{_path(type)}/{segment_of(checks.line('email', email))}"
        await self._tell(Call("app.release_address", "DELETE", path))


def _path(type: SuppressionType) -> str:
    if type not in _TYPES:
        raise InvalidOperation("type", "invalid", f"type is one of {', '.join(_TYPES)}")
    return f"/v1/esp/suppression/{type}"
