"""What mart and snapshot know of the people of a call, beside what the call says of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import sqlalchemy as sa

from cio_pipelines.sync.candidates import Mart, is_ahead
from cio_pipelines.sync.given import Known
from cio_pipelines.sync.key import SyncKey
from cio_pipelines.sync.state import synced_people
from cio_pipelines.warehouse import WarehouseConnection
from cio_pipelines.warehouse import functions as fn
from cio_pipelines.warehouse.functions import UtcTimestamp


def _beside(over: Mart, key: SyncKey, people: Sequence[str]) -> tuple[sa.FromClause, Mart, sa.Subquery]:
    """People of a call joined with what the mart and the snapshot know of them."""
    mart = over.beneath or over
    snapshot = (
        sa.select(synced_people)
        .where(key.owns(synced_people), synced_people.c.person_id.in_(people))
        .subquery("snapshot")
    )
    of_mart = sa.and_(mart.person_id == over.person_id, mart.person_id.in_(people))
    joined = over.table.outerjoin(mart.table, of_mart).outerjoin(
        snapshot, snapshot.c.person_id == over.person_id
    )
    return joined, mart, snapshot


def outdated(connection: WarehouseConnection, key: SyncKey, over: Mart, people: Sequence[str]) -> list[str]:
    """People of whom something newer is known than what is said of them."""
    joined, mart, snapshot = _beside(over, key, people)
    newer = sa.or_(over.updated_at < mart.said_at, over.updated_at < snapshot.c.source_updated_at)
    rows = connection.rows(sa.select(over.person_id.label("person_id")).select_from(joined).where(newer))
    return [row.person_id for row in rows]


def after_all(
    connection: WarehouseConnection, key: SyncKey, over: Mart, people: Sequence[str], moment: datetime
) -> datetime:
    """`moment`, or right after what is known of these people, should a clock be fast."""
    joined, mart, snapshot = _beside(over, key, people)
    known = fn.utc_timestamp(sa.func.max(mart.said_at)), sa.func.max(snapshot.c.source_updated_at)
    latest = sa.select(*(sa.type_coerce(each, UtcTimestamp) for each in known)).select_from(joined)
    after = (each + timedelta(microseconds=1) for each in connection.rows(latest)[0] if each is not None)
    return max([moment, *after])


def ahead_of_mart(
    connection: WarehouseConnection, key: SyncKey, over: Mart, people: Sequence[str]
) -> dict[str, Known]:
    """What the snapshot knows of people of whom the mart knows nothing, or something older."""
    joined, mart, snapshot = _beside(over, key, people)
    lags = sa.or_(is_ahead(snapshot, mart.said_at), mart.person_id.is_(None))
    columns = (snapshot.c[name] for name in ("person_id", "state", "attributes", "mapping_version"))
    rows = connection.rows(sa.select(*columns).select_from(joined).where(snapshot.c.direct, lags))
    found: dict[str, Known] = {}
    for row in rows:
        attributes = json.loads(row.attributes or "{}", parse_float=Decimal)
        # of another mapping's text it is not known which of ours it would have
        is_whole = row.state == "deleted" or row.mapping_version == mart.mapping.version
        found[row.person_id] = Known(
            row.state, attributes, mart.mapping.kinds if is_whole else attributes.keys() & mart.mapping.kinds
        )
    return found
