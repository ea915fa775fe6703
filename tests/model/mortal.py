"""A process that dies in the middle of a run: nothing that it does afterwards reaches the warehouse."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from cio_pipelines.warehouse import Warehouse, WarehouseConnection
from tests.sync.passing import PassingConnection, PassingWarehouse


class Killed(Exception):
    """The process is no more: it is raised by whatever it asks of the warehouse from then on."""


@dataclass
class Life:
    """How many more writes a process lives."""

    left: int

    def lose(self) -> None:
        self.left -= 1
        self.check()

    def check(self) -> None:
        if self.left <= 0:
            raise Killed


class MortalConnection(PassingConnection):
    """The connection of a process that dies before one of its writes; then nothing of it reaches the file."""

    def __init__(self, inner: WarehouseConnection, life: Life) -> None:
        super().__init__(inner)
        self._life = life

    def passes(self, statement: sa.Executable) -> None:
        self._life.check()

    def appends(self, table: sa.Table) -> None:
        self._life.lose()

    def execute(self, statement: sa.Executable, parameters: Mapping[str, Any] | None = None) -> int:
        self._life.lose()
        return super().execute(statement, parameters)

    @contextlib.contextmanager
    def transaction(self) -> Generator[None]:
        self._life.check()
        with super().transaction():
            yield
            self._life.lose()  # right before it would last


def mortal(warehouse: Warehouse, writes: int) -> PassingWarehouse:
    """The warehouse of a process that dies before the last of so many writes."""
    life = Life(writes)
    return PassingWarehouse(warehouse, lambda connection: MortalConnection(connection, life))
