"""Where the time of a sync goes: by statement in the warehouse, and by function in this process."""

from __future__ import annotations

import cProfile
import io
import pstats
import re
import time
from collections import defaultdict
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy import event

from cio_pipelines.cli.console import err

_STATEMENTS, _FUNCTIONS = 12, 15
_TABLES = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE)\s+((?:\w+\.)?\w+)", re.IGNORECASE)


class Profile:
    """A context manager that tells on standard error, when it ends, what took the time in between.

    Statements count from being sent until the engine answers; rows that are streamed afterwards count where
    they are read. Functions are those of the main thread, by the time spent in themselves; measuring them
    makes them slower, so that only their proportions mean something.
    """

    def __init__(self) -> None:
        self._seconds: defaultdict[str, list[float]] = defaultdict(list)
        self._python = cProfile.Profile()

    def __enter__(self) -> Self:
        event.listen(sa.Engine, "before_cursor_execute", self._begin)
        event.listen(sa.Engine, "after_cursor_execute", self._end)
        self._python.enable()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        value: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        self._python.disable()
        event.remove(sa.Engine, "before_cursor_execute", self._begin)
        event.remove(sa.Engine, "after_cursor_execute", self._end)
        for line in self.statements()[:_STATEMENTS]:
            err.print(f"    {line}", highlight=False)
        text = io.StringIO()
        pstats.Stats(self._python, stream=text).strip_dirs().sort_stats("tottime").print_stats(_FUNCTIONS)
        err.print(text.getvalue().strip(), highlight=False)

    def statements(self) -> list[str]:
        """Seconds, number, and what the statements did with which tables; the longest first."""
        ordered = sorted(self._seconds.items(), key=lambda item: -sum(item[1]))
        return [f"{sum(spent):8.3f} s  {len(spent):4} ×  {name}" for name, spent in ordered]

    def _begin(self, connection: sa.Connection, *_: Any) -> None:
        connection.info["cio_began"] = time.monotonic()

    def _end(self, connection: sa.Connection, _cursor: Any, statement: str, *_: Any) -> None:
        spent = time.monotonic() - connection.info.pop("cio_began")
        self._seconds[_name(statement)].append(spent)


def _name(statement: str) -> str:
    """The verb and the tables of a statement: `INSERT customerio_sync.sync_plan, analytics.mart`."""
    tables = list(dict.fromkeys(_TABLES.findall(statement)))
    return f"{statement.split(maxsplit=1)[0].upper()} {', '.join(tables)}"
