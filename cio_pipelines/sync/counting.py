"""How many people there are, for guards and reports: in the mart, and in the snapshot beside it."""

from __future__ import annotations

import sqlalchemy as sa

from cio_pipelines.sync.candidates import is_ahead
from cio_pipelines.sync.planning import Planner, Selection
from cio_pipelines.sync.state import synced_people


def known_people(planner: Planner, *, exact: bool = True) -> int:
    """The guards' denominator: the larger of people identified in the snapshot and living in the mart.

    Without `exact` those with a tombstone count as living, which spares a look at the whole mart.
    """
    snapshot = sa.select(sa.func.count()).where(
        planner.run.sync.owns(synced_people), synced_people.c.state == "identified"
    )
    rows, tombstoned = planner.count((sa.true(),)) if exact else (planner.mart_rows(), 0)
    return max(int(planner.connection.scalar(snapshot)), rows - tombstoned)


def absent_people(planner: Planner) -> int:
    """People identified in the snapshot who are no longer in the mart."""
    mart = planner.mart
    snapshot = planner.state(synced_people, "person_id", where=synced_people.c.state == "identified")
    present = sa.select(mart.person_id).select_from(mart.table)
    gone = sa.select(sa.func.count()).select_from(snapshot).where(snapshot.c.person_id.not_in(present))
    return int(planner.connection.scalar(gone))


def ahead_people(planner: Planner, selection: Selection) -> int:
    """Selected people who are left as they are because the mart lags behind what is known of them."""
    if not planner.is_any_direct():
        return 0
    mart = planner.mart
    direct = planner.state(
        synced_people, *("person_id", "state", "source_updated_at", "direct"), where=synced_people.c.direct
    )
    joined = mart.table.join(direct, direct.c.person_id == mart.person_id)
    ahead = sa.and_(mart.deleted_at.is_(None), is_ahead(direct, mart.updated_at))
    counted = sa.select(sa.func.count()).select_from(joined).where(ahead)
    return sum(int(planner.connection.scalar(counted.where(each))) for each in selection)
