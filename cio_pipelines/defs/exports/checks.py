"""What proves that no export is left out, and what the exports prove about the people sync."""

from collections.abc import Iterator

import dagster as dg

from cio_pipelines import exports_metadata
from cio_pipelines.defs.exports.assets import KEYS
from cio_pipelines.resources import ExportsResource

_CHECKS = {
    name: dg.AssetCheckSpec(
        "all_export_files_loaded",
        asset=key,
        description="Every file of the table in the landing zone is in the manifest as loaded.",
    )
    for name, key in KEYS.items()
}


@dg.multi_asset_check(name="all_export_files_loaded", specs=list(_CHECKS.values()), can_subset=True)
def all_export_files_loaded(
    context: dg.AssetCheckExecutionContext, exports: ExportsResource
) -> Iterator[dg.AssetCheckResult]:
    """The files of the zone against the manifest."""
    chosen = {
        name: spec.key for name, spec in _CHECKS.items() if spec.key in context.selected_asset_check_keys
    }
    with exports.audit(context) as audit:
        found = audit.unloaded(chosen)
    for name, check in chosen.items():
        yield exports_metadata.all_files_loaded(found[name], check)


@dg.asset_check(asset=KEYS["people"], additional_deps=[KEYS["attributes"]])
def export_witness(context: dg.AssetCheckExecutionContext, exports: ExportsResource) -> dg.AssetCheckResult:
    """What Customer.io accepted of people is what it exports: nobody is missing, still there or different.
    People synced too lately for the export to know of it are counted apart.
    """
    return exports_metadata.witness(exports.witness(context))
