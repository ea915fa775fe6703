"""What all assets share. Kept apart: a module with a `definitions` function loads nothing else."""

import dagster as dg

from cio_pipelines.dbt import dbt_resource


@dg.definitions
def resources() -> dg.Definitions:
    """dbt, and one process a run: a process for each step costs ten seconds a run and gains nothing here."""
    return dg.Definitions(resources={"dbt": dbt_resource()}, executor=dg.in_process_executor)
