"""`cio dead-letters`: what is left alone, of the syncs and of the message queue, and its replay."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, cast

import typer

from cio_pipelines import letters
from cio_pipelines.cli.console import complain, out, pairs
from cio_pipelines.cli.summary import as_table
from cio_pipelines.letters import ORIGINS, Origin, Wanted
from cio_pipelines.messaging.opened import opened
from cio_pipelines.messaging.queue.protocol import QUEUES, QueueName
from cio_pipelines.settings import SettingsError, load_settings

app = typer.Typer(no_args_is_help=True, help="Operations and messages that are left alone, and their replay.")

_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
Ids = Annotated[
    list[str] | None, typer.Argument(help="Ids of people, events or messages, as `list` shows them.")
]
From = Annotated[
    list[str] | None, typer.Option("--from", help="Only of people, events or queue; repeatable.")
]
Queue = Annotated[str | None, typer.Option(help="Only of this message queue.")]
Reason = Annotated[str | None, typer.Option(help="Only with this reason.")]
After = Annotated[
    datetime | None, typer.Option(formats=_FORMATS, help="Only what was given up since then, UTC.")
]
Before = Annotated[
    datetime | None, typer.Option(formats=_FORMATS, help="Only what was given up before then, UTC.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    origins: From = None,
    queue: Queue = None,
    reason: Reason = None,
    after: After = None,
    before: Before = None,
    as_json: AsJson = False,
) -> None:
    """The newest dead letters, with who refused them and why. Nothing of what they hold is shown."""
    wanted = _wanted(None, origins, queue, reason, after, before)
    found = letters.find(load_settings(), wanted, limit)
    if as_json:
        for letter in found:
            sys.stdout.write(json.dumps(asdict(letter), default=datetime.isoformat) + "\n")
        return
    if not found:
        out.print("No dead letters.")
        return
    import pandas as pd

    frame = pd.DataFrame([asdict(letter) for letter in found])
    frame["since"] = [f"{letter.since:%Y-%m-%d %H:%M}" for letter in found]
    out.print(as_table(frame.rename(columns={"origin": "from"})))


@app.command()
def show(
    message_id: Annotated[str, typer.Argument(help="Id of a message, as `list` shows it.")],
    payload: Annotated[bool, typer.Option("--payload", help="Show personal data too.")] = False,
) -> None:
    """One message of the queue: what it is, and what became of each attempt."""
    letter = letters.show(load_settings(), message_id)
    if letter is None:
        complain(f"The queue has no dead letter {message_id}: see `cio dead-letters list --from queue`.")
        raise typer.Exit(1)
    content = opened(letter, unmasked=payload)
    out.print(
        pairs(
            [
                ("message", letter.message_id),
                ("queue", letter.queue),
                ("operation", content.operation),
                ("put", f"{datetime.fromtimestamp(letter.enqueued_at, UTC):%Y-%m-%d %H:%M:%S} UTC"),
                ("payload", json.dumps(content.payload, ensure_ascii=False)),
            ]
        )
    )
    for failure in letters.failures_of(letter):
        out.print(pairs([(name, str(value)) for name, value in failure.items() if value not in (None, "")]))


@app.command()
def replay(
    ids: Ids = None,
    everything: Annotated[bool, typer.Option("--all", help="Whatever the filters leave.")] = False,
    origins: From = None,
    queue: Queue = None,
    reason: Reason = None,
    after: After = None,
    before: Before = None,
) -> None:
    """Let the next sync, or a worker, try them again. Those of reason outcome_unknown may go out twice."""
    wanted = _chosen(ids, everything, _wanted(ids, origins, queue, reason, after, before))
    replayed = letters.replay(load_settings(), wanted)
    synced = sum(number for origin, number in replayed.items() if origin != "queue")
    out.print(f"{synced:,} dead letters are taken up by the next sync.")
    if replayed.get("queue"):
        out.print(f"{replayed['queue']:,} messages wait in the queue again.")


@app.command()
def purge(
    ids: Ids = None,
    everything: Annotated[bool, typer.Option("--all", help="Whatever the filters leave.")] = False,
    queue: Queue = None,
    reason: Reason = None,
    after: After = None,
    before: Before = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Forget messages of the queue for good. Letters of the syncs end when their rows change."""
    wanted = _chosen(ids, everything, _wanted(ids, ["queue"], queue, reason, after, before))
    if not yes:
        typer.confirm("Forget these messages for good?", abort=True, err=True)
    out.print(f"{letters.purge(load_settings(), wanted):,} messages are forgotten.")


def _wanted(
    ids: list[str] | None,
    origins: list[str] | None,
    queue: str | None,
    reason: str | None,
    after: datetime | None,
    before: datetime | None,
) -> Wanted:
    known = tuple(cast("list[Origin]", origins)) if origins else ORIGINS
    for name in origins or []:
        if name not in ORIGINS:
            raise SettingsError(f"--from is one of {', '.join(ORIGINS)}, not {name}.")
    if queue is not None and queue not in QUEUES:
        raise SettingsError(f"There is no queue {queue}. Queues are: {', '.join(QUEUES)}.")
    moments = [moment.replace(tzinfo=UTC) if moment else None for moment in (after, before)]
    return Wanted(tuple(ids or ()), known, cast("QueueName | None", queue), reason, *moments)


def _chosen(ids: list[str] | None, everything: bool, wanted: Wanted) -> Wanted:
    if bool(ids) == everything:
        raise SettingsError("Name letters by their ids, or give --all.")
    return wanted
