"""Reports as Dagster metadata, coerced here: a value that Dagster refuses would fail the step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg
import sqlalchemy as sa

from cio_pipelines.sync.guards import Verdict
from cio_pipelines.sync.reports import Extraction, Outcomes, PushReport, Refusals

Metadata = dict[str, Any]

ERASURE = "/erasure"
"""How the ledger's id of an erasure ends."""


def of_columns(mart: dg.AssetKey, attributes: Mapping[str, str]) -> Metadata:
    """The attributes as columns, each made from the mart's column of its name."""
    columns = [dg.TableColumn(name, kind) for name, kind in sorted(attributes.items())]
    deps = {name: [dg.TableColumnDep(mart, name)] for name, kind in attributes.items() if kind != "consent"}
    return {
        "dagster/column_schema": dg.TableSchema(columns),
        "dagster/column_lineage": dg.TableColumnLineage(deps),
    }


def of_table(table: sa.Table) -> Metadata:
    """Name, columns and their descriptions of a table of our own."""
    columns = [
        dg.TableColumn(column.name, column.type.compile().lower(), column.comment) for column in table.columns
    ]
    return {"dagster/table_name": table.fullname, "dagster/column_schema": dg.TableSchema(columns)}


def of_extraction(extraction: Extraction) -> Metadata:
    """Counts of rows, and the window."""
    return {
        "dagster/row_count": extraction.extracted,
        "mart_rows": extraction.mart_rows,
        "tombstoned": extraction.tombstoned,
        "window": str(extraction.window),
        "extracted_at": dg.MetadataValue.timestamp(extraction.extracted_at),
    }


def of_push(report: PushReport) -> Metadata:
    """What became of a plan, and what it cost."""
    seconds = report.send_seconds + report.commit_seconds
    return {
        **of_outcomes(report.outcomes),
        "dagster/row_count": report.outcomes.accepted,
        "refusals": refusals_table(report.refusals),
        "dead_letters": report.dead_letters,
        "requests": report.requests,
        "attempts": report.attempts,
        "bytes": report.bytes_sent,
        "send_seconds": report.send_seconds,
        "commit_seconds": report.commit_seconds,
        "operations_per_second": report.outcomes.accepted / seconds if seconds else 0.0,
        "preflight": report.preflight or "credentials and region verified",
        **({} if report.ended_by is None else {"ended_by": report.ended_by}),
    }


def of_outcomes(outcomes: Outcomes) -> Metadata:
    """The ledger's counts."""
    return {
        "planned": outcomes.planned,
        "accepted": outcomes.accepted,
        "rejected": outcomes.rejected,
        "quarantined": outcomes.quarantined,
        "due": outcomes.due,
        "unaccounted": outcomes.unaccounted,
    }


def of_verdict(verdict: Verdict) -> Metadata:
    """A guard's figures."""
    return {
        "people": verdict.count,
        "known_people": verdict.known,
        "share": verdict.share,
        "limit_share": verdict.limits.share,
        "limit_people": verdict.limits.people,
        "approved": verdict.approved,
    }


def check_of(verdict: Verdict) -> dg.AssetCheckResult:
    """A guard's verdict as the result of the asset check of its name."""
    return dg.AssetCheckResult(
        check_name=verdict.name,
        passed=verdict.passed,
        description=str(verdict),
        metadata=of_verdict(verdict),
    )


def completeness(outcomes: Outcomes) -> dg.AssetCheckResult:
    """Whether planned = accepted + rejected + quarantined + due, and nobody is lost, by the ledger."""
    told = (
        f"planned {outcomes.planned:,} = accepted {outcomes.accepted:,} + rejected {outcomes.rejected:,} "
        f"+ quarantined {outcomes.quarantined:,} + due {outcomes.due:,}"
    )
    if not outcomes.complete:
        told += f"; {outcomes.unaccounted:,} operations contradict each other. Report this: it is a defect."
    return dg.AssetCheckResult(passed=outcomes.complete, description=told, metadata=of_outcomes(outcomes))


def rejection_rate(outcomes: Outcomes, limit: float) -> dg.AssetCheckResult:
    """Whether Customer.io refused no more than a share `limit` of what it answered."""
    share = outcomes.rejected_share
    return dg.AssetCheckResult(
        passed=share <= limit,
        description=(
            f"Customer.io refused {outcomes.rejected:,} operations ({share:.1%}), limit {limit:.1%}. "
            "The asset's metadata has the reasons; `cio dead-letters list` has those given up."
            if outcomes.rejected
            else "Customer.io refused nothing."
        ),
        metadata={"rejected": outcomes.rejected, "share": share, "limit": limit},
    )


def erasure_run(run_id: str) -> str:
    """The ledger's id of the erasure within a Dagster run, which may hold a people sync too."""
    return f"{run_id.removesuffix(ERASURE)}{ERASURE}"


def materialized(
    report: PushReport,
    checks: Sequence[dg.AssetCheckResult] = (),
    columns: Metadata | None = None,
) -> dg.MaterializeResult[Any]:
    """The result of a push. Raises Failure when operations stayed due: then it is not what it should be."""
    if report.ended_by is None:
        told = {**(columns or {}), **of_push(report)}
        return dg.MaterializeResult(metadata=told, check_results=list(checks))
    raise dg.Failure(
        description=(
            f"Not everything was answered: {report.ended_by} What was accepted is committed; "
            f"{report.outcomes.due:,} operations are due and the next run sends them."
        ),
        metadata=of_push(report),
        allow_retries=False,
    )


def counts_table(counts: Mapping[str, int], name: str) -> dg.TableMetadataValue:
    """A mapping of counts as a table, the largest first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return table(
        [{name: str(key), "count": int(count)} for key, count in ordered], {name: "string", "count": "int"}
    )


def refusals_table(refusals: Iterable[Refusals]) -> dg.TableMetadataValue:
    """Who refused how many people, and why."""
    records = [
        {"refused_by": r.source, "field": r.field, "reason": r.reason, "people": int(r.people)}
        for r in refusals
    ]
    kinds = {"refused_by": "string", "field": "string", "reason": "string", "people": "int"}
    return table(records, kinds)


def table(records: list[dict[str, Any]], columns: Mapping[str, str]) -> dg.TableMetadataValue:
    """Records as a table; `columns` gives the type of each of their members."""
    schema = dg.TableSchema([dg.TableColumn(name, kind) for name, kind in columns.items()])
    return dg.MetadataValue.table([dg.TableRecord(record) for record in records], schema=schema)
