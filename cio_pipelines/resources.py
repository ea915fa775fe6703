"""What assets get from outside: the people sync, made from the environment when a step needs it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import dagster as dg

from cio_pipelines.customerio import CustomerIOError
from cio_pipelines.progress import listener
from cio_pipelines.settings import Settings, SettingsError, load_settings
from cio_pipelines.sync.engine import PeopleSync
from cio_pipelines.sync.errors import SyncError
from cio_pipelines.sync.push import Progress
from cio_pipelines.warehouse import WarehouseError


class PeopleSyncResource(dg.ConfigurableResource[None]):
    """The people sync of the workspace that the environment names.

    It has no fields on purpose: what a resource is configured with shows in Dagster's UI.
    """

    @property
    def settings(self) -> Settings:
        """The settings. Raises SettingsError."""
        return load_settings()

    @contextmanager
    def engine(self) -> Generator[PeopleSync]:
        """The engine; what it raises becomes a failure that says what to do and is not retried."""
        try:
            yield self.settings.people_sync()
        except (SettingsError, SyncError, WarehouseError, CustomerIOError) as error:
            raise dg.Failure(description=str(error), allow_retries=False) from error

    @property
    def progress(self) -> Progress | None:
        """Who wants to know how a push goes on, if anybody in this process does."""
        return listener()
