"""`cio serve`: take what Customer.io reports, and what applications want to tell it."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Annotated

import typer

from cio_pipelines.cli.logs import log_to_standard_error
from cio_pipelines.cli.tokens import tokens_path
from cio_pipelines.secret_files import watched
from cio_pipelines.settings import SERVICE_PORT, Settings, SettingsError, load_settings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from cio_pipelines.gateway.callers import Callers
    from cio_pipelines.gateway.part import Gateway
    from cio_pipelines.webhooks.authentication import KeyRing

_log = logging.getLogger(__name__)


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 in a container.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="PORT", help="0 takes a free one.")] = SERVICE_PORT,
) -> None:
    """Receive Customer.io's reporting webhooks, and messages for the queue, until SIGTERM or Ctrl-C."""
    # other commands need not wait for FastAPI
    from cio_pipelines import serving
    from cio_pipelines.webhooks.authentication import KeyRing
    from cio_pipelines.webhooks.service import WEBHOOK_PATH

    settings = load_settings()
    callers = _callers(settings)
    ring = KeyRing(settings.webhook_signing_keys())
    app = _application(settings, callers, ring)
    try:
        listener = serving.listen(host, port)
    except (OSError, OverflowError) as error:
        # Python adds the address, which is said already
        reason, _, _ = str(getattr(error, "strerror", None) or error).partition(" (while attempting")
        raise SettingsError(
            f"Cannot listen on {host} port {port} ({reason}). Stop what uses that port, or give another "
            "address or --port (0 takes any free one)."
        ) from None
    log_to_standard_error()
    shown = f"[{host}]" if ":" in host else host
    fields = {
        "url": f"http://{shown}:{listener.getsockname()[1]}{WEBHOOK_PATH}",
        "landing_zone": settings.landing_url,
        "signing_keys": len(settings.webhook_signing_keys()),
        "gateway": _gateway_told(callers),
    }
    with watched(os.environ, settings.cio_secret_look_seconds, lambda: _change_keys(ring)):
        serving.serve(app, listener, lambda: _log.info("receiving", extra={"fields": fields}))
    _log.info("stopped")


def _change_keys(ring: KeyRing) -> None:
    """Take the signing keys that are set now; those of before hold when these cannot be used."""
    try:
        keys = load_settings().webhook_signing_keys()
    except SettingsError as error:
        fields = {"reason": f"{error} The keys of before hold."}
        _log.error("signing keys are not taken", extra={"fields": fields})
        return
    ring.replace(keys)
    _log.info("signing keys were read again", extra={"fields": {"signing_keys": len(keys)}})


def _callers(settings: Settings) -> Callers | None:
    """Who may use the gateway; None when it is off. Raises SettingsError."""
    from cio_pipelines.gateway.access import AccessError
    from cio_pipelines.gateway.callers import Callers
    from cio_pipelines.gateway.google import GoogleIdentities

    path = tokens_path(settings)
    if settings.cio_gateway_tokens is None and not path.exists():
        return None
    audience = settings.cio_gateway_google_audience
    try:
        return Callers(path, GoogleIdentities(audience) if audience is not None else None)
    except AccessError as error:
        raise SettingsError(
            f"CIO_GATEWAY_TOKENS is not valid: {error} Make it with: cio tokens create NAME --scope identify"
        ) from None


def _gateway_told(callers: Callers | None) -> str:
    if callers is None:
        return "off: there are no tokens (cio tokens create)"
    access = callers.access
    told = f"on, {_counted(len(access.tokens), 'token')}"
    return (
        f"{told}, {_counted(len(access.google), 'account')} of Google" if callers.takes_identities else told
    )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _gateway(settings: Settings, callers: Callers) -> Gateway:
    """Raises SettingsError when the queue's URL cannot be understood."""
    from cio_pipelines.gateway.part import Gateway, GatewayLimits
    from cio_pipelines.messaging.queue.errors import QueueError
    from cio_pipelines.messaging_setup import queued_messages

    try:
        queued_messages(settings)
    except QueueError as error:
        raise SettingsError(f"QUEUE_URL is not valid: {error}") from None
    limits = GatewayLimits(
        max_bytes=settings.cio_gateway_max_bytes, keep_seconds=settings.cio_gateway_keep_hours * 3_600
    )
    return Gateway(callers, lambda: queued_messages(settings), limits)


def _application(settings: Settings, callers: Callers | None, keys: KeyRing) -> FastAPI:
    """What the settings describe. Raises SettingsError, and LandingUnavailable when nothing could be kept."""
    from cio_pipelines.webhooks.bus import EventBus
    from cio_pipelines.webhooks.commit import CommitLimits
    from cio_pipelines.webhooks.handlers import HandlersError, register_handlers
    from cio_pipelines.webhooks.service import ServiceLimits, create_app

    zone = settings.landing_zone()
    zone.check_writable()
    bus = EventBus()
    names = [name.strip() for name in settings.cio_webhook_handlers.split(",") if name.strip()]
    try:
        register_handlers(names, bus)
    except HandlersError as error:
        raise SettingsError(f"CIO_WEBHOOK_HANDLERS is not valid: {error}") from None
    limits = ServiceLimits(
        max_bytes=settings.cio_webhook_max_bytes,
        tolerance_seconds=settings.cio_webhook_tolerance_seconds,
        commit=CommitLimits(
            window_seconds=settings.cio_webhook_commit_seconds,
            # the largest body must fit beside others, or it would be refused for ever
            waiting_bytes=max(CommitLimits().waiting_bytes, 4 * settings.cio_webhook_max_bytes),
        ),
    )
    parts = [] if callers is None else [_gateway(settings, callers)]
    return create_app(zone=zone, keys=keys, bus=bus, limits=limits, parts=parts)
