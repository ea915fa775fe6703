"""What dead letters and open people were about, while their state is on its way to another warehouse.

They hold the hash of what was refused, and no text. The text is kept beside them until it was compared with
the target's mart (`adoption.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from cio_pipelines.moving import copying
from cio_pipelines.sync.candidates import Mart
from cio_pipelines.sync.key import SyncKey
from cio_pipelines.sync.state import ERASURE_HASH, dead_letters, open_people, sync_plan
from cio_pipelines.warehouse import WarehouseConnection
from cio_pipelines.warehouse import functions as fn

contents = sa.Table(
    "contents",
    sa.MetaData(),
    sa.Column("workspace", sa.String),
    sa.Column("sync", sa.String),
    sa.Column("person_id", sa.String),
    sa.Column("attributes_hash", sa.String),
    sa.Column("attributes", sa.String),
    schema=copying.SCHEMA,
)


def prepare_contents(connection: WarehouseConnection) -> None:
    """Make the table, unless it is there."""
    connection.execute(sa.schema.CreateSchema(copying.SCHEMA, if_not_exists=True))
    connection.execute(sa.schema.CreateTable(contents, if_not_exists=True))


def keep_contents(
    source: WarehouseConnection,
    target: WarehouseConnection,
    key: SyncKey,
    mart: Mart | None,
    beat: Callable[[], None],
) -> int:
    """Copy the texts to the target: from the source's mart where it still says the same, else from a plan.

    Returns:
        How many there are.
    """
    prepare_contents(target)
    forget_contents(target, key)
    return copying.copy(source, _known(key, mart), target, contents, beat)


def forget_contents(connection: WarehouseConnection, key: SyncKey) -> None:
    """Remove the texts."""
    connection.execute(contents.delete().where(key.owns(contents)))


def _known(key: SyncKey, mart: Mart | None) -> sa.Select[Any]:
    waiting = sa.union_all(
        *(
            sa.select(table.c.person_id, table.c.attributes_hash).where(
                key.owns(table), table.c.attributes_hash != ERASURE_HASH
            )
            for table in (open_people, dead_letters)
        )
    ).subquery("waiting")
    planned = sa.select(sync_plan.c.person_id, sync_plan.c.attributes_hash, sync_plan.c.attributes).where(
        key.owns(sync_plan), sync_plan.c.attributes.is_not(None)
    )
    texts: list[sa.Select[Any]] = [planned]
    if mart is not None:
        rows = fn.evaluated_once(mart.candidates(sa.true())).subquery("m")
        texts.append(
            sa.select(
                rows.c.person_id, fn.hash_text(rows.c.attributes).label("attributes_hash"), rows.c.attributes
            )
        )
    known = sa.union_all(*texts).subquery("known")
    same = sa.and_(
        known.c.person_id == waiting.c.person_id, known.c.attributes_hash == waiting.c.attributes_hash
    )
    return (
        sa.select(
            *key.columns,
            waiting.c.person_id,
            waiting.c.attributes_hash,
            # of one hash there is one text
            sa.func.max(known.c.attributes).label("attributes"),
        )
        .select_from(waiting.join(known, same))
        .group_by(waiting.c.person_id, waiting.c.attributes_hash)
    )
