"""`cio doctor`: what is set up, what is not, and what to do about it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa
import typer
from rich.markup import escape

from cio_pipelines.broadcasts.state import metadata as broadcasts
from cio_pipelines.broadcasts.state import prepare_broadcasts
from cio_pipelines.cli.console import out
from cio_pipelines.customerio import CustomerIOError, NotFound, RetryPolicy, TransportError
from cio_pipelines.exports.tables import prepare_exports
from cio_pipelines.landing import LandingError
from cio_pipelines.landing.manifest import metadata as loaded
from cio_pipelines.messaging.queue.errors import QueueError
from cio_pipelines.messaging_setup import app_client, message_queue
from cio_pipelines.settings import ROOT, Settings, SettingsError, load_settings
from cio_pipelines.sync.errors import SyncError
from cio_pipelines.sync.specs import PEOPLE
from cio_pipelines.sync.state import metadata as state
from cio_pipelines.sync.state import prepare_state
from cio_pipelines.warehouse import WarehouseError
from cio_pipelines.warehouse.altered import altered
from cio_pipelines.webhooks.tables import prepare_webhooks

State = Literal["ok", "warning", "failed"]
_MARKS: dict[State, str] = {"ok": "[green]ok[/]", "warning": "[yellow]??[/]", "failed": "[red]no[/]"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    state: State
    told: str


def doctor() -> None:
    """Check settings, warehouse, source contract, credentials and region, and say what to do."""
    settings = load_settings()
    looks: list[tuple[str, Callable[[Settings], Finding]]] = [
        ("settings", _settings),
        ("warehouse", _warehouse),
        ("dbt project", _dbt),
        ("source contract", _source),
        ("mart", _mart),
        ("sync state", _state),
        ("landing zone", _landing),
        ("queue", _queue),
        ("Customer.io", _workspace),
    ]
    findings = [_look(name, look, settings) for name, look in looks]
    for finding in findings:
        out.print(f"  {_MARKS[finding.state]}  {finding.name:<16} {escape(finding.told)}")
    raise typer.Exit(1 if any(finding.state == "failed" for finding in findings) else 0)


def _look(name: str, look: Callable[[Settings], Finding], settings: Settings) -> Finding:
    try:
        return look(settings)
    except (SettingsError, SyncError, WarehouseError, LandingError, QueueError, CustomerIOError) as error:
        return Finding(name, "failed", str(error))


def _settings(settings: Settings) -> Finding:
    workspace = settings.workspace
    meant = "the sandbox" if settings.is_sandboxed else f"Customer.io ({settings.customerio_region})"
    at = f" at {settings.track_url}" if settings.track_url else ""
    told = f"environment {settings.cio_env}, workspace {workspace}, {meant}{at}"
    if settings.cio_env == "prod":
        if loose := _unlike_production(settings):
            return Finding("settings", "warning", f"{told}. {' '.join(loose)}")
    elif not settings.is_sandboxed:
        settings.demand_address(settings.track_url)
    return Finding("settings", "ok", told)


def _unlike_production(settings: Settings) -> list[str]:
    """What production should not have, each with what to do."""
    faults: list[str] = []
    if settings.engine == "duckdb":
        faults.append("The warehouse is a file of this machine: set WAREHOUSE_URL.")
    if settings.queue_url.startswith("sqlite:"):
        faults.append("The queue is a file of this machine: set QUEUE_URL to a Redis.")
    if settings.landing_url.startswith("file:"):
        faults.append("The landing zone is a folder of this machine: set LANDING_URL to a bucket.")
    if settings.customerio_workspace is None:
        faults.append(
            "Without CUSTOMERIO_WORKSPACE the first sync after a change of credentials sends everybody."
        )
    if not settings.alert_channels():
        faults.append("Nobody is told of failures: see docs/alerts.md.")
    return faults


def _warehouse(settings: Settings) -> Finding:
    warehouse = settings.warehouse()
    with warehouse.connect() as connection:
        connection.scalar(sa.select(sa.literal(1)))
    return Finding("warehouse", "ok", warehouse.name)


def _source(settings: Settings) -> Finding:
    from cio_pipelines.dbt import dbt_project, foreign_sources, load_manifest
    from cio_pipelines.dbt_tables import missing_sources

    warehouse = settings.warehouse()
    manifest = load_manifest(dbt_project())
    sources = foreign_sources(manifest).values()
    missing = missing_sources(warehouse, sources)
    if missing:
        return Finding(
            "source contract",
            "failed",
            f"missing: {', '.join(missing)}. Load them into {warehouse.name}, or change WAREHOUSE_URL.",
        )
    read = ", ".join(f"{item['schema']}.{item['identifier']}" for item in sources)
    return Finding("source contract", "ok", f"all columns that dbt reads of {read}")


def _mart(settings: Settings) -> Finding:
    warehouse = settings.warehouse()
    if not warehouse.columns(PEOPLE.schema, PEOPLE.table):
        return Finding("mart", "warning", f"{PEOPLE.relation} is not built yet: `cio sync people` builds it")
    mapping = settings.people_sync().mart().mapping
    return Finding("mart", "ok", f"{PEOPLE.relation}: {len(mapping.described)} attributes")


def _state(settings: Settings) -> Finding:
    warehouse = settings.warehouse()
    with warehouse.session(), warehouse.connect() as connection:
        for prepare in (prepare_state, prepare_broadcasts, prepare_webhooks, prepare_exports):
            prepare(connection)
    differing = altered(warehouse, [*state.sorted_tables, *broadcasts.sorted_tables, *loaded.sorted_tables])
    if differing:
        return Finding(
            "sync state",
            "failed",
            f"altered by somebody else: {'; '.join(differing)}. Undo that with ALTER TABLE, or restore the "
            "table from before.",
        )
    letters = len(settings.people_sync().letters())
    told = "ready" if not letters else f"ready; dead letters: {letters} (`cio dead-letters list`)"
    return Finding("sync state", "ok", told)


def _landing(settings: Settings) -> Finding:
    from cio_pipelines.webhooks.audit import EventAudit

    unloaded = EventAudit(settings.warehouse(), settings.landing_zone()).unloaded()
    told = f"{settings.landing_url}: {unloaded.files:,} objects of events"
    waiting = len(unloaded.unread)
    if waiting:
        told += f", {waiting:,} not loaded yet (`cio load webhooks`)"
    if unloaded.failed:
        told = f"{told}; {len(unloaded.failed):,} cannot be read, such as {next(iter(unloaded.failed))}"
        return Finding("landing zone", "failed", f"{told}: see the check all_files_loaded.")
    try:
        keys = len(settings.webhook_signing_keys())
    except SettingsError as error:
        return Finding("landing zone", "warning", f"{told}. `cio serve` cannot receive: {error}")
    return Finding("landing zone", "ok", f"{told}; signing keys: {keys}")


def _queue(settings: Settings) -> Finding:
    async def ask() -> tuple[int, int, str]:
        async with message_queue(settings) as queue:
            depths = (await queue.depths()).values()
            waiting = sum(depth.waiting + depth.delayed + depth.in_flight for depth in depths)
            return waiting, sum(depth.dead for depth in depths), await queue.durability()

    waiting, dead, durability = asyncio.run(ask())
    told = f"{waiting:,} messages wait, {dead:,} dead letters; {durability}"
    try:
        app_client(settings)
    except SettingsError as error:
        return Finding("queue", "warning", f"{told}. `cio worker` cannot send messages: {error}")
    return Finding("queue", "ok", told)


def _workspace(settings: Settings) -> Finding:
    async def ask() -> str:
        async with settings.track_client(RetryPolicy(max_attempts=1)) as client:
            account = await client.region()
            return f"workspace {account.environment_id} in region {account.region}"

    try:
        told = asyncio.run(ask())
    except NotFound as error:
        return Finding("Customer.io", "warning", f"not verified: {error}")
    except TransportError as error:
        hint = " Start the sandbox with `cio sandbox` or `make dev`." if settings.is_sandboxed else ""
        return Finding("Customer.io", "failed", f"{error}{hint}")
    if not told.endswith(settings.customerio_region.value):
        region = told.rpartition(" ")[2]
        return Finding("Customer.io", "failed", f"{told}: set CUSTOMERIO_REGION={region}.")
    return Finding("Customer.io", "ok", told)


def _dbt(settings: Settings) -> Finding:
    from cio_pipelines.dbt import DbtProjectError, dbt_project

    del settings  # dbt's project is the checkout's
    try:
        dbt_project()
    except DbtProjectError as error:
        return Finding("dbt project", "failed", str(error))
    return Finding("dbt project", "ok", str(ROOT / "dbt_project"))
