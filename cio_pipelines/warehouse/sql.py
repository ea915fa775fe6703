"""What the engines share: a connection of the `Warehouse` protocol over one of SQLAlchemy's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError


class SqlConnection(ABC):
    """A connection that autocommits outside `transaction()`. An engine adds how it streams and appends Arrow.

    Args:
        connection: SQLAlchemy's.
        name: of the database, for messages.
        translate: turns the engine's errors into those of `errors.py`, without values of rows.
    """

    def __init__(
        self,
        connection: sa.Connection,
        name: str,
        translate: Callable[[str], AbstractContextManager[None]],
    ) -> None:
        self._connection = connection
        self._name = name
        self._translate = translate
        self._in_transaction = False

    def _errors(self) -> AbstractContextManager[None]:
        return self._translate(self._name)

    @abstractmethod
    def batches(
        self,
        statement: sa.Executable,
        parameters: Mapping[str, Any] | None = None,
        *,
        rows_per_batch: int = 50_000,
    ) -> Iterator[pa.RecordBatch]:
        """As the protocol says."""

    @abstractmethod
    def append(self, table: sa.Table, rows: pa.Table) -> None:
        """As the protocol says."""

    def execute(self, statement: sa.Executable, parameters: Mapping[str, Any] | None = None) -> int:
        with self._step():
            return self._connection.execute(statement, dict(parameters or {})).rowcount

    def rows(
        self, statement: sa.Executable, parameters: Mapping[str, Any] | None = None
    ) -> Sequence[sa.Row[Any]]:
        self._demand_no_transaction()
        with self._step():
            return self._connection.execute(statement, dict(parameters or {})).all()

    def scalar(self, statement: sa.Executable, parameters: Mapping[str, Any] | None = None) -> Any:
        self._demand_no_transaction()
        with self._step():
            return self._connection.execute(statement, dict(parameters or {})).scalar()

    def estimate(self, statement: sa.Executable, parameters: Mapping[str, Any] | None = None) -> int | None:
        return None

    @contextmanager
    def transaction(self) -> Generator[None]:
        if self._in_transaction:
            yield
            return
        self._in_transaction = True
        try:
            with self._errors():
                yield
                self._commit()
        except BaseException:
            self._roll_back()
            raise
        finally:
            self._in_transaction = False

    def _commit(self) -> None:
        self._connection.commit()

    def _roll_back(self) -> None:
        # The error on its way says what happened; the engine may have ended the transaction itself by now.
        # After a commit that failed SQLAlchemy wants this before it takes another statement.
        with suppress(DBAPIError, *self._driver_errors()):
            self._connection.rollback()

    def _driver_errors(self) -> tuple[type[Exception], ...]:
        """What the driver raises past SQLAlchemy."""
        return ()

    def _demand_no_transaction(self) -> None:
        # Only some engines could do it, and what runs on one of them shall run on all.
        if self._in_transaction:
            raise RuntimeError("a transaction only writes: read before it")

    @contextmanager
    def _step(self) -> Generator[None]:
        with self._errors():
            try:
                yield
                if not self._in_transaction:
                    self._connection.commit()
            except BaseException:
                if not self._in_transaction:
                    self._roll_back()
                raise
