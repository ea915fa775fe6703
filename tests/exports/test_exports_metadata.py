"""What a person reads of the witness in Dagster."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import dagster as dg

from cio_pipelines import exports_metadata
from cio_pipelines.sync.witness_reports import AttributeFinding, WitnessReport

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def records(result: dg.AssetCheckResult, name: str) -> list[dict[str, Any]]:
    table = result.metadata[name]
    assert isinstance(table, dg.TableMetadataValue)
    return [dict(record.data) for record in table.records]


def test_findings_are_a_warning_with_counts_attributes_and_ids() -> None:
    result = exports_metadata.witness(
        WitnessReport(
            known_until=NOON,
            verdicts={"agreed": 1_200, "missing": 2, "different": 1, "pending": 4, "overwritten": 3},
            unknown=9,
            attributes=(AttributeFinding("plan", differing=1, overwritten=3),),
            unwitnessed=("created_at",),
            sample={"missing": ("p1", "p2"), "different": ("p3",)},
            failed_files=1,
        )
    )

    assert not result.passed
    assert result.severity is dg.AssetCheckSeverity.WARN
    assert result.description == (
        "Of 1,210 people whom Customer.io accepted 3 are otherwise in the export (2 are not there, 1 have "
        "other attributes). Look for them in Customer.io's activity log: failed attribute changes are told "
        "there. 3 were changed in Customer.io afterwards, which is no finding. 4 were "
        "synced after 2026-11-23 12:00 UTC: not verifiable yet. 1 exports could not be read, and are not in "
        "this comparison."
    )
    told = {name: value.value for name, value in result.metadata.items()}
    counted = ("people", "compared", "findings", "agreed", "missing", "different", "overwritten", "unknown")
    assert [told[name] for name in counted] == [1_210, 1_206, 3, 1_200, 2, 1, 3, 9]
    assert records(result, "attributes") == [
        {"attribute": "plan", "differing": 1, "absent": 0, "left_over": 0, "overwritten": 3}
    ]
    assert records(result, "sample") == [
        {"finding": "missing", "person_id": "p1"},
        {"finding": "missing", "person_id": "p2"},
        {"finding": "different", "person_id": "p3"},
    ]


def test_agreement_passes_and_says_of_whom() -> None:
    result = exports_metadata.witness(
        WitnessReport(known_until=NOON, verdicts={"agreed": 5, "overwritten": 1, "pending": 1})
    )

    assert result.passed
    assert str(result.description).startswith(
        "Of 7 people whom Customer.io accepted all 6 of whom the export can know are in it as accepted. 1 "
    )


def test_nobody_to_compare_is_told_as_not_verified() -> None:
    result = exports_metadata.witness(WitnessReport(known_until=NOON, verdicts={"pending": 3}))

    assert result.passed
    assert str(result.description).startswith(
        "Not verified: the exports tell what was until 2026-11-23 12:00"
    )
