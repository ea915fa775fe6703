"""`cio demo`: the whole thing on this machine, twice over, with nothing to set up."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from cio_pipelines.cli import load
from cio_pipelines.cli.console import complain, out, pairs
from cio_pipelines.cli.ports import is_sandbox, is_taken
from cio_pipelines.cli.receiver import ReceiverProcess
from cio_pipelines.settings import (
    LOCAL,
    SANDBOX_PORT,
    SERVICE_PORT,
    Settings,
    SettingsError,
    load_settings,
)

if TYPE_CHECKING:
    from cio_pipelines.sandbox import SandboxServer

_LANDING_URL = str(Settings.model_fields["landing_url"].default)
NEWSLETTER = 1
NEWSLETTER_PEOPLE = 2_000


def demo(
    people: Annotated[int, typer.Option(min=1, help="How many people the company has.")] = 20_000,
    replace: Annotated[
        bool, typer.Option("--replace", help="Let it replace app.users and app.orders of WAREHOUSE_URL.")
    ] = False,
) -> None:
    """The whole loop: seed a company, sync it, change about 1%, sync again; send its orders as events; send
    messages, receive what becomes of them, load that, and sync what people said; speak through the queue.
    """
    # Dagster and DuckDB take seconds to load: other commands need not wait for them.
    from cio_pipelines.cli.demo_messages import speak
    from cio_pipelines.cli.sync import default_request, run_and_show, run_events_and_show, today
    from cio_pipelines.demo import change, seed
    from cio_pipelines.runs import Request

    settings = load_settings()
    if not settings.is_sandboxed:
        raise SettingsError(
            "The demo only ever talks to the sandbox: unset CUSTOMERIO_SITE_ID and CUSTOMERIO_TRACK_API_KEY, "
            "and CIO_ENV, or use `cio sync people` for your own workspace."
        )
    if not settings.is_embedded:
        raise SettingsError(
            "The demo seeds a DuckDB file with a made-up company: unset WAREHOUSE_URL, or use "
            "`cio sync people` for a warehouse of your own."
        )
    database = settings.warehouse_location.path
    _demand_own_landing_zone(settings, replace=replace)
    _demand_own_warehouse(database, replace=replace)
    if is_sandbox(f"http://127.0.0.1:{SANDBOX_PORT}"):
        raise SettingsError(
            f"A sandbox runs at port {SANDBOX_PORT} (make dev?), and the demo starts from a clean state: "
            "stop it first."
        )
    _start_clean(settings, database)
    summary = seed(database, people)
    out.print(f"Seeded {summary.people:,} people and {summary.orders:,} orders into {database}")
    with _sandbox(settings) as (sandboxed, server):
        out.rule("First sync: everybody")
        _demand(run_and_show(sandboxed, Request(full=True, partition=today())))
        out.rule(f"Second sync: {change(database):,} people changed")
        _demand(run_and_show(sandboxed, default_request(sandboxed)))
        out.rule("Events: every order ever placed, once")
        _demand(run_events_and_show(sandboxed, Request(full=True, partition=today())))
        out.rule("Customer.io sends a newsletter, and reports what becomes of it")
        person = _report_back(sandboxed, server)
        _demand(load.run_and_show(sandboxed, *load.landed(sandboxed), only_new=True)[0])
        out.print(_newsletter(sandboxed))
        out.rule("Third sync: what people said to Customer.io")
        _demand(run_and_show(sandboxed, default_request(sandboxed)))
        if person is not None:
            out.print(_consent(sandboxed, server, person))
        out.rule("An application speaks: through the queue, each message once")
        out.print(speak(sandboxed, server, next(iter(server.people()))))
    out.rule()
    out.print("Look around:  [bold]make dev[/] opens the Dagster UI beside the sandbox's page:")
    out.print("    Dagster   http://127.0.0.1:3000   (runs, lineage, checks, partitions)")
    out.print(f"    sandbox   http://127.0.0.1:{SANDBOX_PORT}   (people, messages, events, what was refused)")


def _demand(healthy: bool) -> None:
    """Each step of the demo needs the one before."""
    if not healthy:
        complain("The demo did not end well: see above.")
        raise typer.Exit(1)


def _demand_own_landing_zone(settings: Settings, *, replace: bool) -> None:
    """Never put the demo's events among somebody's own unasked. Raises SettingsError, LandingUnavailable."""
    from cio_pipelines.webhooks.objects import Landed

    settings.landing_zone().check_writable()
    if settings.landing_url != _LANDING_URL and not replace and Landed(settings.landing_zone()).days:
        raise SettingsError(
            f"LANDING_URL names {settings.landing_url}, where events have landed, and the demo would add its "
            "own. Unset LANDING_URL, or give --replace."
        )


def _demand_own_warehouse(database: Path, *, replace: bool) -> None:
    """Never touch a database of the user's own unasked. Raises SettingsError."""
    if LOCAL not in database.parents and database.exists() and not replace:
        raise SettingsError(
            f"WAREHOUSE_URL names {database}, which exists: the demo would replace app.users and "
            "app.orders there. Unset WAREHOUSE_URL, or give --replace."
        )


def _start_clean(settings: Settings, database: Path) -> None:
    """Forget what an earlier demo left in the places that are the project's own."""
    if settings.landing_url == _LANDING_URL:
        shutil.rmtree(LOCAL / "landing", ignore_errors=True)
    if LOCAL not in database.parents:
        database.parent.mkdir(parents=True, exist_ok=True)
        return
    LOCAL.mkdir(exist_ok=True)
    for path in (
        database,
        database.with_name(database.name + ".wal"),
        *LOCAL.glob("sandbox.sqlite*"),
        *LOCAL.glob("queue.sqlite*"),
    ):
        path.unlink(missing_ok=True)
    if not os.environ.get("DAGSTER_HOME"):
        shutil.rmtree(LOCAL / "dagster", ignore_errors=True)


def _report_back(settings: Settings, server: SandboxServer) -> str | None:
    """Send a newsletter, let somebody unsubscribe, and take in what is reported.

    Returns who unsubscribed; in a very small company there may be nobody to.
    """
    port = 0 if is_taken(SERVICE_PORT) else SERVICE_PORT
    with ReceiverProcess(os.environ, port) as receiver:
        sent = server.send(newsletter={"newsletter_id": NEWSLETTER}, people=NEWSLETTER_PEOPLE, seed=1)
        subscribed = (
            name for name, who in server.people().items() if who["attributes"].get("marketing_opt_in") is True
        )
        person = next(subscribed, None)
        if person is not None:
            server.unsubscribe(person)
        server.set_webhook(url=receiver.url, signing_key=settings.webhook_signing_keys()[0], streams=16)
        reported = server.wait_until_reported(timeout=120)
    answers = reported["answer_ms"]["2xx"]
    out.print(
        pairs(
            [
                ("sent", f"{sent['deliveries']:,} messages; {person or 'nobody'} unsubscribed"),
                (
                    "reported",
                    f"{reported['acknowledged']:,} events, {reported['events_per_second']:,.0f}/s, each "
                    f"answered when it was durable: 99% within {answers['p99']:.0f} ms",
                ),
            ]
        )
    )
    return person


def _newsletter(settings: Settings) -> Table:
    """The mart's row of the newsletter."""
    row = _row(
        settings,
        "campaign_performance",
        ["sent", "delivered", "human_opened", "machine_opened", "human_clicked", "unsubscribed", "bounced"],
        origin_kind="newsletter",
    )
    told = ", ".join(f"{name.replace('_', ' ')} {number:,}" for name, number in row.items())
    return pairs([("campaign_performance", told or "nobody could be sent it")])


def _consent(settings: Settings, server: SandboxServer, person: str) -> Table:
    """What the warehouse and Customer.io hold of one who unsubscribed."""
    row = _row(settings, "customerio_people", ["marketing_opt_in", "unsubscribed"], person_id=person)
    there = server.people()[person]["attributes"]
    told = [f"{name} = {value}" for name, value in row.items()]
    known = [f"{name} = {there.get(name)}" for name in row]
    return pairs([(f"{person} in the mart", ", ".join(told)), (f"{person} in Customer.io", ", ".join(known))])


def _row(settings: Settings, table: str, names: Sequence[str], **where: str) -> dict[str, Any]:
    """Columns of the first row of a mart for which `where` holds; empty when there is none."""
    import sqlalchemy as sa

    mart = sa.table(table, *(sa.column(name) for name in {*names, *where}), schema="analytics")
    statement = sa.select(*(mart.c[name] for name in names)).filter_by(**where)
    with settings.warehouse().connect() as connection:
        rows = connection.rows(statement)
    return dict(zip(names, rows[0], strict=True)) if rows else {}


@contextmanager
def _sandbox(settings: Settings) -> Generator[tuple[Settings, SandboxServer]]:
    """The settings with which the sandbox is talked to, and the sandbox, in a process of its own."""
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
            yield load_settings(), server
        finally:
            del os.environ["CUSTOMERIO_TRACK_URL"]
