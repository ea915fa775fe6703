"""A plan in numbers: how many operations of which kind, and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from cio_pipelines.sync.key import RunKey
from cio_pipelines.sync.reports import Refusals
from cio_pipelines.sync.state import sync_plan
from cio_pipelines.warehouse import WarehouseConnection


@dataclass(frozen=True, slots=True)
class Tally:
    """`count` planned operations that are alike; a fault means that they are quarantined."""

    operation: str
    why: str
    fault_field: str | None
    fault_reason: str | None
    count: int

    @property
    def is_sent(self) -> bool:
        return self.fault_field is None


@dataclass(frozen=True, slots=True)
class Tallies:
    """All operations of a plan, counted."""

    rows: Sequence[Tally]

    @property
    def planned(self) -> int:
        """Operations, quarantined ones among them."""
        return sum(row.count for row in self.rows)

    @property
    def operations(self) -> dict[str, int]:
        """Operations by their name."""
        return _by((row.operation, row.count) for row in self.rows)

    @property
    def whys(self) -> dict[str, int]:
        """People by the reason for planning them; who has two operations counts once, by the later one."""
        erases = any(row.operation == "delete" for row in self.rows)
        firsts = ("unsuppress", "suppress") if erases else ("unsuppress",)
        return _by((row.why, row.count) for row in self.rows if row.operation not in firsts)

    @property
    def quarantined(self) -> tuple[Refusals, ...]:
        """Operations that are not sent, by what is wrong, the most frequent first."""
        counts: dict[tuple[str, str], int] = {}
        for row in self.rows:
            if row.fault_field is not None and row.fault_reason is not None:
                fault = row.fault_field, row.fault_reason
                counts[fault] = counts.get(fault, 0) + row.count
        found = [Refusals("quarantine", field, reason, count) for (field, reason), count in counts.items()]
        return tuple(sorted(found, key=lambda item: (-item.people, item.field)))

    def sent(self, *, why: str | None = None, operation: str | None = None) -> int:
        """People to whom something is sent, for one reason or by one operation."""
        return sum(
            row.count
            for row in self.rows
            if row.is_sent
            and why in (None, row.why)
            and operation in (None, row.operation)
            and row.operation != "unsuppress"
        )


def count_plan(connection: WarehouseConnection, run: RunKey) -> Tallies:
    """The plan of a run in numbers."""
    columns = [sync_plan.c.operation, sync_plan.c.why, sync_plan.c.fault_field, sync_plan.c.fault_reason]
    counted = sa.select(*columns, sa.func.count()).where(run.owns(sync_plan)).group_by(*columns)
    rows = connection.rows(counted)
    return Tallies([Tally(row[0], row[1], row[2], row[3], int(row[4])) for row in rows])


def _by(names: Iterable[tuple[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, count in names:
        found[name] = found.get(name, 0) + count
    return found
