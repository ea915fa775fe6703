"""A sandbox as Customer.io, an event mart in some warehouse, and the event sync between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from cio_pipelines.customerio import TrackClient
from cio_pipelines.sandbox import SandboxServer
from cio_pipelines.sync.events.engine import EventSync
from cio_pipelines.sync.events.reports import EventPlan
from cio_pipelines.sync.push import Progress
from cio_pipelines.sync.reports import Outcomes, PushReport
from cio_pipelines.sync.settings import SyncSettings
from cio_pipelines.sync.specs import EVENTS
from cio_pipelines.sync.windows import FULL, Window
from cio_pipelines.warehouse import Warehouse
from cio_pipelines.warehouse.functions import UtcTimestamp
from tests.engines.rig import open_url
from tests.sync.rig import QUICK, TLS

NOON = datetime(2026, 5, 20, 12, tzinfo=UTC)
"""When events happen that are not said to happen at another time."""

PROPERTIES: dict[str, sa.types.TypeEngine[Any]] = {
    "order_id": sa.String(),
    "amount": sa.Numeric(18, 4),
    "ratio": sa.Double(),
    "shipped_at": sa.TIMESTAMP(timezone=True),
}


def day(text: str, days: int = 1) -> Window:
    """The window of a day, or of several from it on."""
    start = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return Window(start, start + timedelta(days=days))


def event(event_id: str, **values: Any) -> dict[str, Any]:
    """A row of the mart."""
    common = {"event_id": event_id, "person_id": "ada", "name": "order_placed", "occurred_at": NOON}
    return {**common, "order_id": event_id, **values}


@dataclass(frozen=True)
class Ran:
    """One run."""

    run_id: str
    plan: EventPlan
    report: PushReport

    @property
    def outcomes(self) -> Outcomes:
        return self.report.outcomes


@dataclass
class EventRig:
    """One workspace. `endpoint` is that of an emulator of BigQuery."""

    url: str
    sandbox: SandboxServer
    endpoint: str = ""
    workspace: str = "tests"
    properties: Mapping[str, sa.types.TypeEngine[Any]] = field(default_factory=lambda: PROPERTIES)
    _runs: int = 0

    def __post_init__(self) -> None:
        self.warehouse: Warehouse = open_url(self.url, self.endpoint)
        self.mart = sa.Table(
            EVENTS.table,
            sa.MetaData(),
            *(sa.Column(name, sa.String) for name in ("event_id", "person_id", "name")),
            sa.Column("occurred_at", UtcTimestamp),
            *(sa.Column(name, kind) for name, kind in self.properties.items()),
            schema=EVENTS.schema,
        )

    def make_mart(self, *events: Mapping[str, Any]) -> None:
        """A mart of these rows."""
        with self.warehouse.connect() as connection:
            connection.execute(sa.schema.CreateSchema(EVENTS.schema, if_not_exists=True))
            connection.execute(sa.schema.DropTable(self.mart, if_exists=True))
            connection.execute(sa.schema.CreateTable(self.mart))
        self.add(*events)

    def add(self, *events: Mapping[str, Any]) -> None:
        """More rows."""
        nothing = dict.fromkeys(column.name for column in self.mart.columns)
        if events:
            self.execute(self.mart.insert().values([{**nothing, **each} for each in events]))

    def change(self, event_id: str, **values: Any) -> None:
        self.execute(self.mart.update().where(self.mart.c.event_id == event_id).values(**values))

    def client(self, **settings: Any) -> TrackClient:
        defaults: dict[str, Any] = {
            "site_id": self.sandbox.options.site_id,
            "api_key": self.sandbox.options.track_api_key,
            "base_url": self.sandbox.url,
            "requests_per_second": 100_000,
            "retry": QUICK,
            "verify": TLS,
        }
        return TrackClient(**{**defaults, **settings})

    def engine(
        self,
        client: Mapping[str, Any] | None = None,
        warehouse: Warehouse | None = None,
        **settings: Any,
    ) -> EventSync:
        chosen = SyncSettings(**{"workspace": self.workspace, **settings})
        return EventSync(warehouse or self.warehouse, EVENTS, chosen, lambda: self.client(**(client or {})))

    def run(
        self, window: Window = FULL, *, progress: Progress | None = None, run_id: str = "", **settings: Any
    ) -> Ran:
        self._runs += 1
        run_id = run_id or f"run-{self._runs}"
        engine = self.engine(**settings)
        plan = engine.plan(run_id, window)
        report = engine.push(run_id, progress)
        outcomes = report.outcomes
        assert outcomes.complete, outcomes
        assert outcomes.planned == plan.planned
        assert plan.extracted == plan.accepted_before + plan.left_alone + plan.planned
        assert engine.outcomes(run_id) == outcomes
        return Ran(run_id, plan, report)

    # Customer.io

    def received(self) -> Counter[tuple[str, str]]:
        """How often each person was in an operation received, with its outcome."""
        return Counter((each["id"], each["outcome"]) for each in self.sandbox.operations())

    def events(self) -> list[dict[str, Any]]:
        """Events that the sandbox took, in order."""
        return [each for each in self.sandbox.activities() if each["type"] == "event"]

    def refuse(self, *people: str) -> None:
        """Refuse what these people did from now on; nothing, when nobody is named."""
        self.sandbox.set_faults([{"kind": "reject", "ids": list(people)}] if people else [])

    # the warehouse

    def execute(self, statement: sa.Executable) -> int:
        with self.warehouse.connect() as connection:
            return connection.execute(statement)

    def state(self, table: sa.Table, *names: str) -> list[tuple[Any, ...]]:
        """Columns of this workspace's events in a state table, sorted."""
        mine = sa.and_(table.c.workspace == self.workspace, table.c.sync == EVENTS.name)
        chosen = sa.select(*(table.c[name] for name in names)).where(mine)
        with self.warehouse.connect() as connection:
            return sorted((tuple(row) for row in connection.rows(chosen)), key=repr)
