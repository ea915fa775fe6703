"""From a Dagster run that went badly to an alert: what failed in it, and whether that is news."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import dagster as dg
from dagster import DagsterEventType, DagsterInstance, DagsterRunStatus, RunsFilter

from cio_pipelines.alerting import Alert, Outcome, is_due, send
from cio_pipelines.settings import Settings

_LOOKED_BACK = 200
"""Earlier runs of a job that are looked at for how long it has failed; the rest count as good."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing that failed in a run: a step or a check. `told` is for people and names neither of them."""

    name: str
    told: str


def failures_of(instance: DagsterInstance, run_id: str) -> tuple[Failure, ...]:
    """What failed in a run: steps, and checks that are no mere warnings.

    Of an error only what this project wrote for people is told, or else its type: a message of somebody
    else's may quote a row.
    """
    found: dict[str, Failure] = {}
    for record in instance.get_records_for_run(run_id, of_type=DagsterEventType.STEP_FAILURE).records:
        event = record.event_log_entry.dagster_event
        if event is not None and event.step_key is not None:
            data = event.step_failure_data
            told = data.user_failure_data.description if data.user_failure_data else None
            error = (data.error.cause or data.error) if data.error else None
            found[event.step_key] = Failure(event.step_key, told or (error.cls_name if error else None) or "")
    for record in instance.get_records_for_run(
        run_id, of_type=DagsterEventType.ASSET_CHECK_EVALUATION
    ).records:
        event = record.event_log_entry.dagster_event
        check = event.asset_check_evaluation_data if event is not None else None
        if check is not None and not check.passed and check.severity is dg.AssetCheckSeverity.ERROR:
            name = f"{check.asset_key.to_user_string()}: {check.check_name}"
            found[name] = Failure(name, check.description or "")
    return tuple(found.values())


def alert_of(run: dg.DagsterRun, failures: tuple[Failure, ...], settings: Settings) -> Alert:
    """What to tell people about a run in which something failed, or which failed before any step did."""
    ended = "failed" if run.status is DagsterRunStatus.FAILURE else "ended with failed checks"
    day = run.tags.get("dagster/partition")
    about = f"{run.job_name}{f' of {day}' if day else ''}"
    address = settings.cio_dagster_url
    return Alert(
        headline=f"cio_pipelines ({settings.cio_env}): {about} {ended}",
        lines=tuple(
            f"{failure.name}: {failure.told}" if failure.told else failure.name for failure in failures
        )
        or ("no step had begun, or its process died: see the run's log",),
        link=f"{address.rstrip('/')}/runs/{run.run_id}" if address else f"run {run.run_id}",
    )


def tell(context: dg.RunStatusSensorContext, settings: Settings) -> dg.SkipReason | None:
    """Send an alert about the run of `context` if something failed in it that is news.

    Raises AlertError when it did not go out, which the sensor's tick shows.
    """
    channels = settings.alert_channels()
    if not channels:
        return dg.SkipReason("Neither CIO_ALERT_WEBHOOK_URL nor CIO_ALERT_SMTP_URL is set.")
    run, instance = context.dagster_run, context.instance
    failures = failures_of(instance, run.run_id)
    if run.status is DagsterRunStatus.SUCCESS and not failures:
        return dg.SkipReason("Nothing failed.")
    ended_at = _ended_at(instance, run)
    if not is_due(ended_at, _earlier(instance, run, failures), settings.cio_alert_remind_hours * 3_600):
        return dg.SkipReason("It goes on failing, which was told already.")
    send(alert_of(run, failures, settings), channels)
    return None


def _ended_at(instance: DagsterInstance, run: dg.DagsterRun) -> float:
    record = instance.get_run_record_by_id(run.run_id)
    return 0.0 if record is None else record.end_time or record.update_timestamp.timestamp()


def _earlier(
    instance: DagsterInstance, run: dg.DagsterRun, failures: tuple[Failure, ...]
) -> Generator[Outcome]:
    """How earlier runs of the same job ended, the newest first; failed: with all that failed in this one."""
    names = {failure.name for failure in failures}
    ended = RunsFilter(job_name=run.job_name, statuses=[DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE])
    mine = instance.get_run_record_by_id(run.run_id)
    for record in instance.get_run_records(ended, limit=_LOOKED_BACK):
        if mine is None or record.storage_id >= mine.storage_id:
            continue
        then = {failure.name for failure in failures_of(instance, record.dagster_run.run_id)}
        is_bad = bool(then) or record.dagster_run.status is DagsterRunStatus.FAILURE
        at = record.end_time or record.update_timestamp.timestamp()
        yield Outcome(at, failed=is_bad and names <= then)
