"""Customer.io's own records, as its storage exports tell them."""

from collections.abc import Iterator

import dagster as dg

from cio_pipelines import exports_metadata, pools
from cio_pipelines.exports.tables import TABLES
from cio_pipelines.landing_sensor import report_failed_files
from cio_pipelines.resources import ExportsResource

KEYS = {name: dg.AssetKey(["customerio", table.name]) for name, table in TABLES.items()}
"""Dataset of the exports → its asset."""


class LoadConfig(dg.Config):
    """What a run reads of the exports."""

    again: bool = False
    """All files of the chosen tables, also those that were loaded before or given up. This changes nothing
    but brings back what is missing."""


@dg.multi_asset(
    name="storage_exports",
    specs=[
        dg.AssetSpec(
            KEYS[name],
            description=f"{table.comment} From Customer.io's storage exports.",
            group_name="customerio",
            owners=["team:growth"],
            kinds={"python", "customerio"},
        )
        for name, table in TABLES.items()
    ],
    can_subset=True,
    pool=pools.EXPORTS,
)
def storage_exports(
    context: dg.AssetExecutionContext, config: LoadConfig, exports: ExportsResource
) -> Iterator[dg.MaterializeResult]:
    """Load the files that are new. What became of each is in `customerio.landed_files`."""
    chosen = [name for name, key in KEYS.items() if key in context.selected_asset_keys]
    with exports.load(context) as load:
        report = load.run(chosen, context.run.run_id, only_new=not config.again)
    with exports.audit(context) as audit:
        rows = audit.rows(chosen)
    report_failed_files(context, report.unsettled)
    for name in chosen:
        told = exports_metadata.of_load(report, name, rows[name])
        yield dg.MaterializeResult(asset_key=KEYS[name], metadata=told)
