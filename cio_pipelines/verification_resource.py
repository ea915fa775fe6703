"""Verifiers as a resource of assets, made from the environment when a step needs it. It has no fields on
purpose: what a resource is configured with shows in Dagster's UI.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import dagster as dg

from cio_pipelines.billing import Context, billed_warehouse
from cio_pipelines.resources import telling_failures
from cio_pipelines.settings import load_settings
from cio_pipelines.verification.engine import Verifier
from cio_pipelines.verification_setup import event_verifier, people_verifier


class VerificationResource(dg.ConfigurableResource[None]):
    """Verifiers of the workspace that the environment names."""

    @contextmanager
    def people(self, context: Context) -> Generator[Verifier]:
        """Of people runs and erasures; what it raises becomes a failure that says what to do."""
        settings = load_settings()
        with telling_failures(), billed_warehouse(settings, context) as warehouse:
            yield people_verifier(settings, warehouse)

    @contextmanager
    def events(self, context: Context) -> Generator[Verifier]:
        """Of event runs."""
        settings = load_settings()
        with telling_failures(), billed_warehouse(settings, context) as warehouse:
            yield event_verifier(settings, warehouse)
