"""What Dagster's daemon does with a sensor: evaluates it, keeps the cursor, runs what it asks for."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import dagster as dg
import msgspec

from cio_pipelines.landing.discovery import Asked, Cursor

RUN_KEY = "dagster/run_key"


@dataclass
class SensorDaemon:
    """A sensor of the project by its module and name, its job, and a Dagster instance."""

    instance: dg.DagsterInstance
    module: str
    sensor: str
    job_name: str
    resources: dict[str, Any]
    cursor: str | None = None

    @property
    def definitions(self) -> dg.Definitions:
        return importlib.import_module("cio_pipelines.definitions").defs()

    @property
    def job(self) -> dg.JobDefinition:
        return self.definitions.resolve_job_def(self.job_name)

    def tick(self) -> list[dg.RunRequest]:
        repository = self.definitions.get_repository_def()  # loads the module, as Dagster does
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            resources=self.resources,
            repository_def=repository,
        )
        ticked = getattr(importlib.import_module(self.module), self.sensor).evaluate_tick(context)
        self.cursor = ticked.cursor
        return list(ticked.run_requests or [])

    def execute(
        self, request: dg.RunRequest, ops: dict[str, Any], selection: list[dg.AssetKey] | None
    ) -> dg.ExecuteInProcessResult:
        """Run the job as a request says, or a part of it."""
        return self.job.execute_in_process(
            run_config={"ops": ops, "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            instance=self.instance,
            partition_key=request.partition_key,
            tags={**request.tags, RUN_KEY: str(request.run_key)},
            asset_selection=selection,
            raise_on_error=False,
        )

    def let_time_pass(self) -> None:
        """Every wait for another try is over."""
        cursor = Cursor.read(self.cursor)
        asked = {part: Asked(a.fingerprint, a.run_key, a.attempt, 0.0) for part, a in cursor.asked.items()}
        self.cursor = msgspec.structs.replace(cursor, asked=asked).written()
