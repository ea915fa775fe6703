"""`cio sync people`, `cio sync events`: the scheduled syncs, by hand or by cron."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cio_pipelines.cli.approving import approving
from cio_pipelines.cli.console import out, push_progress
from cio_pipelines.cli.days import chosen_days
from cio_pipelines.cli.plan_summary import how_to_approve, review_as_text
from cio_pipelines.cli.summary import as_json, as_table, as_text, tell
from cio_pipelines.cli.verdict import verdict_json, verdict_text
from cio_pipelines.settings import Settings, SettingsError, load_settings
from cio_pipelines.sync.approval import READABLE
from cio_pipelines.sync.errors import UnknownRun
from cio_pipelines.sync.guards import Approvals
from cio_pipelines.verification_setup import event_verifier, people_verifier
from cio_pipelines.warehouse import WarehouseError

if TYPE_CHECKING:
    from cio_pipelines.runs import Request, RunResult
    from cio_pipelines.sync.engine import PeopleSync
    from cio_pipelines.sync.events.engine import EventSync
    from cio_pipelines.sync.reports import RunSummary
    from cio_pipelines.sync.windows import Window
    from cio_pipelines.verification.engine import Verifier

app = typer.Typer(no_args_is_help=True, help="Bring Customer.io in step with the warehouse.")


@app.callback()
def syncs() -> None:
    """Bring Customer.io in step with the warehouse."""


@app.command()
def people(
    partition: Annotated[str | None, typer.Option(help="One day, such as 2026-05-20 (UTC).")] = None,
    range_: Annotated[
        str | None, typer.Option("--range", help="Days from A to B, both included: 2026-05-01...2026-05-20.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="All of the mart, and people to erase.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the plan.")] = False,
    approve: Annotated[
        str | None,
        typer.Option(metavar="RUN_ID", help="Send the plan of that run, if nothing has moved on since."),
    ] = None,
    as_json_: Annotated[
        bool, typer.Option("--json", help="End with one JSON object on the last line.")
    ] = False,
    allow_changes: Annotated[
        bool, typer.Option("--allow-changes", help="Let more people change than the guard allows.")
    ] = False,
    allow_mapping_change: Annotated[
        bool, typer.Option("--allow-mapping-change", help="Let a changed mapping re-send people.")
    ] = False,
    allow_suppressions: Annotated[
        bool, typer.Option("--allow-suppressions", help="Let more people be suppressed.")
    ] = False,
    allow_erasures: Annotated[
        bool, typer.Option("--allow-erasures", help="Let more people be erased (with --full).")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show Dagster's log.")] = False,
) -> None:
    """Sync people: dbt, diff, push, checks, as one Dagster run.

    Without --partition, --range or --full it takes the running day, and the day before while that is young.
    --approve looks where the approved plan has looked.
    """
    settings = load_settings()
    settings.sync_settings()
    if approve is not None and (partition or range_ or full or dry_run):
        raise SettingsError(
            "--approve takes over the days of the approved plan and sends it: leave --partition, --range, "
            "--full and --dry-run out."
        )
    request = replace(
        _chosen(settings, partition, range_, full=full)
        if approve is None
        else approving(settings, approve, today()),
        dry_run=dry_run,
        allow_changes=allow_changes,
        allow_mapping_change=allow_mapping_change,
        allow_suppressions=allow_suppressions,
        allow_erasures=allow_erasures,
        verbose=verbose,
    )
    raise typer.Exit(0 if run_and_show(settings, request, json_line=as_json_) else 1)


@app.command()
def events(
    partition: Annotated[str | None, typer.Option(help="One day, such as 2026-05-20 (UTC).")] = None,
    range_: Annotated[
        str | None, typer.Option("--range", help="Days from A to B, both included: 2026-05-01...2026-05-20.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="All of the mart.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the plan.")] = False,
    as_json_: Annotated[
        bool, typer.Option("--json", help="End with one JSON object on the last line.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show Dagster's log.")] = False,
) -> None:
    """Sync events: dbt, plan, push, checks, as one Dagster run. What was accepted is never sent again.

    Without --partition, --range or --full it takes the running day, and the day before while that is young.
    """
    settings = load_settings()
    settings.sync_settings()
    request = replace(_chosen(settings, partition, range_, full=full), dry_run=dry_run, verbose=verbose)
    raise typer.Exit(0 if run_events_and_show(settings, request, json_line=as_json_) else 1)


def run_events_and_show(settings: Settings, request: Request, *, json_line: bool = False) -> bool:
    """As `run_and_show`, of events."""
    from cio_pipelines.definitions import defs
    from cio_pipelines.runs import run_event_sync

    started = time.monotonic()
    with push_progress():
        result = run_event_sync(request, defs())
    healthy = tell(result)
    engine = settings.event_sync()
    if request.dry_run and healthy:
        engine.plan(result.run_id, _window(request), dry_run=True)
    return _show(
        *(engine, event_verifier(settings), request, result),
        healthy=healthy,
        started=started,
        json_line=json_line,
    )


def run_and_show(settings: Settings, request: Request, *, json_line: bool = False) -> bool:
    """Run a request, print what became of it, and say whether all is well."""
    from cio_pipelines.definitions import defs
    from cio_pipelines.metadata import erasure_run
    from cio_pipelines.runs import run_people_sync

    started = time.monotonic()
    with push_progress():
        result = run_people_sync(request, defs())
    healthy = tell(result)
    engine = settings.people_sync()
    erasure = erasure_run(result.run_id) if request.erases else None
    if request.dry_run and request.full and not result.failures:
        erasure = erasure_run(result.run_id)
        engine.plan_erasure(erasure, Approvals(erased=request.allow_erasures), dry_run=True)
    return _show(
        *(engine, people_verifier(settings), request, result),
        healthy=healthy,
        started=started,
        json_line=json_line,
        erasure=erasure,
    )


def _show(
    engine: PeopleSync | EventSync,
    verifier: Verifier,
    request: Request,
    result: RunResult,
    *,
    healthy: bool,
    started: float,
    json_line: bool,
    erasure: str | None = None,
) -> bool:
    """Print what the ledger knows of a run, and of the erasure in it; returns `healthy`."""
    total = time.monotonic() - started
    line: dict[str, Any] = {"run_id": result.run_id}
    shown: list[RunSummary] = []
    try:
        if request.syncs:
            summary = engine.summary(result.run_id)
            line = as_json(summary, total)
            shown.append(summary)
            out.print(as_text(summary, total))
            if summary.status in READABLE:
                out.print(review_as_text(summary))
            if request.dry_run:
                out.print(as_table(engine.preview(result.run_id)))
            else:
                verdict = verifier.recorded(result.run_id)
                line |= verdict_json(verdict)
                if verdict is not None:
                    out.print(verdict_text(verdict))
        if erasure is not None:
            erased = engine.summary(erasure)
            seconds = sum(erased.seconds.values())
            line["erasure"] = as_json(erased, seconds)
            shown.append(erased)
            if erased.outcomes.planned:
                out.print(as_text(erased, seconds))
                if erased.status in READABLE:
                    out.print(review_as_text(erased))
                else:
                    erasure_verdict = verifier.recorded(erasure)
                    line |= {"erasure_verification": verdict_json(erasure_verdict)["verification"]}
                    if erasure_verdict is not None:
                        out.print(verdict_text(erasure_verdict))
        out.print(how_to_approve(*shown))
    except UnknownRun:
        # It did not come to a sync: what was complained of above is all there is to tell.
        if healthy:
            raise
    except WarehouseError:
        if result.success:
            raise
    if json_line:
        line |= {"success": healthy, "failed_checks": sorted(result.failed_checks)}
        sys.stdout.write(json.dumps(line) + "\n")
    return healthy


def today() -> str:
    """Key of the running day's partition."""
    from cio_pipelines.partitions import partition_of

    return partition_of(datetime.now(UTC))


def default_request(settings: Settings) -> Request:
    """What the schedule would sync now: the running day, and the day before while that is young."""
    from cio_pipelines.partitions import open_partitions
    from cio_pipelines.runs import Request

    keys = open_partitions(datetime.now(UTC), timedelta(hours=settings.cio_lookback_hours))
    if len(keys) == 1:
        return Request(partition=keys[0])
    return Request(partition_range=(keys[0], keys[-1]))


def _window(request: Request) -> Window:
    """What a run of this request looks at."""
    from cio_pipelines.partitions import utc_days
    from cio_pipelines.sync.windows import FULL, Window

    if request.full:
        return FULL
    first, last = request.partition_range or (request.partition, request.partition)
    windows = [utc_days.time_window_for_partition_key(str(key)) for key in (first, last)]
    return Window(windows[0].start, windows[1].end)


def _chosen(settings: Settings, partition: str | None, range_: str | None, *, full: bool) -> Request:
    """The request that the options mean. Raises SettingsError."""
    from cio_pipelines.runs import Request

    if sum((partition is not None, range_ is not None, full)) > 1:
        raise SettingsError("Give only one of --partition, --range and --full.")
    ends = chosen_days(settings, partition, range_)
    if ends is not None:
        first, last = ends
        return Request(partition=first) if first == last else Request(partition_range=ends)
    return Request(full=True, partition=today()) if full else default_request(settings)
