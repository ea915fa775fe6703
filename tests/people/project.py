"""The people sync's jobs in ephemeral Dagster instances, with the sandbox as Customer.io."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import httpx

from cio_pipelines.sandbox import SandboxServer

RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
MART = dg.AssetKey(["analytics", "customerio_people"])
PUSH = dg.AssetKey(["customerio", "identified_profiles"])
DIFF = dg.AssetKey(["customerio", "profile_diff"])
CHANGED = dg.AssetKey(["customerio", "changed_users"])
ERASED = dg.AssetKey(["customerio", "erased_profiles"])


@dataclass(frozen=True)
class Project:
    """One warehouse, one workspace, one Dagster instance."""

    database: Path
    sandbox: SandboxServer
    instance: dg.DagsterInstance

    def run(
        self,
        *,
        full: bool = False,
        partition: str | None = None,
        span: tuple[str, str] | None = None,
        ops: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> dg.ExecuteInProcessResult:
        """Run `sync_people_fully` (recorded on `partition`) or `sync_people`."""
        definitions = importlib.import_module("cio_pipelines.definitions").defs()
        configured: dict[str, Any] = {name: {"config": dict(values)} for name, values in (ops or {}).items()}
        if full:
            configured["customerio__changed_users"] = {"config": {"full": True}}
        return definitions.resolve_job_def("sync_people_fully" if full else "sync_people").execute_in_process(
            run_config={
                "ops": configured,
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            },
            instance=self.instance,
            partition_key=partition,
            tags=dict(zip(RANGE, span, strict=True)) if span else None,
            raise_on_error=False,
        )

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.database)) as connection:
            return connection.execute(sql).fetchall()

    def mart(self) -> dict[str, dict[str, Any]]:
        """What each living person of the mart who takes messages should be in Customer.io, by id."""
        with duckdb.connect(str(self.database)) as connection:
            connection.execute("set timezone = 'UTC'")
            described = connection.execute("describe analytics.customerio_people").fetchall()
            controls = ("person_id", "updated_at", "opted_out", "deleted_at")
            kinds = {name: kind for name, kind, *_ in described if name not in controls}
            values = [
                f"epoch_us(date_trunc('second', {name})) // 1000000" if kind == "TIMESTAMP" else name
                for name, kind in kinds.items()
            ]
            rows = connection.execute(
                f"select person_id, {', '.join(values)} from analytics.customerio_people "
                "where deleted_at is null and not opted_out"
            ).fetchall()
        return {
            person: {name: value for name, value in zip(kinds, rest, strict=True) if value is not None}
            for person, *rest in rows
        }


def today() -> str:
    """Key of the running day's partition."""
    return datetime.now(UTC).strftime("%Y-%m-%d")


def checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    """Passed or not, by the check's name (of an asset of ours)."""
    return {
        evaluation.check_name: evaluation.passed
        for evaluation in result.get_asset_check_evaluations()
        if evaluation.asset_key.path[0] == "customerio"
    }


def metadata(result: dg.ExecuteInProcessResult, key: dg.AssetKey) -> dict[str, Any]:
    """Metadata of an asset's (first) materialisation in a run."""
    found = next(
        event.materialization for event in result.get_asset_materialization_events() if event.asset_key == key
    )
    return {name: value.value for name, value in found.metadata.items()}


def failures(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """What failed steps say."""
    return {
        str(event.step_key): (
            event.step_failure_data.user_failure_data.description or ""
            if event.step_failure_data.user_failure_data
            else str(event.step_failure_data.error)
        )
        for event in result.all_events
        if event.is_step_failure
    }


def read_back(server: SandboxServer) -> dict[str, dict[str, Any]]:
    """Attributes of everybody in the sandbox, decimals with all their digits."""
    answer = httpx.get(f"{server.url}/_sandbox/people", trust_env=False)
    records = [json.loads(line, parse_float=Decimal) for line in answer.content.splitlines()]
    return {record["id"]: record["attributes"] for record in records}
