"""Where events are sent, and how faithfully or badly."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from cio_pipelines.sandbox.connection import Target

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class WebhookSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """As the options of the sandbox whose names begin with `webhook_`, where they are explained.

    Reading one with `msgspec.convert` raises msgspec.ValidationError for a value that cannot be.
    """

    url: str | None = None
    signing_key: Annotated[str, msgspec.Meta(min_length=1)] = "sandbox-signing-key"
    streams: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 1
    timeout: Annotated[float, msgspec.Meta(gt=0)] = 4.0
    clock: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    duplicates: Share = 0.0
    bad_signatures: Share = 0.0
    resign: bool = True

    def __post_init__(self) -> None:
        if self.url is not None:
            Target(self.url)

    def changed(self, changes: dict[str, Any]) -> WebhookSettings:
        """A copy with other values. Raises msgspec.ValidationError."""
        return msgspec.convert({**msgspec.structs.asdict(self), **changes}, WebhookSettings)

    def shown(self) -> dict[str, Any]:
        """Everything but the key."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if name != "signing_key"}
