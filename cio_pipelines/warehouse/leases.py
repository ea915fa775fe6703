"""One writer at a time: whoever holds a lease may write, and nobody else.

A lease ends by release, by expiry, or by its owner's death, which is seen at once when the owner ran on this
machine: a process killed with SIGKILL can be followed immediately. Taking one is a single UPDATE of a row, so
that of two who try at the same moment one gets it on every engine.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import sqlalchemy as sa

from cio_pipelines.warehouse.functions import UtcTimestamp
from cio_pipelines.warehouse.protocol import WarehouseConnection

LEASE_SECONDS = 300
"""How long a lease holds without a heartbeat."""

_BEAT_SECONDS = LEASE_SECONDS / 5

_PAST = datetime(1970, 1, 1, tzinfo=UTC)
_DOUBLE: sa.Double[float] = sa.Double()


def lease_table(name: str, metadata: sa.MetaData, *key: sa.Column[Any]) -> sa.Table:
    """A table of leases, one row for each value of `key`."""
    return sa.Table(
        name,
        metadata,
        *key,
        sa.Column("owner", sa.String),
        sa.Column("host", sa.String),
        sa.Column("pid", sa.BigInteger),
        sa.Column("process_started", _DOUBLE),
        sa.Column("acquired_at", UtcTimestamp),
        sa.Column("expires_at", UtcTimestamp),
        comment="Who may write: one run at a time for each of them.",
    )


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a lease that another one wants."""

    owner: str
    host: str
    pid: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Lease:
    """One row of a lease table as `owner` (a run id) sees it. Nothing here may run in a transaction."""

    table: sa.Table
    key: Mapping[str, str]
    owner: str

    @property
    def _any(self) -> sa.ColumnElement[bool]:
        return sa.and_(*(self.table.c[name] == value for name, value in self.key.items()))

    @property
    def _mine(self) -> sa.ColumnElement[bool]:
        return sa.and_(self._any, self.table.c.owner == self.owner)

    def acquire(self, connection: WarehouseConnection) -> Holder | None:
        """Take the lease, or take it over from an owner that is dead or out of time.

        Returns:
            None when it is this owner's now, else who has it.
        """
        now = datetime.now(UTC)
        table = self.table
        found = connection.rows(sa.select(table).where(self._any))
        if not found:
            # a row that nobody holds; should two make one at the same moment, both are taken together below
            connection.execute(table.insert().values(**self.key, owner="", expires_at=_PAST))
        dead = [row.owner for row in found if row.expires_at > now and _is_dead(row)]
        free = sa.or_(
            table.c.expires_at <= sa.literal(now, UtcTimestamp), table.c.owner.in_([self.owner, *dead])
        )
        connection.execute(
            table.update()
            .where(self._any, free)
            .values(
                owner=self.owner,
                host=socket.gethostname(),
                pid=os.getpid(),
                process_started=psutil.Process().create_time(),
                acquired_at=now,
                expires_at=now + timedelta(seconds=LEASE_SECONDS),
            )
        )
        for row in connection.rows(sa.select(table).where(self._any)):
            if row.owner != self.owner and row.expires_at > now:
                self.release(connection)
                return Holder(row.owner, row.host, row.pid, row.expires_at)
        return None

    def renew(self, connection: WarehouseConnection) -> bool:
        """Show that the owner lives. Returns whether the lease is still its own."""
        expires_at = datetime.now(UTC) + timedelta(seconds=LEASE_SECONDS)
        connection.execute(self.table.update().where(self._mine).values(expires_at=expires_at))
        # Whoever takes it over takes all rows. One of another may be seen for a moment: of two rows that were
        # made together the left over one is taken by who wants the lease, finds it held and gives it back.
        mine = sa.select(sa.func.count()).select_from(self.table).where(self._mine)
        return bool(connection.scalar(mine))

    def release(self, connection: WarehouseConnection) -> None:
        """Give the lease back; nothing happens when it is not this owner's."""
        connection.execute(self.table.update().where(self._mine).values(owner="", expires_at=_PAST))


class Heartbeat:
    """Renews leases now and then, while something takes long.

    Args:
        renew: renews them, and raises when one is lost.
    """

    def __init__(self, renew: Callable[[], None]) -> None:
        self._renew = renew
        self._beaten_at = time.monotonic()

    def beat(self) -> None:
        """Renew, if it is time. Raises what `renew` does."""
        if time.monotonic() - self._beaten_at >= _BEAT_SECONDS:
            self.demand()

    def demand(self) -> None:
        """Renew at once: before something is written. Raises what `renew` does."""
        self._beaten_at = time.monotonic()
        self._renew()


def _is_dead(held: sa.Row[Any]) -> bool:
    if held.host != socket.gethostname():
        return False
    try:
        owner = psutil.Process(held.pid)
        # a process id is used again after a while; its start time tells the two apart
        return owner.status() == psutil.STATUS_ZOMBIE or abs(owner.create_time() - held.process_started) > 1.0
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False  # it is there, and another user's
