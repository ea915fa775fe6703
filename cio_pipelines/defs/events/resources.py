"""The event sync as a resource. Kept apart: a module with a `definitions` function loads nothing else."""

import dagster as dg

from cio_pipelines.resources import EventSyncResource


@dg.definitions
def resources() -> dg.Definitions:
    return dg.Definitions(resources={"event_sync": EventSyncResource()})
