"""How a sandbox is set up, and the error it raises when that cannot work."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from cio_pipelines.customerio.limits import BATCH_BODY_BYTES, OPERATION_BYTES
from cio_pipelines.sandbox.courses import Courses, Outcomes
from cio_pipelines.sandbox.shapes import Channel
from cio_pipelines.sandbox.webhook_settings import WebhookSettings

_WEBHOOK = "webhook_"


class SandboxError(Exception):
    """The sandbox cannot start or cannot be reached. The message names the thing and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """Settings of one sandbox, which stands for one workspace. Raises SandboxError for what cannot work.

    `port` 0 takes a free port. On whatever `host` it listens, its page and its control endpoints answer this
    machine only. `database` is a SQLite file that keeps the state over a restart; None keeps it
    in memory. `discard` validates and counts only, and keeps no people or messages. `ca_file` is where the
    certificate authority of a TLS sandbox is written (PEM). `faults` are as `faults.Fault` reads them.

    Where Customer.io's documents are silent there is a switch: `max_item_bytes` and `max_body_bytes` are
    the wider reading of "32 kb" and "500 kb" (multiples of 1,024); `oversize_status` answers a larger body;
    `accept_gzip` takes compressed bodies; `shuffle` applies the operations of a batch in random order;
    `apply_delay` (seconds) is the time from acceptance to effect; `identifier_conflict` says whether an
    update that would take another person's id or e-mail still applies its other attributes;
    `email_change_by_id` lets a person addressed by id get another e-mail; `app_requests_per_second` makes
    the App API answer 429 beyond that rate (its documented limit is 10), `transactional_per_second` does so
    for `/v1/send/…` (100) and `broadcast_seconds`, the time between two triggers of broadcasts (10), for
    those, of which then no more than 5 of a broadcast may wait; `wrap_customers` puts each
    profile of `POST /v1/customers/attributes` under a member `customer`, as the specification of 2022 has it
    and a connector in use does not.

    `transactional_messages` and `broadcasts` name, with commas between them, the only ones that exist (ids,
    or trigger names); without them any does. `unknown_person` says what becomes of a message whose
    identifiers nobody has: it is sent and belongs to nobody, a person is made, or it is refused.
    `missing_recipients` says whether a broadcast to people of whom some do not exist is refused with 422, or
    accepted, and fails later. With `message_outcomes` `delivered`, what is sent arrives and nothing else
    happens to it; `realistic` draws by `outcomes.Mix`. It happens within `message_seconds`. Triggered
    broadcasts go by `broadcast_channel`, and wait for `broadcast_delay` seconds until they are processed.

    What happens here is reported to `webhook_url`; without one, events are kept and nothing is sent. They are
    signed with `webhook_signing_key`. With one of `webhook_streams`, as at Customer.io, a failing event holds
    back all others; with more, a person's events still stay in order. `webhook_timeout` (seconds) is how
    long an answer may take. Waits between attempts are divided by `webhook_clock`: 3600 makes the hour after
    a refusal one second. Not documented is whether a repeated attempt has a fresh timestamp and signature:
    `webhook_resign`. `webhook_duplicates` is the share of events that are sent once more after they were
    acknowledged; `webhook_bad_signatures` that of requests made besides, with an event id of their own and
    a wrong signature.
    """

    host: str = "127.0.0.1"
    port: int = 0
    site_id: str = "sandbox-site"
    track_api_key: str = field(default="sandbox-key", repr=False)
    app_api_key: str = field(default="sandbox-app-key", repr=False)
    region: Literal["us", "eu"] = "us"
    environment_id: int = 1
    workspace_kind: Literal["email_or_id", "id"] = "email_or_id"
    database: Path | None = None
    discard: bool = False
    tls: bool = False
    ca_file: Path | None = None
    apply_delay: float = 0.0
    shuffle: bool = False
    accept_gzip: bool = False
    identifier_conflict: Literal["apply_others", "drop"] = "apply_others"
    email_change_by_id: bool = True
    oversize_status: Literal[400, 413] = 400
    max_item_bytes: int = OPERATION_BYTES // 1000 * 1024
    max_body_bytes: int = BATCH_BODY_BYTES // 1000 * 1024
    app_requests_per_second: float | None = None
    transactional_per_second: float | None = None
    broadcast_seconds: float | None = None
    wrap_customers: bool = False
    transactional_messages: str | None = None
    broadcasts: str | None = None
    unknown_person: Literal["unattached", "create", "refuse"] = "unattached"
    missing_recipients: Literal["refuse", "fail"] = "refuse"
    message_outcomes: Outcomes = "delivered"
    message_seconds: float = 0.0
    broadcast_channel: Channel = "email"
    broadcast_delay: float = 0.0
    log_limit: int = 1_000_000
    """Most operations, and most activities, that are remembered; the oldest are forgotten first."""
    faults: tuple[Mapping[str, Any], ...] = ()
    webhook_url: str | None = None
    webhook_signing_key: str = field(default="sandbox-signing-key", repr=False)
    webhook_streams: int = 1
    webhook_timeout: float = 4.0
    webhook_clock: float = 1.0
    webhook_resign: bool = True
    webhook_duplicates: float = 0.0
    webhook_bad_signatures: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise SandboxError(
                f"port {self.port} is not between 0 and 65535: give another, or 0 for a free one"
            )
        if ":" in self.site_id or not self.site_id:
            raise SandboxError("site_id must be some text without a colon")
        if not self.track_api_key or not self.app_api_key:
            raise SandboxError("track_api_key and app_api_key must not be empty")
        if self.region not in ("us", "eu"):
            raise SandboxError(f"region {self.region!r} is neither us nor eu")
        if self.workspace_kind not in ("email_or_id", "id"):
            raise SandboxError(f"workspace_kind {self.workspace_kind!r} is neither email_or_id nor id")
        if self.discard and self.database is not None:
            raise SandboxError(
                "discard keeps nothing, so it cannot have a database: leave one of the two out"
            )
        if self.apply_delay < 0:
            raise SandboxError("apply_delay must not be negative")
        if self.log_limit < 1 or self.max_item_bytes < 1 or self.max_body_bytes < 1:
            raise SandboxError("log_limit, max_item_bytes and max_body_bytes must be at least 1")
        for name in ("app_requests_per_second", "transactional_per_second", "broadcast_seconds"):
            if getattr(self, name) is not None and getattr(self, name) <= 0:
                raise SandboxError(f"{name} must be above 0")
        self._check_choices()
        self.webhook()
        self.courses()

    def _check_choices(self) -> None:
        hints = typing.get_type_hints(SandboxOptions)
        for name in ("unknown_person", "missing_recipients", "message_outcomes", "broadcast_channel"):
            choices = typing.get_args(hints[name])
            if getattr(self, name) not in choices:
                raise SandboxError(
                    f"{name} {getattr(self, name)!r} is none of {', '.join(map(str, choices))}"
                )

    def courses(self) -> Courses:
        """How messages fare, to begin with. Raises SandboxError, as making the options does."""
        try:
            return Courses(self.message_outcomes, self.message_seconds, self.broadcast_delay)
        except msgspec.ValidationError as error:
            raise SandboxError(
                f"message_seconds or broadcast_delay is not a time that can be: {error}"
            ) from None

    def webhook(self) -> WebhookSettings:
        """The settings of the webhook by themselves. Raises SandboxError, as making the options does."""
        settings = {name: getattr(self, f"{_WEBHOOK}{name}") for name in WebhookSettings.__struct_fields__}
        try:
            return msgspec.convert(settings, WebhookSettings)
        except msgspec.ValidationError as error:
            raise SandboxError(f"a setting of the webhook cannot work: {error}") from None
