"""Taking over how a warehouse spells what the snapshot of another one says.

    adoption = adopt(warehouse, key, mart, max_attempts=3)

Hashes are over canonical texts, and engines spell texts differently: to a snapshot that was moved every row
would seem to have changed. Where the row of the mart means the same, its text and hash replace those that
were moved; where it does not, the next sync sends it, as it should. The engine finds the rows whose hashes
differ, and only those pass through here.
"""

# pyarrow carries few types
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast
from uuid import uuid4

import pyarrow as pa
import sqlalchemy as sa

from cio_pipelines.moving import copying
from cio_pipelines.moving.contents import contents, forget_contents, prepare_contents
from cio_pipelines.moving.meaning import says_the_same
from cio_pipelines.sync.candidates import Mart
from cio_pipelines.sync.commit import finish_killed
from cio_pipelines.sync.key import SyncKey
from cio_pipelines.sync.lease import Lease
from cio_pipelines.sync.mapping import DECIMAL
from cio_pipelines.sync.runs import Runs
from cio_pipelines.sync.state import (
    ERASURE_HASH,
    UNAPPLIED_HASH,
    dead_letters,
    open_people,
    prepare_state,
    synced_people,
)
from cio_pipelines.warehouse import Warehouse, WarehouseConnection
from cio_pipelines.warehouse import functions as fn
from cio_pipelines.warehouse.merge import Merge

_ROWS_AT_ONCE = 10_000

Column = sa.ColumnElement[Any]

_adopted = copying.passing_table(
    "adopted",
    # which table's row it is of
    sa.Column("of_table", sa.String),
    sa.Column("person_id", sa.String),
    sa.Column("known_hash", sa.String),
    sa.Column("attributes", sa.String),
    sa.Column("attributes_hash", sa.String),
)


@dataclass(frozen=True, slots=True)
class Adoption:
    """What became of rows whose text is another than the mart's.

    Attributes:
        people: of the snapshot, whose row means the same and was taken over.
        differing: of the snapshot, who really differ, or whose texts cannot be compared.
        waiting: dead letters and open people that were taken over.
        waiting_differing: those whose row is another now, or whose text is not known: they are tried anew.
        mapping_change: how the mart's attributes differ from those that were synced last.
    """

    people: int
    differing: int
    waiting: int
    waiting_differing: int
    mapping_change: str


def adopt(warehouse: Warehouse, key: SyncKey, mart: Mart, *, max_attempts: int) -> Adoption:
    """Compare the snapshot with the mart by meaning, and take over the mart's spelling; can be repeated.

    Args:
        warehouse: with both.
        key: whose snapshot.
        mart: as it is now.
        max_attempts: refusals that make a dead letter, for runs that were killed and are finished first.

    Raises:
        SyncInProgress: a run is going on.
        PlanOutdated: it took so long that another run took over; nothing was changed.
        WarehouseError: the warehouse cannot be read or written.
    """
    with warehouse.session(), warehouse.connect() as connection:
        prepare_state(connection)
        prepare_contents(connection)
        lease = Lease(key, f"adoption-{uuid4().hex[:12]}")
        lease.acquire(connection)
        try:
            finish_killed(connection, key, max_attempts)
            change = mart.mapping.change_from(Runs(connection, key).last_mapping())
            adopting = _Adopting(connection, key, mart, lambda: lease.renew(connection))
            copying.make_empty(connection, _adopted)
            people, differing = adopting.compare(synced_people, adopting.snapshot())
            waiting = [
                adopting.compare(table, adopting.waiting(table)) for table in (open_people, dead_letters)
            ]
            lease.renew(connection)
            with connection.transaction():
                adopting.take_over()
                forget_contents(connection, key)
            connection.execute(sa.schema.DropTable(_adopted))
        finally:
            lease.release(connection)
    return Adoption(
        people,
        differing,
        waiting=sum(same for same, _ in waiting),
        waiting_differing=sum(other for _, other in waiting),
        mapping_change=str(change),
    )


class _Adopting:
    """The statements of an adoption, and what is compared between them."""

    def __init__(
        self, connection: WarehouseConnection, key: SyncKey, mart: Mart, beat: Callable[[], None]
    ) -> None:
        self._connection = connection
        self._key = key
        self._beat = beat
        self._decimals = frozenset(
            name for name, kind in mart.mapping.described.items() if kind == DECIMAL.name
        )
        self._mapping_version = mart.mapping.version
        rows = fn.evaluated_once(mart.candidates(sa.true())).subquery("m")
        self._mart = sa.select(rows, fn.hash_text(rows.c.attributes).label("attributes_hash")).subquery(
            "mart"
        )

    def _compared(self, table: sa.Table, known: Column, *, has_same_fault: Column) -> sa.Select[Any]:
        return sa.select(
            sa.literal(table.name, sa.String).label("of_table"),
            table.c.person_id,
            table.c.attributes_hash.label("known_hash"),
            known.label("known"),
            self._mart.c.attributes,
            self._mart.c.attributes_hash,
            has_same_fault.label("has_same_fault"),
        )

    def _differs(self, table: sa.Table) -> Column:
        return sa.and_(
            self._key.owns(table), table.c.attributes_hash.is_distinct_from(self._mart.c.attributes_hash)
        )

    def _of_mart(self, table: sa.Table) -> Column:
        return table.c.person_id == self._mart.c.person_id

    def snapshot(self) -> sa.Select[Any]:
        """People whom Customer.io has, whose text is another than the mart's.

        What was not applied is not taken over: it is to be sent again, whatever its spelling.
        """
        return (
            self._compared(synced_people, synced_people.c.attributes, has_same_fault=sa.false())
            .select_from(synced_people.join(self._mart, self._of_mart(synced_people)))
            .where(
                self._differs(synced_people),
                synced_people.c.state == "identified",
                synced_people.c.attributes_hash != UNAPPLIED_HASH,
            )
        )

    def waiting(self, table: sa.Table) -> sa.Select[Any]:
        """Dead letters, or open people, of another text than the mart's.

        A row that is quarantined for the fault that it had is never sent: it need not say the same to be left
        alone, and may hold what no two engines write alike.
        """
        same_fault: Column = sa.false()
        if table is dead_letters:
            same_fault = sa.and_(
                table.c.kind == "quarantined",
                table.c.field == self._mart.c.fault_field,
                table.c.reason == self._mart.c.fault_reason,
            )
        texts = sa.select(contents).where(self._key.owns(contents)).subquery("texts")
        is_text = sa.and_(
            texts.c.person_id == table.c.person_id, texts.c.attributes_hash == table.c.attributes_hash
        )
        joined = table.join(self._mart, self._of_mart(table)).outerjoin(texts, is_text)
        return (
            self._compared(table, texts.c.attributes, has_same_fault=sa.func.coalesce(same_fault, sa.false()))
            .select_from(joined)
            .where(self._differs(table), table.c.attributes_hash != ERASURE_HASH)
        )

    def compare(self, table: sa.Table, query: sa.Select[Any]) -> tuple[int, int]:
        """Note whose text means the same; returns how many do, and how many do not."""
        looked_at = same = 0

        def alike() -> Iterator[pa.RecordBatch]:
            nonlocal looked_at
            for batch in self._connection.batches(query, rows_per_batch=_ROWS_AT_ONCE):
                looked_at += batch.num_rows
                yield self._alike(batch)
                self._beat()

        for portion in copying.portions(alike()):
            self._connection.append(_adopted, portion)
            same += portion.num_rows
        return same, looked_at - same

    def _alike(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows that mean the same, as they are noted."""
        columns = {name: batch.column(name) for name in ("known", "attributes", "has_same_fault")}
        known, attributes, faults = (cast("list[Any]", column.to_pylist()) for column in columns.values())
        mask = [
            fault or (ours is not None and says_the_same(ours, theirs, self._decimals))
            for ours, theirs, fault in zip(known, attributes, faults, strict=True)
        ]
        return batch.filter(pa.array(mask, pa.bool_())).select([column.name for column in _adopted.columns])

    def take_over(self) -> None:
        """Bring what was noted into the tables. In a transaction."""
        adopted = _adopted.c
        taken = {
            "attributes": adopted.attributes,
            "attributes_hash": adopted.attributes_hash,
            "mapping_version": sa.literal(self._mapping_version, sa.String),
        }
        rows = (
            sa.select(*(taken.get(c.name, c).label(c.name) for c in synced_people.columns))
            .select_from(synced_people.join(_adopted, adopted.person_id == synced_people.c.person_id))
            .where(
                self._key.owns(synced_people),
                adopted.of_table == synced_people.name,
                adopted.known_hash == synced_people.c.attributes_hash,
            )
        )
        key = ("workspace", "sync", "person_id")
        self._connection.execute(Merge(synced_people, rows, key, scope=self._key.owns(synced_people)))
        for table in (open_people, dead_letters):
            is_same = sa.and_(
                adopted.of_table == table.name,
                adopted.person_id == table.c.person_id,
                adopted.known_hash == table.c.attributes_hash,
            )
            new = sa.select(sa.func.max(adopted.attributes_hash)).where(is_same).scalar_subquery()
            noted = sa.select(adopted.person_id).where(is_same)
            self._connection.execute(
                table.update().where(self._key.owns(table), noted.exists()).values(attributes_hash=new)
            )
