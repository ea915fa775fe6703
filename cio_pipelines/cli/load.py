"""`cio load`: what landed into the warehouse, by hand or by cron."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from cio_pipelines.cli.console import out, pairs, warn
from cio_pipelines.cli.days import chosen_days
from cio_pipelines.cli.summary import tell
from cio_pipelines.settings import Settings, SettingsError, load_settings

app = typer.Typer(no_args_is_help=True, help="Load what Customer.io delivered into the warehouse.")


@app.callback()
def loads() -> None:
    """Load what Customer.io delivered into the warehouse."""


@app.command()
def webhooks(
    partition: Annotated[
        str | None, typer.Option(help="One day of receipt, such as 2026-05-20 (UTC).")
    ] = None,
    range_: Annotated[
        str | None, typer.Option("--range", help="Days from A to B, both included: 2026-05-01...2026-05-20.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Read objects again that were loaded before.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="End with one JSON object on the last line.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show Dagster's log.")] = False,
) -> None:
    """Load reported events and build the marts of them, as one Dagster run.

    Without --partition or --range it takes all days on which something landed. Only what is new is read.
    """
    settings = load_settings()
    if partition is not None and range_ is not None:
        raise SettingsError("Give only one of --partition and --range.")
    ends = chosen_days(settings, partition, range_) or landed(settings)
    healthy, line = run_and_show(settings, *ends, only_new=not again, verbose=verbose)
    if as_json:
        sys.stdout.write(json.dumps(line) + "\n")
    raise typer.Exit(0 if healthy else 1)


@app.command()
def exports(
    again: Annotated[bool, typer.Option("--again", help="Read files again that were loaded before.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show Dagster's log.")] = False,
) -> None:
    """Load Customer.io's storage exports, and compare them with what was synced, as one Dagster run."""
    from cio_pipelines.definitions import defs
    from cio_pipelines.exports.audit import ExportAudit
    from cio_pipelines.runs import run_export_load

    settings = load_settings()
    healthy = tell(run_export_load(defs(), again=again, verbose=verbose))
    rows = ExportAudit(settings.warehouse(), settings.exports_zone()).rows()
    out.print(pairs([(f"customerio.export_{name}", f"{number:,} rows") for name, number in rows.items()]))
    raise typer.Exit(0 if healthy else 1)


def run_and_show(
    settings: Settings, first: str, last: str, *, only_new: bool, verbose: bool = False
) -> tuple[bool, dict[str, Any]]:
    """Run the load of some days and print what became of it.

    Returns:
        Whether all is well, and the counts.
    """
    from cio_pipelines.definitions import defs
    from cio_pipelines.runs import run_webhook_load
    from cio_pipelines.webhooks.audit import EventAudit

    result = run_webhook_load(first, last, defs(), only_new=only_new, verbose=verbose)
    healthy = tell(result)
    audit = EventAudit(settings.warehouse(), settings.landing_zone())
    counts = audit.loaded_by(result.run_id)
    line = {
        "run_id": result.run_id,
        "success": healthy,
        "files": counts.files,
        "events": counts.rows - counts.quarantined,
        "inserted": counts.inserted,
        "repeated": counts.repeated,
        "quarantined": counts.quarantined,
        "events_in_warehouse": audit.events(),
    }
    out.print(
        pairs(
            [
                ("loaded", f"{counts.inserted:,} new events from {counts.files:,} objects"),
                ("repeated", f"{counts.repeated:,} were known already"),
                ("quarantined", f"{counts.quarantined:,} lines that are no events"),
                ("in the warehouse", f"{line['events_in_warehouse']:,} events"),
            ]
        )
    )
    return healthy, line


def landed(settings: Settings) -> tuple[str, str]:
    """The first and the last day on which something landed, both today when nothing did.

    Days without a partition are left out, and told.
    """
    from cio_pipelines.partitions import partition_of
    from cio_pipelines.webhooks.objects import Landed

    first, today = settings.first_partition.date().isoformat(), partition_of(datetime.now(UTC))
    days = [day.isoformat() for day in Landed(settings.landing_zone()).days]
    known = [day for day in days if first <= day <= today]
    if len(known) < len(days):
        warn(
            f"{len(days) - len(known)} days of receipt are left out: partitions run from {first} "
            f"(CIO_PARTITIONS_START) to today, {today}."
        )
    if not known:
        out.print(f"Nothing has landed in {settings.landing_url}.")
    return (known[0], known[-1]) if known else (today, today)
