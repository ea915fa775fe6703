"""`cio demo`: the whole thing on this machine, twice over, with nothing to set up."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from cio_pipelines.cli.console import complain, out
from cio_pipelines.cli.ports import is_sandbox, is_taken
from cio_pipelines.settings import LOCAL, SANDBOX_PORT, Settings, SettingsError, load_settings
from cio_pipelines.warehouse.connect import duckdb_path


def demo(
    people: Annotated[int, typer.Option(min=1, help="How many people the company has.")] = 20_000,
    replace: Annotated[
        bool, typer.Option("--replace", help="Let it replace app.users and app.orders of WAREHOUSE_URL.")
    ] = False,
) -> None:
    """Seed a demo company, start the sandbox, run dbt and the sync, change about 1% and sync again."""
    # Dagster and DuckDB take seconds to load: other commands need not wait for them.
    from cio_pipelines.cli.sync import default_request, run_and_show, today
    from cio_pipelines.demo import change, seed
    from cio_pipelines.runs import Request

    settings = load_settings()
    if not settings.is_sandboxed:
        raise SettingsError(
            "The demo only ever talks to the sandbox: unset CUSTOMERIO_SITE_ID and CUSTOMERIO_TRACK_API_KEY, "
            "and CIO_ENV, or use `cio sync people` for your own workspace."
        )
    database = duckdb_path(settings.warehouse_url)
    if is_sandbox(SANDBOX_PORT):
        raise SettingsError(
            f"A sandbox runs at port {SANDBOX_PORT} (make dev?), and the demo starts from a clean state: "
            "stop it first."
        )
    _start_clean(database, replace=replace)
    summary = seed(database, people)
    out.print(f"Seeded {summary.people:,} people and {summary.orders:,} orders into {database}")
    with _sandbox(settings) as sandboxed:
        out.rule("First sync: everybody")
        healthy = run_and_show(sandboxed, Request(full=True, partition=today()))
        out.rule(f"Second sync: {change(database):,} people changed")
        healthy = run_and_show(sandboxed, default_request(sandboxed)) and healthy
    out.rule()
    out.print("Look around:  [bold]make dev[/] opens the Dagster UI beside the sandbox's page:")
    out.print("    Dagster   http://127.0.0.1:3000   (runs, lineage, checks, partitions)")
    out.print(f"    sandbox   http://127.0.0.1:{SANDBOX_PORT}   (people, events, what was refused)")
    if not healthy:
        complain("The demo did not end well: see above.")
    raise typer.Exit(0 if healthy else 1)


def _start_clean(database: Path, *, replace: bool) -> None:
    """Forget what an earlier demo left; never touch a database of the user's own unasked."""
    if LOCAL not in database.parents:
        if database.exists() and not replace:
            raise SettingsError(
                f"WAREHOUSE_URL names {database}, which exists: the demo would replace app.users and "
                "app.orders there. Unset WAREHOUSE_URL, or give --replace."
            )
        database.parent.mkdir(parents=True, exist_ok=True)
        return
    LOCAL.mkdir(exist_ok=True)
    for path in (database, database.with_name(database.name + ".wal"), *LOCAL.glob("sandbox.sqlite*")):
        path.unlink(missing_ok=True)
    if not os.environ.get("DAGSTER_HOME"):
        shutil.rmtree(LOCAL / "dagster", ignore_errors=True)


@contextmanager
def _sandbox(settings: Settings) -> Generator[Settings]:
    """The sandbox in a process of its own, and the settings with which it is talked to."""
    from cio_pipelines.sandbox import SandboxOptions, SandboxServer

    options = {
        "database": LOCAL / "sandbox.sqlite",
        "workspace_kind": settings.customerio_workspace_kind,
        "region": settings.customerio_region.value,
    }
    LOCAL.mkdir(exist_ok=True)
    # Another program may have the usual port; that is no reason not to show the demo.
    port = 0 if is_taken(SANDBOX_PORT) else SANDBOX_PORT
    with SandboxServer(SandboxOptions(port=port, **options)) as server:
        os.environ["CUSTOMERIO_TRACK_URL"] = server.url
        try:
            yield load_settings()
        finally:
            del os.environ["CUSTOMERIO_TRACK_URL"]
