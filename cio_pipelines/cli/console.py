"""What people see: text to standard output, progress and complaints to standard error."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from cio_pipelines.progress import watched_by


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = 160  # logs and pipes have no width: break no line that a person would read whole
    return console


out = _console(stderr=False)
err = _console(stderr=True)


def complain(message: str) -> None:
    """One error, for a person."""
    err.print(f"[bold red]cio:[/] {escape(message)}")


def warn(message: str) -> None:
    """Something to know that stops nothing."""
    err.print(f"[yellow]warning:[/] {escape(message)}")


def pairs(rows: Sequence[tuple[str, str]]) -> Table:
    """Two columns without lines."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 2))
    table.add_column(style="dim")
    table.add_column()
    for name, value in rows:
        table.add_row(name, escape(value))
    return table


@contextmanager
def push_progress() -> Generator[None]:
    """What is going on, and a bar while operations are sent, when a person is watching."""
    if not err.is_terminal:
        yield
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task("building the mart, planning", total=None)

        def answered(done: int, total: int) -> None:
            progress.update(task, description="sending", completed=done, total=total)

        with watched_by(answered):
            yield
