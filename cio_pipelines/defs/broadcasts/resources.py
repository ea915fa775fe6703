"""Broadcasts as a resource. Kept apart: a module with a `definitions` function loads nothing else."""

import dagster as dg

from cio_pipelines.broadcasts_resource import BroadcastsResource


@dg.definitions
def resources() -> dg.Definitions:
    return dg.Definitions(resources={"broadcasts": BroadcastsResource()})
