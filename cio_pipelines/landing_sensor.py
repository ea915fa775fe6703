"""From what lies in a landing zone to run requests: the Dagster side of `landing/discovery.py`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import dagster as dg
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

from cio_pipelines.landing.discovery import Cursor, Grouping, RunState, Wanted, decide

FAILED_FILES = "cio/failed_files"
"""Tag of a run that ended well but for some files, with their number: the sensor asks for another."""

_RUN_KEY = "dagster/run_key"
_ENDED_BADLY = {DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED}


def run_state(instance: DagsterInstance, run_key: str) -> RunState:
    """What became of the newest run that a sensor requested with a key."""
    found = instance.get_runs(filters=RunsFilter(tags={_RUN_KEY: run_key}), limit=1)
    if not found:
        return "missing"
    run = found[0]
    if run.status in _ENDED_BADLY:
        return "failed"
    if not run.is_success:
        return "running"
    return "incomplete" if FAILED_FILES in run.tags else "succeeded"


def evaluate(
    context: dg.SensorEvaluationContext,
    name: str,
    listed: Mapping[str, str],
    cursor: Cursor,
    group: Grouping,
    request: Callable[[Wanted], dg.RunRequest],
) -> dg.SensorResult:
    """One tick: run requests for what is new, and the cursor.

    Args:
        context: of the tick.
        name: of the sensor.
        listed: part → fingerprint of its listing.
        cursor: the sensor's, read from the context.
        group: which parts may share a run.
        request: makes a run request; it must carry the run key.
    """
    wanted, kept = decide(
        name, listed, cursor, lambda key: run_state(context.instance, key), time.time(), group
    )
    if wanted:
        return dg.SensorResult(run_requests=[request(item) for item in wanted], cursor=kept.written())
    waiting = len(kept.asked)
    told = f"{waiting} parts wait for a run that was requested." if waiting else "Nothing new has landed."
    return dg.SensorResult(skip_reason=told, cursor=kept.written())


def together(parts: Sequence[str]) -> list[Sequence[str]]:
    """All parts in one run."""
    return [parts] if parts else []


def report_failed_files(context: dg.AssetExecutionContext, failed: int) -> None:
    """Mark the run, so that the sensor asks for another one for the files that failed and may be tried."""
    if failed:
        context.instance.add_run_tags(context.run.run_id, {FAILED_FILES: str(failed)})
