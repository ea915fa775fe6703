"""Verifications as Dagster metadata and check results. Ids that are e-mail addresses are masked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dagster as dg

from cio_pipelines.metadata import Metadata, counts_table, table
from cio_pipelines.sync.ledger_audit import DaySum
from cio_pipelines.sync.preview import mask
from cio_pipelines.verification.reports import Difference, Settled, Verification

SHOWN = 100
"""Differences, and days, that a table shows; the numbers beside it are of all."""
_NAMED = 5
"""Differences that a check's words name."""


def of_verification(found: Verification, subjects: str = "people") -> Metadata:
    """The verdict, numbers that the UI plots, and the first differences."""
    read, applied, settled = found.read_back, found.applied, found.settled
    return {
        "verdict": found.verdict,
        **({} if found.why is None else {"why": found.why}),
        "dagster/row_count": found.accepted,
        f"sampled_{subjects}": read.sampled,
        f"agreed_{subjects}": read.agreed,
        f"differing_{subjects}": found.subjects,
        "differences": len(found.differences),
        "difference_kinds": counts_table(found.kinds, "kind"),
        "first_differences": differences_table(found.differences),
        "overwritten_since": read.overwritten,
        "activities": counts_table(applied.entries, "type"),
        "failures_in_log": sum(applied.entries.values()),
        "resent": settled.resent,
        "dead_lettered": settled.dead_lettered,
        "waited_seconds": read.waited_seconds,
        "seconds": found.seconds,
        "days": days_table(found.ledger.days),
        **({"too_old_to_read_back": read.too_old} if read.too_old else {}),
        **_of_witness(found),
    }


def _of_witness(found: Verification) -> Metadata:
    if found.witness is None:
        return {}
    if found.witness.known_until is None:
        return {"storage_exports": f"not compared: {found.witness.unverified}"}
    return {
        "storage_exports": f"known until {found.witness.known_until:%Y-%m-%d %H:%M} UTC",
        "exports_compared": found.witness.compared,
        "exports_findings": found.witness.findings,
    }


def differences_table(differences: Sequence[Difference]) -> dg.TableMetadataValue:
    """Who differs in which attribute and how."""
    records: list[dict[str, Any]] = [
        {
            "person_id": shown(each.person_id),
            "event_id": shown(each.event_id),
            "attribute": each.attribute,
            "kind": each.kind,
            "activity": each.reason,
        }
        for each in differences[:SHOWN]
    ]
    names = ("person_id", "event_id", "attribute", "kind", "activity")
    return table(records, dict.fromkeys(names, "string"))


def days_table(days: Sequence[DaySum]) -> dg.TableMetadataValue:
    """The newest days of a run, and what became of their operations."""
    names = ("planned", "accepted", "rejected", "quarantined", "due")
    records: list[dict[str, Any]] = [
        {"day": str(day.day or "none"), **{name: getattr(day, name) for name in names}}
        for day in reversed(days[-SHOWN:])
    ]
    return table(records, {"day": "string", **dict.fromkeys(names, "int")})


def read_back(found: Verification, subjects: str = "people") -> dg.AssetCheckResult:
    """Whether who was read back is as accepted. That nobody could be read back is a warning."""
    read = found.read_back
    metadata = {
        "verdict": found.verdict,
        "sampled": read.sampled,
        "differing": found.subjects,
        "differences": differences_table(found.differences),
    }
    if found.why is not None and not found.differences:
        return dg.AssetCheckResult(
            check_name="read_back",
            passed=False,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"Not verified: {found.why}",
            metadata=metadata,
        )
    if found.differences:
        told = (
            f"{found.subjects:,} {subjects} are otherwise than Customer.io accepted them: "
            f"{_named(found.differences)}. {_fate(found.settled)}"
        )
    elif not found.accepted:
        told = "Nothing was accepted in this run, so nobody was asked for."
    else:
        told = f"All {read.sampled:,} {subjects} who were read back, of {found.accepted:,}, are as accepted."
        if read.overwritten:
            told += f" {read.overwritten:,} attributes somebody else has set since, which is no loss."
    return dg.AssetCheckResult(
        check_name="read_back", passed=not found.differences, description=told, metadata=metadata
    )


def applied(found: Verification) -> dg.AssetCheckResult:
    """Whether Customer.io's activity log names nobody of the run whose operation came to nothing."""
    log = found.applied
    metadata = {
        "entries": counts_table(log.entries, "type"),
        "confirmed": log.confirmed,
        "settled": log.settled,
        "unattributed": log.unattributed,
        "unread_types": ", ".join(log.unread),
    }
    if log.unverified is not None:
        passed, told = False, f"Not verified: {log.unverified}"
    elif log.confirmed:
        passed = False
        of_log = [each for each in found.differences if each.reason]
        told = f"The activity log tells of {log.confirmed:,} people of this run: {_named(of_log)}."
    else:
        passed, told = True, "The activity log tells of nobody of this run whose operation came to nothing."
    if log.unread:
        told += f" More entries than CIO_ACTIVITY_PAGES allows were not looked at: {', '.join(log.unread)}."
    return dg.AssetCheckResult(
        check_name="applied",
        passed=passed and not log.unread,
        severity=dg.AssetCheckSeverity.ERROR if log.confirmed else dg.AssetCheckSeverity.WARN,
        description=told,
        metadata=metadata,
    )


def ledger(found: Verification) -> dg.AssetCheckResult:
    """Whether the ledger adds up: by day, and of all time where the run looked at everything."""
    audit = found.ledger
    told = f"planned = accepted + rejected + quarantined + due on each of {len(audit.days):,} days"
    metadata: Metadata = {"days": len(audit.days), "contradictions": audit.contradictions}
    if audit.all_time is not None:
        every = audit.all_time
        told += (
            f", and in {every.runs:,} runs: {every.planned:,} = {every.accepted:,} + {every.rejected:,} + "
            f"{every.quarantined:,} + {every.due:,}. {every.unfounded:,} people of the snapshot have no "
            f"accepted attempt; {every.beyond:,} are of runs older than the ledger, which cannot be told"
        )
        metadata |= {"runs": every.runs, "unfounded": every.unfounded, "beyond_retention": every.beyond}
    if audit.contradictions:
        told += f". {audit.contradictions:,} contradictions. Report this: it is a defect"
    return dg.AssetCheckResult(
        check_name="ledger", passed=not audit.contradictions, description=f"{told}.", metadata=metadata
    )


def _fate(settled: Settled) -> str:
    if settled.left is not None:
        return f"Nothing was done for them yet: {settled.left}"
    parts = [
        *([f"{settled.resent:,} are sent again by the next run."] if settled.resent else []),
        *([f"{settled.dead_lettered:,} are dead letters now."] if settled.dead_lettered else []),
    ]
    return " ".join(parts) or "They are told only (CIO_UNAPPLIED), or a later run has sent them since."


def _named(differences: Sequence[Difference]) -> str:
    named = [
        f"{shown(each.event_id or each.person_id)} {each.attribute} ({each.kind})".replace("  ", " ")
        for each in differences[:_NAMED]
    ]
    more = len(differences) - len(named)
    return ", ".join(named) + (f" and {more:,} more" if more else "")


def shown(subject: str) -> str:
    """An id as people may see it."""
    return mask(subject) if "@" in subject else subject
