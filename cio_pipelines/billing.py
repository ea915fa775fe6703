"""Who caused the warehouse's jobs, and what they cost, for people who look at a run in Dagster."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import dagster as dg

from cio_pipelines.metadata import Metadata
from cio_pipelines.settings import Settings
from cio_pipelines.warehouse import Warehouse
from cio_pipelines.warehouse.protocol import Usage

Context = dg.AssetExecutionContext | dg.AssetCheckExecutionContext


@contextmanager
def billed_warehouse(settings: Settings, context: Context) -> Generator[Warehouse]:
    """The warehouse, its jobs labelled with the step's asset and run; what they cost becomes metadata.

    Raises WarehouseUnavailable when WAREHOUSE_URL names no database.
    """
    warehouse = settings.warehouse(labels_of(context))
    yield warehouse
    usage = warehouse.usage
    if usage is not None and usage.jobs and isinstance(context, dg.AssetExecutionContext):
        for key in context.selected_asset_keys:
            context.add_asset_metadata(of_usage(usage), asset_key=key)


def labels_of(context: Context) -> dict[str, str]:
    """Labels that tell which asset and run a job was for."""
    if isinstance(context, dg.AssetExecutionContext):
        keys = context.selected_asset_keys
    else:
        keys = {check.asset_key for check in context.selected_asset_check_keys}
    names = sorted(key.to_user_string() for key in keys)
    return {"asset": names[0] if names else "", "run_id": context.run.run_id}


def of_usage(usage: Usage) -> Metadata:
    """What a step's jobs cost, and where to look at the last of them."""
    return {
        "warehouse_jobs": usage.jobs,
        "bytes_billed": usage.bytes_billed,
        "slot_seconds": usage.slot_milliseconds / 1000,
        "job_links": dg.MetadataValue.md("\n".join(f"- [job]({link})" for link in usage.links)),
    }
