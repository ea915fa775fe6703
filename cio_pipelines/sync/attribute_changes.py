"""Which attributes a plan changes, and for how many people: the plan's texts against the snapshot's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from cio_pipelines.sync.key import RunKey
from cio_pipelines.sync.state import sync_plan, sync_runs, synced_people
from cio_pipelines.warehouse import WarehouseConnection
from cio_pipelines.warehouse import json_functions as js
from cio_pipelines.warehouse.functions import evaluated_once

Column = sa.ColumnElement[Any]

DATA, MAPPING = "data", "mapping"
UPDATES = ("changed", "silent", "mapping")
"""Reasons for sending people whose attributes are known to differ."""

COMPARED_AT_MOST = 10_000
"""Updates that are compared attribute by attribute. Of more a share is: each costs two JSON texts to read."""

_HASH_DIGITS = 8


@dataclass(frozen=True, slots=True)
class AttributeChange:
    """For how many people one attribute is added, changed or removed by changes of one `cause`."""

    name: str
    cause: str
    added: int
    changed: int
    removed: int

    @property
    def people(self) -> int:
        return self.added + self.changed + self.removed


@dataclass(frozen=True, slots=True)
class AttributeChanges:
    """The attribute-level changes of a plan, the most people first.

    `updates` people are updated, of whom `compared` were compared; of fewer than all, the figures are what
    that share stands for. `unseen` people were compared and differ in nothing that can be seen: in digits
    that the engine's JSON does not keep, or in an attribute whose name it cannot address. `skipped` is why
    nobody was compared.
    """

    updates: int
    compared: int = 0
    attributes: tuple[AttributeChange, ...] = ()
    unseen: int = 0
    skipped: str | None = None

    @property
    def share(self) -> float:
        """Part of the updates that were compared, 0 to 1."""
        return self.compared / self.updates if self.updates else 1.0


def count_changes(
    connection: WarehouseConnection,
    run: RunKey,
    names: Sequence[str],
    updates: int,
    at_most: int = COMPARED_AT_MOST,
) -> AttributeChanges:
    """Compare a plan with the snapshot before anything of it is committed.

    New people, and those who return, have nothing to be compared with. `names` are the attributes of the
    mapping; those of earlier mappings, whose columns are gone, are found in the ledger. `updates` people are
    planned for one of `UPDATES`; of more than `at_most` a share is compared, chosen by their hashes.
    """
    if not updates:
        return AttributeChanges(0)
    addressed = _addressable(connection, run, names)
    rows = connection.rows(_compared(run, addressed, min(1.0, at_most / updates)))
    compared = sum(int(row.people) for row in rows)
    if not compared:
        return AttributeChanges(updates, skipped="none of the few people who were chosen by hash")
    scale = updates / compared
    changes = [
        AttributeChange(name, DATA if row.cause == 0 else MAPPING, *(round(int(n) * scale) for n in counts))
        for row in rows
        for place, name in enumerate(addressed)
        if any(counts := [row[3 + 3 * place + each] or 0 for each in range(3)])
    ]
    return AttributeChanges(
        updates,
        compared,
        tuple(sorted(changes, key=lambda change: (change.cause, -change.people, change.name))),
        unseen=round(sum(int(row.unseen) for row in rows) * scale),
    )


def _addressable(connection: WarehouseConnection, run: RunKey, names: Sequence[str]) -> list[str]:
    """Attributes of this mapping and of all that are remembered; paths cannot name one with a `*`."""
    known = (
        sa.select(sync_runs.c.mapping)
        .where(run.sync.owns(sync_runs), sync_runs.c.mapping.is_not(None))
        .distinct()
    )
    earlier = [name for row in connection.rows(known) for name in json.loads(row.mapping)["attributes"]]
    return sorted(name for name in {*names, *earlier} if "*" not in name)


def _compared(run: RunKey, names: Sequence[str], share: float) -> sa.Select[Any]:
    """A row a cause: 0 for data and 1 for the mapping, people, unseen, and three counts for each name."""
    plan, snapshot = sync_plan, synced_people
    chosen = [
        run.owns(plan),
        run.sync.owns(snapshot),
        plan.c.operation == "identify",
        plan.c.fault_field.is_(None),
        plan.c.why.in_(UPDATES),
    ]
    if share < 1:
        # a hash is as good as a die, and the same on every engine
        edge = f"{int(share * 16**_HASH_DIGITS):0{_HASH_DIGITS}x}"
        chosen.append(plan.c.attributes_hash < edge)
    texts = (
        sa.select(
            sa.case((plan.c.why == "mapping", 1), else_=0).label("cause"),
            js.json_members(plan.c.attributes, *names).label("after"),
            js.json_members(snapshot.c.attributes, *names).label("before"),
        )
        .select_from(plan.join(snapshot, snapshot.c.person_id == plan.c.person_id))
        .where(*chosen)
    )
    rows = evaluated_once(texts).subquery("compared")
    counts: list[Column] = []
    seen: list[Column] = []
    for place in range(1, len(names) + 1):
        after, before = js.text_at(rows.c.after, place), js.text_at(rows.c.before, place)
        kinds = (
            sa.and_(before.is_(None), after.is_not(None)),
            before != after,
            sa.and_(before.is_not(None), after.is_(None)),
        )
        counts += [sa.func.sum(sa.case((kind, 1), else_=0)) for kind in kinds]
        seen.append(before.is_distinct_from(after))
    unseen = sa.func.sum(sa.case((sa.or_(sa.false(), *seen), 0), else_=1))
    return sa.select(rows.c.cause, sa.func.count().label("people"), unseen.label("unseen"), *counts).group_by(
        rows.c.cause
    )
