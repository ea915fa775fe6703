"""A move that kills its own process: `python -m tests.moving.child OLD NEW WORKSPACE MOMENT`."""

from __future__ import annotations

import os
import signal
import sys

import sqlalchemy as sa

from cio_pipelines.moving.move import move
from cio_pipelines.sync.key import SyncKey
from cio_pipelines.sync.specs import PEOPLE
from cio_pipelines.warehouse import open_warehouse
from tests.sync.passing import PassingConnection, PassingWarehouse

MOMENTS = ("while rows are staged", "in the transaction", "after the transaction")


class Killed(PassingConnection):
    """Ends the process at a moment of the move."""

    moment = ""

    def appends(self, table: sa.Table) -> None:
        self._die_at("while rows are staged", table.name == "state_sync_plan")

    def passes(self, statement: sa.Executable) -> None:
        table = getattr(statement, "table", None)
        self._die_at(
            "in the transaction",
            isinstance(statement, sa.Insert) and getattr(table, "name", "") == "sync_runs",
        )
        dropped = isinstance(statement, sa.schema.DropTable) and statement.element.name == "state_open_people"
        Killed.drops += dropped
        # each is dropped before it is made, too
        self._die_at("after the transaction", Killed.drops == 2)

    drops = 0

    def _die_at(self, moment: str, is_now: bool) -> None:
        if is_now and moment == Killed.moment:
            os.kill(os.getpid(), signal.SIGKILL)


def main(old: str, new: str, workspace: str, moment: str) -> None:
    """Move the state, and die on the way."""
    Killed.moment = moment
    target = PassingWarehouse(open_warehouse(new), Killed)
    move(open_warehouse(old), target, SyncKey(workspace, PEOPLE.name), max_attempts=3)


if __name__ == "__main__":
    main(*sys.argv[1:])
