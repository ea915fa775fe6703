"""The dbt models as assets, their tests as checks."""

from collections.abc import Iterator

import dagster as dg
from dagster_dbt import dbt_assets

from cio_pipelines import pools
from cio_pipelines.dbt import DbtResource, DbtTranslator, dbt_project, load_manifest
from cio_pipelines.dbt_build import BuildEvent, build

PROJECT = dbt_project()
MANIFEST = load_manifest(PROJECT)


@dbt_assets(
    name="dbt_models",
    manifest=MANIFEST,
    project=PROJECT,
    pool=pools.DBT,
    dagster_dbt_translator=DbtTranslator(),
)
def dbt_models(context: dg.AssetExecutionContext, dbt: DbtResource) -> Iterator[BuildEvent]:
    """Builds and tests the selected models; what fails stops everything that follows in the run."""
    yield from build(context, dbt, MANIFEST)
