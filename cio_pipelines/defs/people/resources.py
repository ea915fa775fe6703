"""The people sync as a resource. Kept apart: a module with a `definitions` function loads nothing else."""

import dagster as dg

from cio_pipelines.resources import PeopleSyncResource
from cio_pipelines.verification_resource import VerificationResource


@dg.definitions
def resources() -> dg.Definitions:
    return dg.Definitions(
        resources={"people_sync": PeopleSyncResource(), "verification": VerificationResource()}
    )
