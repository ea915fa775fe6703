"""`cio move`: from one warehouse to another, without sending everybody again."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cio_pipelines.cli.console import out, pairs, warn
from cio_pipelines.moving.tables import PARTS, STATE
from cio_pipelines.settings import Settings, SettingsError, load_settings
from cio_pipelines.sync.errors import MappingError, SourceContractError
from cio_pipelines.sync.key import SyncKey
from cio_pipelines.sync.specs import EVENTS, PEOPLE
from cio_pipelines.warehouse import WarehouseUnavailable
from cio_pipelines.warehouse.connect import WarehouseUrl, parse_url

if TYPE_CHECKING:
    from cio_pipelines.moving.adoption import Adoption
    from cio_pipelines.moving.move import MoveReport
    from cio_pipelines.sync.candidates import Mart

_BUILD = "build the mart with `cio sync people --full --dry-run`, which sends nothing"


def move(
    from_: Annotated[
        str | None,
        typer.Option(
            "--from", help="The warehouse to leave, written as WAREHOUSE_URL is.", show_default=False
        ),
    ] = None,
    adopt: Annotated[
        bool,
        typer.Option(
            "--adopt", help="Compare the moved snapshot with the mart by meaning, and take over its spelling."
        ),
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(help=f"Move this part alone: {', '.join(PARTS)}. May be given more than once."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Give up what the warehouse of WAREHOUSE_URL has of it.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="End with one JSON object on the last line.")
    ] = False,
) -> None:
    """Move what the sync and the loads remember to the warehouse of WAREHOUSE_URL.

    Stop the schedules of both sides before. The other warehouse stays as it is.
    """
    settings = load_settings()
    if from_ is None and not adopt:
        raise SettingsError("Give --from, --adopt, or both.")
    if from_ is None and (only or replace):
        raise SettingsError("--only and --replace say how to move: give --from too.")
    parts = only or PARTS
    if unknown := set(parts) - set(PARTS):
        raise SettingsError(f"--only takes {', '.join(PARTS)}; there is no {min(unknown)}.")
    line: dict[str, Any] = {}
    if from_ is not None:
        moved = _move(settings, _other(settings, from_), parts, replace=replace)
        out.print(pairs([(f"{table}", f"{rows:,} rows") for table, rows in moved.rows.items()]))
        line["moved"] = dict(moved.rows)
    if adopt:
        adoption = _adopt(settings)
        out.print(_told(adoption))
        line["adoption"] = asdict(adoption)
    elif STATE in parts:
        out.print(f"Next: {_BUILD}, then `cio move --adopt`.")
    if as_json:
        sys.stdout.write(json.dumps(line) + "\n")


def _other(settings: Settings, url: str) -> Settings:
    """The settings with the warehouse to leave."""
    try:
        place = parse_url(url)
    except WarehouseUnavailable as error:
        raise SettingsError(str(error).replace("WAREHOUSE_URL", "--from")) from None
    if _identity(place) == _identity(settings.warehouse_location):
        raise SettingsError("--from and WAREHOUSE_URL name the same warehouse: set one to the other one.")
    # DuckDB would make it
    if place.engine == "duckdb" and not place.path.is_file():
        raise SettingsError(f"There is no DuckDB file {place.path}: correct --from.")
    return settings.model_copy(update={"warehouse_url": url})


def _identity(place: WarehouseUrl) -> tuple[object, ...]:
    url = place.url
    names = {
        "duckdb": (place.path.resolve(),),
        "postgresql": (url.host or url.query.get("host"), url.port or 5432, url.database),
        # schemas of ours are datasets of the project, whichever the models are in
        "bigquery": (place.project,),
    }
    return (place.engine, *names[place.engine])


def _move(settings: Settings, other: Settings, parts: Sequence[str], *, replace: bool) -> MoveReport:
    from cio_pipelines.moving.move import MoveReport, has_state
    from cio_pipelines.moving.move import move as move_between
    from cio_pipelines.sync.events.ending import EventCommit

    sync = settings.sync_settings()
    source = other.warehouse()
    mart: Mart | None = None
    if STATE in parts:
        try:
            mart = other.people_sync(source).mart()
        except (SourceContractError, MappingError) as error:
            warn(
                f"{error.message} What dead letters are about is known from plans of the last "
                f"{sync.retention_days} days alone; older ones are tried anew."
            )
    target = settings.warehouse()
    report = move_between(
        source,
        target,
        SyncKey(sync.workspace, PEOPLE.name),
        max_attempts=sync.max_attempts,
        mart=mart,
        parts=parts,
        replace=replace,
    )
    events = SyncKey(sync.workspace, EVENTS.name, subject="event_id")
    if STATE not in parts or not has_state(source, events):
        return report
    moved = move_between(
        source,
        target,
        events,
        max_attempts=sync.max_attempts,
        parts=[STATE],
        replace=replace,
        commit=EventCommit,
    )
    rows = {
        name: report.rows.get(name, 0) + moved.rows.get(name, 0) for name in {**report.rows, **moved.rows}
    }
    return MoveReport(rows, report.contents)


def _adopt(settings: Settings) -> Adoption:
    from cio_pipelines.moving.adoption import adopt as adopt_mart

    sync = settings.sync_settings()
    warehouse = settings.warehouse()
    if not warehouse.columns(PEOPLE.schema, PEOPLE.table):
        raise SourceContractError(
            f"The {warehouse.name} has no {PEOPLE.relation} yet to compare the snapshot with.",
            f"First {_BUILD}; then run `cio move --adopt` again.",
        )
    mart = settings.people_sync(warehouse).mart()
    return adopt_mart(warehouse, SyncKey(sync.workspace, PEOPLE.name), mart, max_attempts=sync.max_attempts)


def _told(adoption: Adoption) -> Any:
    rows = [
        ("taken over", f"{adoption.people:,} people whose row means the same"),
        ("differ", f"{adoption.differing:,} people, whom the next full sync sends"),
    ]
    if adoption.waiting or adoption.waiting_differing:
        told = f"{adoption.waiting:,} taken over, {adoption.waiting_differing:,} to be tried anew"
        rows.append(("dead letters and open people", told))
    if adoption.mapping_change != "none":
        rows.append(("mapping", adoption.mapping_change))
    return pairs(rows)
