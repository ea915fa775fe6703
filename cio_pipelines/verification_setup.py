"""Verifiers of runs as the settings describe them."""

from __future__ import annotations

from collections.abc import Callable

from cio_pipelines.customerio import AppClient, ConfigurationError, RetryPolicy
from cio_pipelines.messaging_setup import app_client
from cio_pipelines.settings import Settings, SettingsError
from cio_pipelines.sync.key import SyncKey
from cio_pipelines.sync.specs import EVENTS, PEOPLE
from cio_pipelines.sync.witness import compare_with_export
from cio_pipelines.sync.witness_reports import WitnessReport
from cio_pipelines.verification.engine import Verifier
from cio_pipelines.verification.reports import NotVerifiable, VerificationSettings
from cio_pipelines.warehouse import Warehouse

_REQUESTS, _SANDBOX_REQUESTS = 10, 100
"""Requests a second: Customer.io's documented limit, which the sandbox keeps only when it is told to."""

_SOON = RetryPolicy(max_attempts=3, deadline=30.0)
"""A verification gives up soon: its verdict then says so, and no sync waits for it."""


def people_verifier(settings: Settings, warehouse: Warehouse | None = None) -> Verifier:
    """The verifier of people runs and erasures. Raises SettingsError or WarehouseUnavailable."""
    opened = warehouse or settings.warehouse()

    def witness() -> WitnessReport:
        return compare_with_export(
            opened, settings.workspace, PEOPLE.name, workspace_id=settings.customerio_workspace_id
        )

    return _verifier(settings, opened, SyncKey(settings.workspace, PEOPLE.name), witness)


def event_verifier(settings: Settings, warehouse: Warehouse | None = None) -> Verifier:
    """The verifier of event runs. Raises SettingsError or WarehouseUnavailable."""
    key = SyncKey(settings.workspace, EVENTS.name, subject="event_id")
    return _verifier(settings, warehouse or settings.warehouse(), key)


def _verifier(
    settings: Settings,
    warehouse: Warehouse,
    key: SyncKey,
    witness: Callable[[], WitnessReport] | None = None,
) -> Verifier:
    chosen = VerificationSettings(
        sample=settings.cio_read_back_sample,
        events=settings.cio_read_back_events,
        wait_seconds=settings.cio_read_back_wait_seconds,
        pages=settings.cio_activity_pages,
        rule=settings.cio_unapplied,
        max_attempts=settings.cio_max_attempts,
    )
    return Verifier(warehouse, key, chosen, lambda: _client(settings), witness)


def _client(settings: Settings) -> AppClient:
    """A client of the workspace that was synced. Raises NotVerifiable."""
    if not settings.is_sandboxed:
        if settings.customerio_app_api_key is None:
            raise NotVerifiable(
                "CUSTOMERIO_APP_API_KEY is not set: set it to an App API key of the workspace, by which "
                "people can be read back."
            )
        if settings.track_url is not None and settings.customerio_app_url is None:
            raise NotVerifiable(
                "CUSTOMERIO_TRACK_URL names another host than Customer.io's, and CUSTOMERIO_APP_URL none: "
                "set it to where the App API of the same workspace is."
            )
    try:
        rate = _SANDBOX_REQUESTS if settings.is_sandboxed else _REQUESTS
        return app_client(settings, _SOON, requests_per_second=rate)
    except (SettingsError, ConfigurationError) as error:
        raise NotVerifiable(str(error)) from error
