"""A plan as a person reads it: a few rows, with every value masked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from cio_pipelines.sync.key import RunKey
from cio_pipelines.sync.state import sync_plan, synced_people
from cio_pipelines.warehouse import WarehouseConnection

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs]

_SHOWN_CHANGES = 4


def sample(connection: WarehouseConnection, run: RunKey, rows: int = 10) -> pd.DataFrame:
    """Up to `rows` planned operations: person_id, operation, why, changes, bytes. Values are masked."""
    # half a second that every other command would wait for
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs]

    plan = sync_plan
    joined = plan.outerjoin(
        synced_people, sa.and_(run.sync.owns(synced_people), synced_people.c.person_id == plan.c.person_id)
    )
    chosen = (
        sa.select(
            plan.c.person_id,
            plan.c.operation,
            plan.c.why,
            plan.c.attributes,
            plan.c.fault_field,
            plan.c.fault_reason,
            synced_people.c.attributes.label("before"),
        )
        .select_from(joined)
        .where(run.owns(plan))
        .order_by(plan.c.why, plan.c.person_id)
        .limit(rows)
    )
    return pd.DataFrame(
        [
            {
                "person_id": mask(row.person_id) if "@" in row.person_id else row.person_id,
                "operation": row.operation if row.fault_field is None else "quarantine",
                "why": row.why
                if row.fault_field is None
                else f"{row.why}: {row.fault_field} {row.fault_reason}",
                "changes": changes(row.before, row.attributes),
                "bytes": len((row.attributes or "").encode()),
            }
            for row in connection.rows(chosen)
        ],
        columns=pd.Index(["person_id", "operation", "why", "changes", "bytes"]),
    )


def changes(before: str | None, after: str | None) -> str:
    """Which attributes differ between two canonical texts, values masked: `plan: p…(3) → e…(10)`."""
    old: dict[str, Any] = json.loads(before) if before else {}
    new: dict[str, Any] = json.loads(after) if after else {}
    names = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    if not old:
        return f"{len(new)} attributes"
    shown = [f"{name}: {mask(old.get(name))} → {mask(new.get(name))}" for name in names[:_SHOWN_CHANGES]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def mask(value: object) -> str:
    """The first character of a value and how long it is; `∅` for none."""
    if value is None:
        return "∅"
    text = value if isinstance(value, str) else json.dumps(value)
    return f"{text[:1]}…({len(text)})"
