"""Reports on storage exports as Dagster metadata and check results."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

import dagster as dg

from cio_pipelines import landing_metadata, metadata
from cio_pipelines.exports.files import parsed
from cio_pipelines.exports.reports import ExportReport
from cio_pipelines.exports.tables import TABLES
from cio_pipelines.landing import LandedObject
from cio_pipelines.landing.reports import FailedFile, Unloaded
from cio_pipelines.sync.witness_reports import (
    DIFFERENT,
    FINDINGS,
    MISSING,
    OVERWRITTEN,
    PENDING,
    REMOVED,
    STILL_THERE,
    AttributeFinding,
    WitnessReport,
)


def of_load(report: ExportReport, dataset: str, rows: int) -> metadata.Metadata:
    """What a load did for a dataset; `rows` is how many its table has now."""
    return {
        **metadata.of_table(TABLES[dataset]),
        "dagster/row_count": rows,
        **landing_metadata.counts(report.datasets[dataset]),
        **landing_metadata.failures([file for file in report.failed if _is_of(dataset, file)]),
        "seconds": report.seconds,
    }


def _is_of(dataset: str, failed: FailedFile) -> bool:
    file = parsed(LandedObject(failed.path, 0))
    return file is not None and file.dataset == dataset


def all_files_loaded(found: Unloaded, check: dg.AssetCheckKey) -> dg.AssetCheckResult:
    """Whether each export of a table is loaded."""
    return landing_metadata.all_loaded(
        found,
        foreign="no export by its name: move it elsewhere",
        remedy="Failed ones are tried again; materialise the table with `again` to try at once.",
        check=check,
    )


def witness(report: WitnessReport) -> dg.AssetCheckResult:
    """Whether Customer.io has what it accepted. A warning: the next exports may put it right."""
    told = _told(report)
    if report.known_until is None:
        return dg.AssetCheckResult(passed=True, description=told)
    return dg.AssetCheckResult(
        passed=not report.findings,
        severity=dg.AssetCheckSeverity.WARN,
        description=told,
        metadata=_of_witness(report),
    )


def _told(report: WitnessReport) -> str:
    if report.known_until is None:
        return f"Not verified: {report.unverified}"
    if not report.compared:
        return (
            f"Not verified: the exports tell what was until {report.known_until:%Y-%m-%d %H:%M} UTC, and all "
            f"{report.people:,} people of the snapshot were synced later."
        )
    told = f"Of {report.people:,} people whom Customer.io accepted "
    if report.findings:
        counts = ", ".join(
            f"{count:,} {_WORDS[finding]}"
            for finding in FINDINGS
            if (count := report.verdicts.get(finding, 0))
        )
        told += (
            f"{report.findings:,} are otherwise in the export ({counts}). "
            "Look for them in Customer.io's activity log: failed attribute changes are told there."
        )
    else:
        told += f"all {report.compared:,} of whom the export can know are in it as accepted."
    overwritten = report.verdicts.get(OVERWRITTEN, 0)
    if overwritten:
        told += f" {overwritten:,} were changed in Customer.io afterwards, which is no finding."
    pending = report.verdicts.get(PENDING, 0)
    if pending:
        told += f" {pending:,} were synced after {report.known_until:%Y-%m-%d %H:%M} UTC: not verifiable yet."
    if report.failed_files:
        told += f" {report.failed_files:,} exports could not be read, and are not in this comparison."
    return told


_WORDS = {
    MISSING: "are not there",
    REMOVED: "are deleted or suppressed there",
    DIFFERENT: "have other attributes",
    STILL_THERE: "are there although deleted or suppressed by us",
}

_COLUMNS = {each.name: "string" if each.type == "str" else "int" for each in fields(AttributeFinding)}


def _of_witness(report: WitnessReport) -> dict[str, Any]:
    sample = [{"finding": finding, "person_id": one} for finding, ids in report.sample.items() for one in ids]
    return {
        "people": report.people,
        "compared": report.compared,
        "findings": report.findings,
        **report.verdicts,
        "unknown": report.unknown,
        "failed_files": report.failed_files,
        **({"known_until": dg.MetadataValue.timestamp(report.known_until)} if report.known_until else {}),
        "attributes": metadata.table([asdict(finding) for finding in report.attributes], _COLUMNS),
        "unwitnessed": list(report.unwitnessed),
        "sample": metadata.table(sample, {"finding": "string", "person_id": "string"}),
    }
