"""The storage export as a second witness: whether Customer.io has what it accepted.

    report = compare_with_export(warehouse, workspace, "people")

The snapshot, which is what Customer.io accepted, is compared in the warehouse with the people and attributes
of the export. People who were synced so lately that the export cannot know of it are counted apart.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from cio_pipelines.exports.tables import prepare_exports
from cio_pipelines.landing.manifest import EXPORTS, FAILED, landed_files
from cio_pipelines.sync import testimony
from cio_pipelines.sync import testimony_tables as tables
from cio_pipelines.sync.key import SyncKey
from cio_pipelines.sync.state import prepare_state, sync_runs
from cio_pipelines.sync.testimony import Testimony
from cio_pipelines.sync.witness_reports import FINDINGS, AttributeFinding, WitnessReport
from cio_pipelines.warehouse import Warehouse, WarehouseConnection

MARGIN = timedelta(minutes=15)
"""Between a change and the export that has it: exports are made every 15 minutes at most."""

SAMPLE = 20
"""Ids that a report names of each finding."""

_ATTRIBUTES_AT_ONCE = 10
"""Attributes that one statement compares: it joins as many rows a person."""

_NESTED_AT_ONCE = 5_000

_CREATED_AT = "created_at"
_PREFERENCE = "cio_subscription_preferences."


def compare_with_export(
    warehouse: Warehouse,
    workspace: str,
    sync: str,
    *,
    workspace_id: int | None = None,
    margin: timedelta = MARGIN,
    sample: int = SAMPLE,
) -> WitnessReport:
    """Compare what was accepted with what the export has.

    Args:
        warehouse: with the snapshot and the loaded exports.
        workspace: under which the snapshot is kept.
        sync: name of the sync.
        workspace_id: Customer.io's number of the same workspace; needed when exports of several are loaded.
        margin: the export is taken to know nothing of what happened so shortly before its newest change.
        sample: ids to name of each finding.

    Raises:
        WarehouseError: the warehouse cannot be read.
    """
    with warehouse.session(), warehouse.connect() as connection:
        prepare_state(connection)
        prepare_exports(connection)
        key = SyncKey(workspace, sync)
        extents = {row.workspace_id: row for row in connection.rows(testimony.extents())}
        if workspace_id is None and len(extents) == 1:
            workspace_id = next(iter(extents))
        if workspace_id is None or workspace_id not in extents:
            return WitnessReport(unverified=_nobody_to_ask(extents, workspace_id))
        known_until = _known_until(connection, extents[workspace_id])
        if known_until is None:
            return WitnessReport(unverified="No row of the export says when it changed.")
        return _Comparison(connection, Testimony(key, workspace_id, known_until - margin)).report(sample)


def _nobody_to_ask(extents: dict[int, Any], workspace_id: int | None) -> str:
    if not extents:
        return "No export of people is loaded."
    if workspace_id is not None:
        return f"No export of people of workspace {workspace_id} is loaded."
    return (
        f"Exports of {len(extents)} workspaces are loaded: set CUSTOMERIO_WORKSPACE_ID to the number of the "
        "one that is synced."
    )


def _known_until(connection: WarehouseConnection, extent: Any) -> datetime | None:
    """The newest moment that the export knows of. Senders may claim any, but none after it was loaded."""
    set_at: datetime | None = connection.scalar(testimony.newest_attribute(extent.workspace_id))
    moments = [moment for moment in (extent.changed_at, set_at) if moment is not None]
    return min(max(moments), extent.loaded_at) if moments else None


class _Comparison:
    """One comparison, over temporary tables of a connection."""

    def __init__(self, connection: WarehouseConnection, says: Testimony) -> None:
        self._connection = connection
        self._says = says

    def report(self, sample: int) -> WitnessReport:
        connection, says = self._connection, self._says
        for table in (tables.witnessed, tables.differences, tables.alike):
            connection.execute(sa.schema.CreateTable(table))
        connection.execute(says.judge())
        names, unwitnessed = self._names()
        self._compare(names)
        self._settle_nested()
        verdicts = tables.verdicts().subquery("verdicts")
        counted = sa.select(verdicts.c.verdict, sa.func.count().label("people")).group_by(verdicts.c.verdict)
        return WitnessReport(
            known_until=says.known_until,
            verdicts={row.verdict: int(row.people) for row in connection.rows(counted)},
            unknown=int(connection.scalar(says.strangers())),
            attributes=tuple(AttributeFinding(*row) for row in connection.rows(tables.by_attribute())),
            unwitnessed=tuple(unwitnessed),
            sample={
                finding: tuple(
                    row.person_id
                    for row in connection.rows(
                        sa.select(verdicts.c.person_id)
                        .where(verdicts.c.verdict == finding)
                        .order_by(verdicts.c.person_id)
                        .limit(sample)
                    )
                )
                for finding in FINDINGS
            },
            failed_files=self._failed_files(),
        )

    def _names(self) -> tuple[list[str], list[str]]:
        """The sync's attributes: those to compare, and those on which the export says nothing.

        `created_at` may be told by the people's own column alone, which need not be the attribute; of
        preferences for single topics Customer.io makes one attribute.
        """
        document: str | None = self._connection.scalar(
            sa.select(sync_runs.c.mapping)
            .where(self._says.key.owns(sync_runs), sync_runs.c.mapping.is_not(None))
            .order_by(sync_runs.c.extracted_at.desc())
            .limit(1)
        )
        names: list[str] = list(json.loads(document)["attributes"]) if document else []
        mute = {name for name in names if name.startswith(_PREFERENCE) or "*" in name}
        if _CREATED_AT in names:
            there = self._connection.rows(testimony.names_there(self._says.workspace_id, [_CREATED_AT]))
            mute |= set() if there else {_CREATED_AT}
        return [name for name in names if name not in mute], sorted(mute)

    def _compare(self, names: Sequence[str]) -> None:
        if not names:
            return
        values = tables.accepted_values(len(names))
        self._connection.execute(sa.schema.CreateTable(values))
        self._connection.execute(self._says.unfold(values, names))
        for first in range(0, len(names), _ATTRIBUTES_AT_ONCE):
            some = range(first, min(first + _ATTRIBUTES_AT_ONCE, len(names)))
            self._connection.execute(self._says.compare(values, {n: names[n] for n in some}))
        self._connection.execute(sa.schema.DropTable(values))

    def _settle_nested(self) -> None:
        """Compare nested values as JSON: spaces, order of members and spelling do not count."""
        after = ("", "")
        while rows := self._connection.rows(tables.nested(after, _NESTED_AT_ONCE)):
            after = (rows[-1].person_id, rows[-1].attribute)
            same = [
                {"person_id": row.person_id, "attribute": row.attribute}
                for row in rows
                if _is_same_json(row.accepted, row.found)
            ]
            if same:
                self._connection.append(tables.alike, pa.Table.from_pylist(same))
        self._connection.execute(tables.forget_alike())

    def _failed_files(self) -> int:
        return int(
            self._connection.scalar(
                sa.select(sa.func.count()).where(
                    landed_files.c.source == EXPORTS,
                    landed_files.c.status == FAILED,
                    landed_files.c.dataset.in_([testimony.PEOPLE, testimony.ATTRIBUTES]),
                )
            )
        )


def _is_same_json(one: str, other: str) -> bool:
    try:
        return json.loads(one) == json.loads(other)
    except ValueError:
        return False
