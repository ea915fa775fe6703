"""The `Warehouse` protocol passed on to another warehouse, for tests that look at or disturb what passes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from cio_pipelines.warehouse import Warehouse, WarehouseConnection
from cio_pipelines.warehouse.protocol import Usage


class PassingConnection:
    """Tells `passes` of every statement and `appends` of every table before it is passed on."""

    def __init__(self, inner: WarehouseConnection) -> None:
        self._inner = inner

    def passes(self, statement: sa.Executable) -> None: ...

    def appends(self, table: sa.Table) -> None: ...

    def execute(self, statement: sa.Executable, parameters: Mapping[str, Any] | None = None) -> int:
        self.passes(statement)
        return self._inner.execute(statement, parameters)

    def rows(
        self, statement: sa.Executable, parameters: Mapping[str, Any] | None = None
    ) -> Sequence[sa.Row[Any]]:
        self.passes(statement)
        return self._inner.rows(statement, parameters)

    def scalar(self, statement: sa.Executable, parameters: Mapping[str, Any] | None = None) -> Any:
        self.passes(statement)
        return self._inner.scalar(statement, parameters)

    def batches(
        self,
        statement: sa.Executable,
        parameters: Mapping[str, Any] | None = None,
        *,
        rows_per_batch: int = 50_000,
    ) -> Iterator[pa.RecordBatch]:
        self.passes(statement)
        return self._inner.batches(statement, parameters, rows_per_batch=rows_per_batch)

    def append(self, table: sa.Table, rows: pa.Table) -> None:
        self.appends(table)
        self._inner.append(table, rows)

    def estimate(self, statement: sa.Executable, parameters: Mapping[str, Any] | None = None) -> int | None:
        return self._inner.estimate(statement, parameters)

    def transaction(self) -> contextlib.AbstractContextManager[None]:
        return self._inner.transaction()


class PassingWarehouse:
    """A warehouse whose connections are made by `wrap` around those of another."""

    def __init__(self, inner: Warehouse, wrap: Callable[[WarehouseConnection], WarehouseConnection]) -> None:
        self._inner = inner
        self._wrap = wrap

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def dialect(self) -> sa.Dialect:
        return self._inner.dialect

    @property
    def usage(self) -> Usage | None:
        return self._inner.usage

    def session(self) -> contextlib.AbstractContextManager[None]:
        return self._inner.session()

    @contextlib.contextmanager
    def connect(self) -> Generator[WarehouseConnection]:
        with self._inner.connect() as connection:
            yield self._wrap(connection)

    def columns(self, schema: str, table: str) -> dict[str, sa.types.TypeEngine[Any]]:
        return self._inner.columns(schema, table)
