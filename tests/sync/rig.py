"""A sandbox as Customer.io, a mart in a DuckDB file or elsewhere, and the people sync between them."""

from __future__ import annotations

import contextlib
import itertools
import ssl
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from cio_pipelines.customerio import RetryPolicy, TrackClient
from cio_pipelines.sandbox import SandboxServer
from cio_pipelines.sync.engine import PeopleSync, SyncSettings
from cio_pipelines.sync.guards import Approvals, GuardLimits, Limits
from cio_pipelines.sync.push import Progress
from cio_pipelines.sync.reports import Extraction, Outcomes, Plan, PushReport
from cio_pipelines.sync.specs import PEOPLE
from cio_pipelines.sync.windows import FULL, Window
from cio_pipelines.warehouse import Warehouse, open_warehouse

TLS = ssl.create_default_context()  # made once: it costs 25 ms, and nothing here speaks TLS
QUICK = RetryPolicy(max_attempts=3, base_delay=0.001, max_delay=0.01, deadline=20.0)
YEARS_AGO = Window(datetime(2001, 1, 1, tzinfo=UTC), datetime(2001, 1, 2, tzinfo=UTC))
NO_LIMIT = Limits(1.0, 1_000_000)
UNGUARDED = GuardLimits(NO_LIMIT, NO_LIMIT, NO_LIMIT)
EVERYTHING = Approvals(changed=True, mapping=True, suppressed=True, erased=True)

PEOPLE_TABLE = """
create schema if not exists analytics;
create or replace table analytics.customerio_people (
    person_id varchar, updated_at timestamp, opted_out boolean, deleted_at timestamp,
    email varchar, first_name varchar, plan varchar
)
"""


@dataclass(frozen=True)
class Ran:
    """One run from extraction to report."""

    run_id: str
    extraction: Extraction
    plan: Plan
    report: PushReport

    @property
    def outcomes(self) -> Outcomes:
        return self.report.outcomes


class SyncRig:
    """The people sync between the mart of some warehouse and a sandbox as Customer.io."""

    url: str
    """The `WAREHOUSE_URL`."""

    sandbox: SandboxServer
    defaults: dict[str, Any]
    _numbers: Iterator[int]

    endpoint: str = ""
    """Of an emulator of BigQuery."""

    @property
    def warehouse(self) -> Warehouse:
        raise NotImplementedError

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
    ) -> PeopleSync:
        chosen = {"workspace": "tests", "guards": UNGUARDED, **self.defaults, **settings}
        return PeopleSync(
            warehouse or self.warehouse, PEOPLE, SyncSettings(**chosen), lambda: self.client(**(client or {}))
        )

    def new_id(self) -> str:
        return f"run-{next(self._numbers)}"

    def run(
        self,
        window: Window = FULL,
        *,
        approvals: Approvals = Approvals(),  # noqa: B008
        progress: Progress | None = None,
        client: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> Ran:
        run_id = self.new_id()
        engine = self.engine(client, **settings)
        extraction = engine.extract(run_id, window)
        plan = engine.plan(run_id, approvals)
        report = engine.push(run_id, progress)
        assert report.outcomes.complete, report.outcomes
        assert report.outcomes.planned == plan.planned
        assert engine.outcomes(run_id) == report.outcomes
        return Ran(run_id, extraction, plan, report)

    def plan(self, window: Window = FULL, approvals: Approvals = Approvals(), **settings: Any) -> Plan:  # noqa: B008
        """A dry run."""
        run_id = self.new_id()
        engine = self.engine(**settings)
        engine.extract(run_id, window)
        return engine.plan(run_id, approvals, dry_run=True)

    def erase(
        self,
        approvals: Approvals = Approvals(),  # noqa: B008
        approved_plan: str | None = None,
        **settings: Any,
    ) -> Ran:
        run_id = self.new_id()
        engine = self.engine(**settings)
        plan = engine.plan_erasure(run_id, approvals, approved_plan=approved_plan)
        report = engine.push(run_id)
        assert report.outcomes.complete, report.outcomes
        return Ran(run_id, None, plan, report)  # type: ignore[arg-type]

    # Customer.io

    def profile(self, person: str) -> dict[str, Any] | None:
        """The attributes of a person in the sandbox; None for nobody."""
        found = self.sandbox.people().get(person)
        return None if found is None or found.get("suppressed") else found["attributes"]

    def profiles(self) -> dict[str, dict[str, Any]]:
        return {
            key: person["attributes"]
            for key, person in self.sandbox.people().items()
            if not person.get("suppressed")
        }

    def sent(self, *actions: str) -> Counter[str]:
        """How often each person was in an operation that the sandbox received."""
        return Counter(
            operation["id"]
            for operation in self.sandbox.operations()
            if not actions or operation["action"] in actions
        )

    def log(self) -> list[tuple[str, str, str]]:
        """(action, id, outcome) of every operation received, in order."""
        return [(o["action"], o["id"], o["outcome"]) for o in self.sandbox.operations()]

    @contextlib.contextmanager
    def faults(self, *faults: Mapping[str, Any]) -> Generator[None]:
        self.sandbox.set_faults(faults)
        try:
            yield
        finally:
            self.sandbox.set_faults([])


@dataclass
class Rig(SyncRig):
    """One workspace. Each call opens the warehouse anew, as steps of a scheduler do."""

    path: Path
    sandbox: SandboxServer
    defaults: dict[str, Any] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    url: str = field(init=False)

    def __post_init__(self) -> None:
        self.url = f"duckdb:///{self.path}"

    # the mart

    def sql(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """The rows of the last of some statements; `?` stand for the parameters, in order."""
        with self._engine().connect() as connection:
            connection.exec_driver_sql("set timezone = 'UTC'")
            result = connection.exec_driver_sql(statement, tuple(parameters))
            rows = [tuple(row) for row in result] if result.returns_rows else []
            connection.commit()
            return rows

    @contextlib.contextmanager
    def kept_open(self) -> Generator[None]:
        """Keeps the file open in this process, so that opening it again costs next to nothing."""
        with self.warehouse.session():
            yield

    def _engine(self) -> sa.Engine:
        # A file can be open with one configuration only: this is the one of `warehouse`.
        config = {"preserve_insertion_order": False, "memory_limit": "500MB", "threads": 2}
        url = sa.URL.create("duckdb", database=str(self.path))
        return sa.create_engine(url, poolclass=NullPool, connect_args={"config": config})

    def make_mart(self, people: int = 0, statement: str = PEOPLE_TABLE) -> None:
        """An empty mart, or one with `people` named p0, p1, ... last updated on 1 May 2026."""
        self.sql(statement)
        if people:
            self.sql(
                """insert into analytics.customerio_people
                select 'p' || i, '2026-05-01', false, null, 'p' || i || '@example.com', 'Ann', 'free'
                from range(?) as r(i)""",
                people,
            )

    def change(self, person: str, assignment: str, *parameters: Any, touch: bool = True) -> None:
        """Change a person's row; `touch` moves `updated_at` on by a minute."""
        moved = ", updated_at = updated_at + interval 1 minute" if touch else ""
        self.sql(
            f"update analytics.customerio_people set {assignment}{moved} where person_id = ?",
            *parameters,
            person,
        )

    def state(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Rows of a query in which table names need no schema."""
        return self.sql(f"set schema = 'customerio_sync'; {query}", *parameters)

    def age(self, days: int, run_id: str | None = None) -> None:
        """Make a run, or all, that many days older."""
        which = "" if run_id is None else f" where run_id = '{run_id}'"
        self.state(f"update sync_runs set extracted_at = extracted_at - interval {days} day{which}")
        for table in ("sync_plan", "sync_acks", "sync_log"):
            self.state(f"update {table} set run_date = run_date - {days}{which}")

    @cached_property
    def warehouse(self) -> Warehouse:
        return open_warehouse(self.url, memory_limit="500MB", threads=2)
