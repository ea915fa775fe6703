"""`cio dead-letters`: what was given up, and giving it another chance."""

from __future__ import annotations

from typing import Annotated

import typer

from cio_pipelines.cli.console import out
from cio_pipelines.cli.summary import as_table
from cio_pipelines.settings import SettingsError, load_settings

app = typer.Typer(no_args_is_help=True, help="Operations that are left alone, and their replay.")


@app.command("list")
def list_(limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50) -> None:
    """The newest dead letters, with who refused them and why."""
    letters = load_settings().people_sync().letters(limit)
    if not letters:
        out.print("No dead letters.")
        return
    import pandas as pd

    names = ("person_id", "operation", "kind", "attempts", "field", "reason", "message")
    frame = pd.DataFrame([{name: getattr(letter, name) for name in names} for letter in letters])
    frame["since"] = [f"{letter.since:%Y-%m-%d %H:%M}" for letter in letters]
    out.print(as_table(frame))


@app.command()
def replay(
    people: Annotated[list[str] | None, typer.Argument(help="Ids of people.")] = None,
    everybody: Annotated[bool, typer.Option("--all", help="Every dead letter.")] = False,
) -> None:
    """Let the next sync try them again, whatever its window."""
    if bool(people) == everybody:
        raise SettingsError("Name people, or give --all.")
    count = load_settings().people_sync().replay(None if everybody else people)
    out.print(f"{count:,} dead letters are taken up by the next sync.")
