"""What a verification leaves behind: verdict, differences, and another chance for whom it was lost."""

# pyarrow carries no types
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from cio_pipelines.sync.key import RunKey
from cio_pipelines.sync.state import dead_letters, open_people, sync_differences, sync_verifications
from cio_pipelines.verification.people import parts
from cio_pipelines.verification.reports import (
    DEAD_LETTER,
    REPORT,
    Difference,
    Recorded,
    Settled,
    Verification,
    VerificationSettings,
)
from cio_pipelines.warehouse import WarehouseConnection

Standing = Callable[[WarehouseConnection, RunKey, Collection[str]], Iterable[sa.Row[Any]]]
Disclaim = Callable[[RunKey, Sequence[sa.Row[Any]]], list[sa.Executable]]

_TEXTS = (
    *("workspace", "sync", "person_id", "operation", "attributes_hash"),
    *("reason", "field", "run_id", "event_id"),
)


def record(connection: WarehouseConnection, run: RunKey, found: Verification) -> None:
    """Write a verification down; an earlier one of the same run is replaced."""
    differences = [
        {
            **run.values,
            "person_id": each.person_id,
            "attribute": each.attribute,
            "kind": each.kind,
            "reason": each.reason or None,
            "event_id": each.event_id or None,
        }
        for each in found.differences
    ]
    entries = {**found.applied.entries, "unattributed": found.applied.unattributed}
    verdict = {
        **run.values,
        "verified_at": _now(),
        "verdict": found.verdict,
        "why": found.why,
        "accepted": found.accepted,
        "sampled": found.read_back.sampled,
        "agreed": found.read_back.agreed,
        "differing": found.subjects,
        "overwritten": found.read_back.overwritten,
        "activities": json.dumps(entries, sort_keys=True),
        "resent": found.settled.resent,
        "dead_lettered": found.settled.dead_lettered,
        "seconds": found.seconds,
    }
    with connection.transaction():
        for table in (sync_verifications, sync_differences):
            connection.execute(table.delete().where(run.owns(table)))
        connection.append(sync_verifications, _rows(sync_verifications, [verdict]))
        if differences:
            connection.append(sync_differences, _rows(sync_differences, differences))


def read_recorded(connection: WarehouseConnection, run: RunKey, shown: int = 10) -> Recorded | None:
    """What was written down of a run, with up to `shown` differences."""
    verdicts = connection.rows(sa.select(sync_verifications).where(run.owns(sync_verifications)))
    if not verdicts:
        return None
    told, row = sync_differences.c, verdicts[0]
    differences = connection.rows(
        sa.select(told.person_id, told.attribute, told.kind, told.reason, told.event_id)
        .where(run.owns(sync_differences))
        .order_by(told.person_id, told.event_id, told.attribute)
        .limit(shown)
    )
    return Recorded(
        verdict=row.verdict,
        why=row.why,
        accepted=row.accepted,
        sampled=row.sampled,
        agreed=row.agreed,
        differing=row.differing,
        overwritten=row.overwritten,
        resent=row.resent,
        dead_lettered=row.dead_lettered,
        differences=tuple(
            Difference(each.person_id, each.attribute, each.kind, each.reason or "", each.event_id or "")
            for each in differences
        ),
    )


def settle(
    connection: WarehouseConnection,
    run: RunKey,
    differences: Sequence[Difference],
    settings: VerificationSettings,
    standing: Standing,
    disclaim: Disclaim,
) -> Settled:
    """Make whom it was not applied to due again, or dead letters. Under the lease of the sync.

    The attempts are counted on from the plan: an acceptance without effect is one, as a refusal is.
    """
    if settings.rule == REPORT or not differences:
        return Settled()
    first = {_subject(run, each): each for each in reversed(differences)}
    rows = list(standing(connection, run, first.keys()))
    resent: list[dict[str, Any]] = []
    dead: list[dict[str, Any]] = []
    for row in rows:
        subject = row.event_id if run.sync.subject == "event_id" else row.person_id
        why = first[subject]
        attempts = row.attempts + 1
        letter = {
            **run.sync.values,
            "person_id": row.person_id,
            "operation": row.operation,
            "attributes_hash": row.attributes_hash,
            "attempts": attempts,
            "reason": why.reason or why.kind,
            "field": f"attributes.{why.attribute}" if why.attribute else "",
            "since": _now(),
            "run_id": run.run_id,
            "event_id": row.event_id,
        }
        is_dead = settings.rule == DEAD_LETTER or attempts >= settings.max_attempts
        (dead if is_dead else resent).append(letter)
    subjects = [_subject_of(run, letter) for letter in (*resent, *dead)]
    with connection.transaction():
        for table in (open_people, dead_letters):
            for part in parts(subjects):
                connection.execute(
                    table.delete().where(run.sync.owns(table), run.sync.subject_of(table).in_(part))
                )
        for statement in disclaim(run, rows):
            connection.execute(statement)
        _append(connection, open_people, resent, {"outcome": "unapplied"})
        told = {"kind": "unapplied", "message": "Customer.io accepted it and did not apply it."}
        _append(connection, dead_letters, dead, told)
    return Settled(len(resent), len(dead))


def _append(
    connection: WarehouseConnection,
    table: sa.Table,
    letters: Sequence[dict[str, Any]],
    values: dict[str, str],
) -> None:
    if letters:
        kinds: dict[str, pa.DataType] = dict.fromkeys((*_TEXTS, *values), pa.string())
        kinds |= {"attempts": pa.int32(), "since": pa.timestamp("us")}
        rows = [{**each, **values} for each in letters]
        connection.append(table, pa.Table.from_pylist(rows, schema=pa.schema(kinds)))


def _subject(run: RunKey, difference: Difference) -> str:
    return difference.event_id if run.sync.subject == "event_id" else difference.person_id


def _subject_of(run: RunKey, letter: dict[str, Any]) -> str:
    return str(letter[run.sync.subject])


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def _rows(table: sa.Table, records: list[dict[str, Any]]) -> pa.Table:
    kinds: dict[type, pa.DataType] = {
        sa.String: pa.string(),
        sa.Date: pa.date32(),
        sa.BigInteger: pa.int64(),
        sa.Double: pa.float64(),
    }
    schema = pa.schema(
        [(column.name, kinds.get(type(column.type), pa.timestamp("us"))) for column in table.columns]
    )
    return pa.Table.from_pylist(records, schema=schema)
