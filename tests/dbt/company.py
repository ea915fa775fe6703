"""A small application beside a landing zone: users who act, and events that Customer.io reports of them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.dbt.conftest import execute
from tests.webhooks.rig_load import LoadRig

USERS = """
create schema app;
create table app.users (
    user_id varchar, email varchar, first_name varchar, last_name varchar, plan varchar, created_at timestamp,
    updated_at timestamp, marketing_opt_in boolean, transactional_opt_in boolean
);
create table app.orders (
    order_id varchar, user_id varchar, status varchar, amount integer, currency varchar, ordered_at timestamp
);
"""


class Company:
    """A warehouse in a folder. Moments are counted in seconds from `start`, an hour ago."""

    def __init__(self, folder: Path) -> None:
        self.landing = LoadRig(folder)
        self.database = self.landing.database
        self.start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
        self._numbers: Iterator[int] = itertools.count(1)
        execute(self.database, USERS)

    def at(self, second: float) -> datetime:
        """A moment as the warehouse has it: UTC without saying so."""
        return (self.start + timedelta(seconds=second)).replace(tzinfo=None)

    def user(self, user_id: str, marketing: bool, *, at: float = 0) -> None:
        """A user as the application has them from `at` on."""
        execute(
            self.database,
            f"delete from app.users where user_id = '{user_id}'",
            f"insert into app.users by name select '{user_id}' as user_id, {marketing} as marketing_opt_in, "
            f"true as transactional_opt_in, timestamp '{self.at(at)}' as updated_at",
        )

    def event(self, metric: str, person: str | None, second: int, **members: Any) -> bytes:
        """An event of a person's; members beside `object_type` are data."""
        object_type = members.pop("object_type", "email")
        data = {"identifiers": {"id": person, "email": None, "cio_id": f"c-{person}"}, **members}
        return json.dumps(
            {
                "event_id": f"01KAT{next(self._numbers):021d}",
                "object_type": object_type,
                "metric": metric,
                "timestamp": int(self.start.timestamp()) + second,
                "data": data,
            }
        ).encode()

    def report(self, *events: bytes) -> None:
        """Land events and load them."""
        self.landing.land(events)
        assert self.landing.run().quarantined == {}

    def row(self, relation: str, **key: str) -> dict[str, Any]:
        """The one row of a relation of `analytics` that has a key, by column."""
        [(name, value)] = key.items()
        columns = [found[0] for found in execute(self.database, f"describe analytics.{relation}")]
        rows = execute(self.database, f"select * from analytics.{relation} where {name} = '{value}'")
        assert len(rows) == 1, rows
        return dict(zip(columns, rows[0], strict=True))

    def tables(self) -> dict[str, list[tuple[Any, ...]]]:
        """All rows of all tables that dbt keeps, in order."""
        names = execute(
            self.database,
            "select table_schema || '.' || table_name from information_schema.tables "
            "where table_schema in ('analytics', 'snapshots') and table_type = 'BASE TABLE' order by 1",
        )
        return {name: execute(self.database, f"from {name} order by all") for (name,) in names}
