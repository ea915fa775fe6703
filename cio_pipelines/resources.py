"""What assets get from outside, made from the environment when a step needs it.

Resources have no fields on purpose: what a resource is configured with shows in Dagster's UI.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import dagster as dg

from cio_pipelines.billing import Context, billed_warehouse, labels_of
from cio_pipelines.customerio import CustomerIOError
from cio_pipelines.exports.audit import ExportAudit
from cio_pipelines.exports.load import ExportLoad
from cio_pipelines.landing import LandingError, LandingZone
from cio_pipelines.letters import Census, census
from cio_pipelines.messaging.queue.errors import QueueError
from cio_pipelines.progress import listener
from cio_pipelines.settings import Settings, SettingsError, load_settings
from cio_pipelines.sync.engine import PeopleSync
from cio_pipelines.sync.errors import SyncError
from cio_pipelines.sync.events.engine import EventSync
from cio_pipelines.sync.push import Progress
from cio_pipelines.sync.specs import PEOPLE
from cio_pipelines.sync.witness import compare_with_export
from cio_pipelines.sync.witness_reports import WitnessReport
from cio_pipelines.warehouse import WarehouseError
from cio_pipelines.webhooks.audit import EventAudit
from cio_pipelines.webhooks.load import EventLoad


@contextmanager
def telling_failures() -> Generator[None]:
    """Turns the library's errors into failures that say what to do and are not retried."""
    try:
        yield
    except (SettingsError, SyncError, WarehouseError, LandingError, QueueError, CustomerIOError) as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error


class PeopleSyncResource(dg.ConfigurableResource[None]):
    """The people sync of the workspace that the environment names."""

    @property
    def settings(self) -> Settings:
        """The settings. Raises SettingsError."""
        return load_settings()

    @contextmanager
    def engine(self, context: Context) -> Generator[PeopleSync]:
        """The engine; what it raises becomes a failure that says what to do and is not retried."""
        with telling_failures(), billed_warehouse(self.settings, context) as warehouse:
            yield self.settings.people_sync(warehouse)

    @property
    def progress(self) -> Progress | None:
        """Who wants to know how a push goes on, if anybody in this process does."""
        return listener()


class EventSyncResource(dg.ConfigurableResource[None]):
    """The event sync of the workspace that the environment names."""

    @property
    def settings(self) -> Settings:
        """The settings. Raises SettingsError."""
        return load_settings()

    @contextmanager
    def engine(self, context: Context) -> Generator[EventSync]:
        """The engine; what it raises becomes a failure that says what to do and is not retried."""
        with telling_failures(), billed_warehouse(self.settings, context) as warehouse:
            yield self.settings.event_sync(warehouse)

    @property
    def progress(self) -> Progress | None:
        """Who wants to know how a push goes on, if anybody in this process does."""
        return listener()


class WebhooksResource(dg.ConfigurableResource[None]):
    """The landing zone that the environment names, and the load of its events."""

    @property
    def settings(self) -> Settings:
        """The settings. Raises SettingsError."""
        return load_settings()

    def zone(self) -> LandingZone:
        """The landing zone. Raises SettingsError or LandingUnavailable."""
        return self.settings.landing_zone()

    @contextmanager
    def load(self, context: Context) -> Generator[EventLoad]:
        """The load; what it raises becomes a failure that says what to do and is not retried."""
        with telling_failures(), billed_warehouse(self.settings, context) as warehouse:
            yield EventLoad(warehouse, self.zone())

    @contextmanager
    def audit(self, context: Context) -> Generator[EventAudit]:
        """Questions about what was loaded; what they raise becomes such a failure too."""
        with telling_failures():
            yield EventAudit(self.settings.warehouse(labels_of(context)), self.zone())


class ExportsResource(dg.ConfigurableResource[None]):
    """The landing zone of storage exports, their load, and what they testify to."""

    @property
    def settings(self) -> Settings:
        """The settings. Raises SettingsError."""
        return load_settings()

    def zone(self) -> LandingZone:
        """The landing zone. Raises SettingsError or LandingUnavailable."""
        return self.settings.exports_zone()

    @contextmanager
    def load(self, context: Context) -> Generator[ExportLoad]:
        """The load; what it raises becomes a failure that says what to do and is not retried."""
        with telling_failures(), billed_warehouse(self.settings, context) as warehouse:
            yield ExportLoad(warehouse, self.zone())

    @contextmanager
    def audit(self, context: Context) -> Generator[ExportAudit]:
        """Questions about what was loaded; what they raise becomes such a failure too."""
        with telling_failures():
            yield ExportAudit(self.settings.warehouse(labels_of(context)), self.zone())

    def witness(self, context: Context) -> WitnessReport:
        """What the exports say about the people sync; without a workspace to sync, that there is none."""
        with telling_failures():
            settings = self.settings
            try:
                workspace = settings.workspace
            except SettingsError as error:
                return WitnessReport(unverified=f"No workspace is synced. {error}")
            return compare_with_export(
                settings.warehouse(labels_of(context)),
                workspace,
                PEOPLE.name,
                workspace_id=settings.customerio_workspace_id,
            )


class LettersResource(dg.ConfigurableResource[None]):
    """Dead letters of the syncs and of the message queue."""

    @property
    def settings(self) -> Settings:
        """The settings. Raises SettingsError."""
        return load_settings()

    def census(self, context: Context) -> Census:
        """What there is; what it raises becomes a failure that says what to do and is not retried."""
        with telling_failures(), billed_warehouse(self.settings, context) as warehouse:
            return census(self.settings, warehouse)
