"""The resources that assets name. Kept apart: a module with a `definitions` function loads nothing else."""

import dagster as dg

from cio_pipelines.dbt import dbt_resource


@dg.definitions
def resources() -> dg.Definitions:
    return dg.Definitions(resources={"dbt": dbt_resource()})
