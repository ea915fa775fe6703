"""What another run or a build of dbt does between two statements of a run: nothing is sent then."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from cio_pipelines.broadcasts.engine import Broadcast
from cio_pipelines.broadcasts.errors import BroadcastError, BroadcastInProgress, RecipientsError
from cio_pipelines.warehouse import WarehouseConnection
from tests.sync.passing import PassingConnection, PassingWarehouse

from .rig import SPEC, TODAY, WORKSPACE, Rig, client_of, person_id


class Disturbed(PassingConnection):
    """Runs a statement before the first one whose text holds a mark."""

    def __init__(self, inner: WarehouseConnection, mark: str, disturbance: str, done: list[str]) -> None:
        super().__init__(inner)
        self._mark, self._disturbance, self._done = mark, disturbance, done

    def passes(self, statement: sa.Executable) -> None:
        if not self._done and self._mark in str(statement):
            self._done.append(self._mark)
            self._inner.execute(sa.text(self._disturbance))


@pytest.mark.parametrize(
    ("mark", "disturbance", "error"),
    [
        (
            "LIMIT",
            f"insert into analytics.recipients (day, person_id) values ('{TODAY}', '{person_id(7)}')",
            RecipientsError,
        ),
        (
            "INSERT INTO customerio_sync.broadcast_triggers",
            "update customerio_sync.broadcast_leases set owner = 'another'",
            BroadcastInProgress,
        ),
    ],
    ids=["the model is built anew", "the lease is lost"],
)
def test_nothing_is_sent_or_written_when(
    rig: Rig, mark: str, disturbance: str, error: type[BroadcastError]
) -> None:
    rig.model(TODAY, range(5))
    done: list[str] = []
    warehouse = PassingWarehouse(rig.warehouse, lambda inner: Disturbed(inner, mark, disturbance, done))

    with (
        Broadcast(warehouse, WORKSPACE, SPEC, lambda: client_of(rig.server.url)) as broadcast,
        pytest.raises(error, match="nothing was sent"),
    ):
        broadcast.run(TODAY, "run")

    assert done == [mark]
    assert rig.statuses() == []
    assert rig.server.triggers() == []
