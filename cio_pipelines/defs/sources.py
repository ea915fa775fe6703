"""The application's tables, which this project only reads."""

import dagster as dg

from cio_pipelines.dbt import dbt_project, source_specs


@dg.definitions
def sources() -> dg.Definitions:
    return dg.Definitions(assets=source_specs(dbt_project()))
