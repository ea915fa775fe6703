"""Broadcasts as a resource of assets, made from the environment when a step needs it. It has no fields on
purpose: what a resource is configured with shows in Dagster's UI.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import dagster as dg

from cio_pipelines import broadcasts_metadata
from cio_pipelines.billing import Context, billed_warehouse
from cio_pipelines.broadcasts.engine import Broadcast
from cio_pipelines.broadcasts.errors import BroadcastError, TriggerRefused
from cio_pipelines.broadcasts.specs import BroadcastSpec
from cio_pipelines.customerio import AppClient
from cio_pipelines.messaging_setup import app_client
from cio_pipelines.resources import telling_failures
from cio_pipelines.settings import SettingsError, load_settings


class BroadcastsResource(dg.ConfigurableResource[None]):
    """The broadcasts of the workspace that the environment names."""

    @contextmanager
    def broadcast(self, context: Context, spec: BroadcastSpec) -> Generator[Broadcast]:
        """A broadcast; what it raises becomes a failure that says what to do and is not retried."""
        with telling_failures():
            settings = load_settings()
            if spec.sandbox_only and settings.track_url is None:
                raise SettingsError(
                    f"The broadcast {spec.name} is an example for the sandbox, and number "
                    f"{spec.broadcast_id} in your workspace may be anything: make a BroadcastSpec of your "
                    "own in cio_pipelines/broadcasts/specs.py."
                )
            with billed_warehouse(settings, context) as warehouse:
                try:
                    with Broadcast(warehouse, settings.workspace, spec, self.client) as broadcast:
                        yield broadcast
                except BroadcastError as error:
                    reasons = error.reasons if isinstance(error, TriggerRefused) else {}
                    raise dg.Failure(
                        description=str(error),
                        metadata={"reasons": broadcasts_metadata.reasons_table(reasons)} if reasons else None,
                        allow_retries=False,
                    ) from error

    def client(self) -> AppClient:
        """A client of the workspace's App API. Raises SettingsError or ConfigurationError."""
        return app_client(load_settings())
