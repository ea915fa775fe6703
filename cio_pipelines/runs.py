"""Running the project's Dagster jobs in this process, recorded in the instance that the UI shows."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import yaml
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

from cio_pipelines.settings import LOCAL, ROOT

FULL_RUN_CONFIG: dict[str, Any] = {"ops": {"customerio__changed_users": {"config": {"full": True}}}}
"""Run config by which a sync looks at the whole mart."""

FULL_EVENTS_CONFIG: dict[str, Any] = {"ops": {"customerio__tracked_events": {"config": {"full": True}}}}
"""The same for events."""

_PUSH = ("identified_profiles", "verified_profiles")

_RANGE_START, _RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
_OWN_CONFIG = "dagster-of-cio.yaml"
_OWNER = "cio/process"
_INTERRUPTED = "DagsterExecutionInterruptedError"
"""What Dagster makes of Ctrl-C inside a step."""
_UNFINISHED = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


@dataclass(frozen=True, slots=True)
class Request:
    """What to sync. At most one of `partition`, `partition_range` (both ends included) and `full`.

    `approved_plan` and `approved_erasure` are runs whose plans were approved: then nothing else is done.
    """

    partition: str | None = None
    partition_range: tuple[str, str] | None = None
    full: bool = False
    dry_run: bool = False
    allow_changes: bool = False
    allow_mapping_change: bool = False
    allow_suppressions: bool = False
    allow_erasures: bool = False
    approved_plan: str | None = None
    approved_erasure: str | None = None
    verbose: bool = False

    @property
    def is_approved(self) -> bool:
        """Whether what to do is what somebody approved, and nothing else."""
        return self.approved_plan is not None or self.approved_erasure is not None

    @property
    def syncs(self) -> bool:
        """Whether people are compared and pushed."""
        return self.approved_plan is not None or not self.is_approved

    @property
    def erases(self) -> bool:
        """Whether people with a tombstone are erased."""
        if self.is_approved:
            return self.approved_erasure is not None
        return self.full and not self.dry_run

    @property
    def run_config(self) -> dict[str, Any]:
        """The job's run config."""
        planning = {
            "allow_changes": self.allow_changes,
            "allow_mapping_change": self.allow_mapping_change,
            "allow_suppressions": self.allow_suppressions,
            "dry_run": self.dry_run,
            **({"approved_plan": self.approved_plan} if self.approved_plan else {}),
        }
        erasing = {
            "allow_erasures": self.allow_erasures,
            **({"approved_plan": self.approved_erasure} if self.approved_erasure else {}),
        }
        ops: dict[str, Any] = {}
        if self.syncs:
            ops["customerio__profile_diff"] = {"config": planning}
            if self.full:
                ops |= FULL_RUN_CONFIG["ops"]
        if self.erases:
            ops["customerio__erased_profiles"] = {"config": erasing}
        return {"ops": ops, "loggers": _loggers(verbose=self.verbose)}


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended. `failures`: step → what went wrong; `failed_checks`: name → description."""

    run_id: str
    success: bool
    failures: Mapping[str, str] = field(default_factory=dict[str, str])
    failed_checks: Mapping[str, str] = field(default_factory=dict[str, str])
    warnings: Mapping[str, str] = field(default_factory=dict[str, str])
    interrupted: bool = False


def dagster_home() -> Path:
    """Dagster's home: DAGSTER_HOME, else the project's own. Made ready when it is new or empty."""
    home = Path(os.environ.get("DAGSTER_HOME") or LOCAL / "dagster").absolute()
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        shutil.copyfile(ROOT / "dagster.yaml", home / "dagster.yaml")
    os.environ["DAGSTER_HOME"] = str(home)
    return home


def partition_range_tags(first: str, last: str) -> dict[str, str]:
    """Tags by which one run takes all partitions from `first` to `last`, both included."""
    return {_RANGE_START: first, _RANGE_END: last}


def partition_range_of(tags: Mapping[str, str]) -> tuple[str, str] | None:
    """The first and the last partition of a run with these tags; None when it has none."""
    if _RANGE_START in tags:
        return tags[_RANGE_START], tags[_RANGE_END]
    key = tags.get("dagster/partition")
    return None if key is None else (key, key)


def run_people_sync(request: Request, definitions: dg.Definitions) -> RunResult:
    """Run the sync's job to its end in this process."""
    job = definitions.resolve_job_def("sync_people_fully" if request.erases else "sync_people")
    left_out = _PUSH if request.dry_run else ()
    if not request.syncs:
        left_out = ("changed_users", "profile_diff", *_PUSH)
    others = {dg.AssetKey(["customerio", name]) for name in left_out}
    selection = [key for key in job.asset_layer.executable_asset_keys if key not in others]
    ends = request.partition_range or (request.partition, request.partition)
    return _run(job, request.run_config, ends, selection if others else None, verbose=request.verbose)


def run_event_sync(request: Request, definitions: dg.Definitions) -> RunResult:
    """Run the event sync's job to its end in this process; for a dry run only what builds the mart."""
    job = definitions.resolve_job_def("sync_events")
    selection = None
    if request.dry_run:
        push = {dg.AssetKey(["customerio", name]) for name in ("tracked_events", "verified_events")}
        selection = [key for key in job.asset_layer.executable_asset_keys if key not in push]
    config: dict[str, Any] = {"loggers": _loggers(verbose=request.verbose)}
    if request.full and not request.dry_run:
        config |= FULL_EVENTS_CONFIG
    ends = request.partition_range or (request.partition, request.partition)
    return _run(job, config, ends, selection, verbose=request.verbose)


def run_webhook_load(
    first: str, last: str, definitions: dg.Definitions, *, only_new: bool, verbose: bool = False
) -> RunResult:
    """Run the load of what landed from one day to another, both included, to its end in this process."""
    ops = {"customerio__webhook_events": {"config": {"only_new": only_new}}}
    job = definitions.resolve_job_def("load_webhooks")
    return _run(job, {"ops": ops, "loggers": _loggers(verbose=verbose)}, (first, last), None, verbose=verbose)


def run_export_load(definitions: dg.Definitions, *, again: bool, verbose: bool = False) -> RunResult:
    """Run the load of storage exports to its end in this process."""
    ops = {"storage_exports": {"config": {"again": again}}}
    job = definitions.resolve_job_def("load_exports")
    return _run(job, {"ops": ops, "loggers": _loggers(verbose=verbose)}, (None, None), None, verbose=verbose)


def _run(
    job: dg.JobDefinition,
    run_config: Mapping[str, Any],
    ends: tuple[str | None, str | None],
    selection: Sequence[dg.AssetKey] | None,
    *,
    verbose: bool,
) -> RunResult:
    first, last = ends
    tags = {_OWNER: _this_process()}
    if first is not None and last is not None and first != last:
        tags |= partition_range_tags(first, last)
        first = None
    with _instance(dagster_home()) as instance, _dbt_output(shown=verbose):
        end_orphans(instance)
        result = job.execute_in_process(
            run_config=dict(run_config),
            instance=instance,
            partition_key=first,
            asset_selection=selection,
            tags=tags,
            raise_on_error=False,
        )
    return _read(result)


def _loggers(*, verbose: bool) -> dict[str, Any]:
    return {"console": {"config": {"log_level": "INFO" if verbose else "CRITICAL"}}}


def _instance(home: Path) -> DagsterInstance:
    """The instance of `home`, without capture of what steps print: here it goes to the person who asked.

    Capturing starts four processes a step, and each of them answers Ctrl-C with a traceback.
    """
    config = yaml.safe_load((home / "dagster.yaml").read_text(encoding="utf-8")) or {}
    config["compute_logs"] = {
        "module": "dagster._core.storage.noop_compute_log_manager",
        "class": "NoOpComputeLogManager",
    }
    (home / _OWN_CONFIG).write_text(yaml.safe_dump(config), encoding="utf-8")
    return DagsterInstance.from_config(str(home), _OWN_CONFIG)


@contextmanager
def _dbt_output(*, shown: bool) -> Generator[None]:
    """What dbt prints goes to standard error for who asks for it; why it failed is told in any case."""
    with open(os.devnull, "w") as nowhere, redirect_stdout(sys.stderr if shown else nowhere):
        yield


def end_orphans(instance: DagsterInstance) -> int:
    """Mark runs of killed `cio` processes as failed, and free the pool's slots that they hold.

    Nothing else would: Dagster's monitor watches only runs that it launched. Returns how many there were.
    """
    orphans = 0
    for run in instance.get_runs(filters=RunsFilter(statuses=_UNFINISHED)):
        owner = run.tags.get(_OWNER)
        if owner is not None and _is_gone(owner):
            instance.report_run_failed(run, "The process of this run was killed.")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            orphans += 1
    return orphans


def _this_process() -> str:
    me = psutil.Process()
    return f"{socket.gethostname()}:{me.pid}:{me.create_time():.1f}"


def _is_gone(owner: str) -> bool:
    host, pid, started = owner.rsplit(":", 2)
    if host != socket.gethostname():
        return False
    try:
        process = psutil.Process(int(pid))
        return process.status() == psutil.STATUS_ZOMBIE or f"{process.create_time():.1f}" != started
    except psutil.NoSuchProcess:
        return True


def _read(result: dg.ExecuteInProcessResult) -> RunResult:
    failures: dict[str, str] = {}
    interrupted = False
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            told = data.user_failure_data.description if data.user_failure_data else None
            error = data.error.cause or data.error if data.error else None
            interrupted = interrupted or (error is not None and error.cls_name == _INTERRUPTED)
            failures[str(event.step_key)] = told or (error.message.strip() if error else "failed")
    checks = result.get_asset_check_evaluations()
    bad = [check for check in checks if not check.passed]
    errors = {
        c.check_name: c.description or "failed" for c in bad if c.severity is dg.AssetCheckSeverity.ERROR
    }
    warned = {c.check_name: c.description or "failed" for c in bad if c.check_name not in errors}
    # A blocking check fails its step with a message of Dagster's own; the check says it better.
    told_better = {step for step, words in failures.items() if "blocking asset check" in words.lower()}
    return RunResult(
        run_id=result.run_id,
        success=result.success,
        failures={step: words for step, words in failures.items() if step not in told_better or not errors},
        failed_checks=errors,
        warnings=warned,
        interrupted=interrupted,
    )
