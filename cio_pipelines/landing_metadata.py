"""What became of landed objects, as Dagster metadata and check results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import dagster as dg

from cio_pipelines import metadata
from cio_pipelines.landing.reports import Counts, FailedFile, Unloaded

_SHOWN = 20
"""Files that a table names; how many there are is told beside."""


def counts(counted: Counts) -> dict[str, Any]:
    """Numbers, which the UI plots over time."""
    return {
        "files": counted.files,
        "bytes": counted.bytes,
        "rows": counted.rows,
        "inserted": counted.inserted,
        "repeated": counted.repeated,
        "quarantined": counted.quarantined,
    }


def failures(failed: Sequence[FailedFile]) -> dict[str, Any]:
    """How many objects could not be read, and some of them with the reason."""
    named = ((item.path, f"{item.reason} (try {item.attempts})") for item in failed)
    return {"failed_files": len(failed), "failed": _files(named)}


def all_loaded(
    found: Unloaded, foreign: str, remedy: str, check: dg.AssetCheckKey | None = None
) -> dg.AssetCheckResult:
    """Whether each landed object is loaded.

    Args:
        found: what is not.
        foreign: what is wrong with objects of another kind.
        remedy: what a person can do.
        check: which check it is the result of, for those that make several.
    """
    missing = [*((path, "never read") for path in found.unread), *found.failed.items()]
    others = [(path, foreign) for path in found.foreign]
    if not missing and not others:
        told = f"All {found.files:,} landed objects are loaded."
    else:
        told = (
            f"Of {found.files:,} landed objects {len(found.unread):,} were never read and "
            f"{len(found.failed):,} could not be read; {len(others):,} other files lie among them. {remedy}"
        )
    return dg.AssetCheckResult(
        asset_key=check.asset_key if check else None,
        check_name=check.name if check else None,
        passed=not missing and not others,
        description=told,
        metadata={
            "files": found.files,
            "unread": len(found.unread),
            "failed": len(found.failed),
            "foreign": len(others),
            "named": _files([*missing, *others]),
        },
    )


def _files(files: Iterable[tuple[str, str]]) -> dg.TableMetadataValue:
    records = [{"file": path, "what": what} for path, what in files]
    return metadata.table(records[:_SHOWN], {"file": "string", "what": "string"})
