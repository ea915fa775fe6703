"""A model of recipients in a DuckDB file, a snapshot of synced people, a sandbox, and broadcasts between."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import httpx

from cio_pipelines.broadcasts.engine import Broadcast
from cio_pipelines.broadcasts.reports import Outcome, Request
from cio_pipelines.broadcasts.specs import AudienceLimits, BroadcastSpec
from cio_pipelines.customerio import AppClient, RetryPolicy
from cio_pipelines.sandbox import SandboxServer
from cio_pipelines.sync.state import prepare_state
from cio_pipelines.warehouse import Warehouse, open_warehouse

TODAY = datetime.now(UTC).date()
YESTERDAY = TODAY - timedelta(days=1)
WORKSPACE = "sandbox:sandbox-site"
"""As the settings name it for a sandbox at a given URL."""
TRIGGERS = "/v1/campaigns/7/triggers"
SPEC = BroadcastSpec(
    name="win_back",
    broadcast_id=7,
    schema="analytics",
    table="recipients",
    data={"subject": "We miss you"},
    limits=AudienceLimits(people=100, share=0.5),
)


def person_id(number: int) -> str:
    """An id that nobody could take for a word of a sentence or a number of a line."""
    return f"Xq-{number}-zz"


def client_of(url: str, **settings: Any) -> AppClient:
    """A client of the sandbox's App API that does not wait ten seconds between triggers."""
    quick = RetryPolicy(base_delay=0.05, max_delay=0.1, deadline=20.0)
    return AppClient(
        **{"api_key": "sandbox-app-key", "base_url": url, "seconds_per_broadcast": 0.01, "retry": quick}
        | settings
    )


class Rig:
    """`people` are in the workspace, and known to the snapshot as synced."""

    def __init__(self, folder: Path, server: SandboxServer, people: int = 20) -> None:
        self.database = folder / "warehouse.duckdb"
        self.server = server
        self.warehouse: Warehouse = open_warehouse(f"duckdb:///{self.database}")
        self._runs = 0
        with self.warehouse.connect() as connection:
            prepare_state(connection)
        self.execute(
            "create schema analytics",
            "create table analytics.recipients (day date, person_id varchar, email varchar, "
            "score decimal(9, 2), seen_at timestamp)",
        )
        self.join(range(people))

    def join(self, numbers: Iterable[int]) -> None:
        """Make people in the workspace, and remember them as synced."""
        batch = [
            {
                "type": "person",
                "action": "identify",
                "identifiers": {"id": person_id(n)},
                "attributes": {"email": f"p{n}@example.com"},
            }
            for n in numbers
        ]
        url, login = f"{self.server.url}/api/v2/batch", {"Authorization": self.server.track_authorization}
        for start in range(0, len(batch), 1_000):
            part = batch[start : start + 1_000]
            httpx.post(url, json={"batch": part}, headers=login, trust_env=False).raise_for_status()
        with duckdb.connect(str(self.database)) as connection:
            connection.executemany(
                "insert into customerio_sync.synced_people (workspace, sync, person_id, state) values "
                f"('{WORKSPACE}', 'people', ?, 'identified')",
                [[entry["identifiers"]["id"]] for entry in batch],
            )

    def model(self, day: date, numbers: Iterable[int], **values: Any) -> None:
        """Rows of the model for a day."""
        rows = [[day, person_id(n), f"p{n}@example.com", *values.values()] for n in numbers]
        columns = ", ".join(["day", "person_id", "email", *values])
        marks = ", ".join("?" * (3 + len(values)))
        with duckdb.connect(str(self.database)) as connection:
            connection.executemany(f"insert into analytics.recipients ({columns}) values ({marks})", rows)

    def broadcast(self, spec: BroadcastSpec = SPEC, **client: Any) -> Broadcast:
        return Broadcast(self.warehouse, WORKSPACE, spec, lambda: client_of(self.server.url, **client))

    def run(
        self,
        day: date = TODAY,
        *,
        spec: BroadcastSpec = SPEC,
        client: Mapping[str, Any] | None = None,
        **asked: Any,
    ) -> Outcome:
        """One run for a day; waits for processing two seconds at most unless asked for more."""
        self._runs += 1
        request = replace(Request(wait_seconds=2.0), **asked)
        with self.broadcast(spec, **(client or {})) as broadcast:
            return broadcast.run(day, f"run-{self._runs}", request)

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = []
        with duckdb.connect(str(self.database)) as connection:
            for statement in statements:
                rows = connection.execute(statement).fetchall()
        return rows

    def statuses(self) -> list[tuple[Any, ...]]:
        """(day, attempt, status, trigger_id, adopted) of all tries."""
        return self.execute(
            "select day, attempt, status, trigger_id, adopted from customerio_sync.broadcast_triggers "
            "order by day, attempt"
        )

    def written_to(self) -> list[str]:
        """Ids of the people who were sent a message, one for each message."""
        return sorted(delivery["person"] for delivery in self.server.deliveries())
