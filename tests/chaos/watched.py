"""A warehouse that tells when a run is at a moment inside it, and else does what the real one does."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from cio_pipelines.sync.state import sync_acks, sync_plan, synced_people
from cio_pipelines.warehouse import Warehouse, WarehouseConnection
from cio_pipelines.warehouse.merge import Merge
from cio_pipelines.warehouse.protocol import Usage

from .matrix import FLUSH, MERGE, PLAN

Strike = Callable[[], None]
FLUSHES_BEFORE = 2


class Watched:
    """Calls `strike` once, when the run is in the midst of `moment`:

    - the plan: its rows are written, and the run is not yet noted as planned;
    - the third flush of the ledger: in its transaction, with the acknowledgements written and not the log;
    - the merge of the snapshot: in its transaction, with the snapshot moved and nothing committed.
    """

    def __init__(self, warehouse: Warehouse, moment: str, strike: Strike) -> None:
        self._warehouse = warehouse
        self._moment = moment
        self._strike = strike
        self._flushes = 0
        self._is_done = False

    @property
    def name(self) -> str:
        return self._warehouse.name

    @property
    def dialect(self) -> sa.Dialect:
        return self._warehouse.dialect

    @property
    def usage(self) -> Usage | None:
        return self._warehouse.usage

    def session(self) -> AbstractContextManager[None]:
        return self._warehouse.session()

    def columns(self, schema: str, table: str) -> dict[str, sa.types.TypeEngine[Any]]:
        return self._warehouse.columns(schema, table)

    @contextmanager
    def connect(self) -> Generator[WarehouseConnection]:
        with self._warehouse.connect() as connection:
            yield _WatchedConnection(connection, self)

    def was_executed(self, statement: sa.Executable) -> None:
        if isinstance(statement, Merge) and statement.table is synced_people:
            self._at(MERGE)
        elif isinstance(statement, sa.Insert) and statement.table is sync_plan:
            self._at(PLAN)

    def was_appended(self, table: sa.Table) -> None:
        if table is sync_acks:
            self._flushes += 1
            if self._flushes > FLUSHES_BEFORE:
                self._at(FLUSH)

    def _at(self, moment: str) -> None:
        if moment == self._moment and not self._is_done:
            self._is_done = True
            self._strike()


class _WatchedConnection:
    def __init__(self, connection: WarehouseConnection, watch: Watched) -> None:
        self._connection = connection
        self._watch = watch

    def execute(self, statement: sa.Executable, parameters: Mapping[str, Any] | None = None) -> int:
        changed = self._connection.execute(statement, parameters)
        self._watch.was_executed(statement)
        return changed

    def append(self, table: sa.Table, rows: pa.Table) -> None:
        self._connection.append(table, rows)
        self._watch.was_appended(table)

    def rows(
        self, statement: sa.Executable, parameters: Mapping[str, Any] | None = None
    ) -> Sequence[sa.Row[Any]]:
        return self._connection.rows(statement, parameters)

    def scalar(self, statement: sa.Executable, parameters: Mapping[str, Any] | None = None) -> Any:
        return self._connection.scalar(statement, parameters)

    def batches(
        self,
        statement: sa.Executable,
        parameters: Mapping[str, Any] | None = None,
        *,
        rows_per_batch: int = 50_000,
    ) -> Iterator[pa.RecordBatch]:
        return self._connection.batches(statement, parameters, rows_per_batch=rows_per_batch)

    def transaction(self) -> AbstractContextManager[None]:
        return self._connection.transaction()

    def estimate(self, statement: sa.Executable, parameters: Mapping[str, Any] | None = None) -> int | None:
        return self._connection.estimate(statement, parameters)
