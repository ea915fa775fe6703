"""The people sync as a resource. Kept apart: a module with a `definitions` function loads nothing else."""

import dagster as dg

from cio_pipelines.resources import PeopleSyncResource


@dg.definitions
def resources() -> dg.Definitions:
    return dg.Definitions(resources={"people_sync": PeopleSyncResource()})
