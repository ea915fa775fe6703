"""Lines that the warehouse reads from a bucket by itself: thousands of objects by one job.

A load job does not tell which object a line is of, so each line says it (`layout.py`). That is believed only
when the lines of a whole portion fit its objects: each object has lines, numbered from 1 without a gap, and
no line is of another one. Otherwise, and when the job is refused, nothing was staged, and the portion is read
here object by object, which finds out what is wrong with which.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from cio_pipelines.landing import LandedObject, LandingZone
from cio_pipelines.warehouse import LineLoads, LoadRefused, WarehouseConnection
from cio_pipelines.warehouse import functions as fn
from cio_pipelines.warehouse import json_functions as js
from cio_pipelines.webhooks.parsing import landed_lines

OBJECTS_PER_JOB = 10_000
"""BigQuery's limit."""

BYTES_PER_JOB = 2_000_000_000
"""Compressed. BigQuery would take 15 TB; so much is done again when one object of it is broken."""

landed_texts = sa.Table("landed_texts", sa.MetaData(), sa.Column("text", sa.String), prefixes=["TEMPORARY"])


class NativeStaging:
    """Has the warehouse stage lines; `connection` must be one that can (`LineLoads`)."""

    def __init__(self, connection: WarehouseConnection, loads: LineLoads, zone: LandingZone) -> None:
        self._connection = connection
        self._loads = loads
        self._zone = zone
        connection.execute(sa.schema.CreateTable(landed_texts))

    def stage(self, objects: Sequence[LandedObject]) -> str | None:
        """The lines of objects, each of them new, into `landed_lines`.

        Returns:
            None when all are staged, each attributed to its object; else why none is.
        """
        connection = self._connection
        connection.execute(landed_texts.delete())
        try:
            self._loads.load_lines(landed_texts, [self._zone.uri(item.path) for item in objects])
        except LoadRefused:
            return "the warehouse could not read an object of the portion"
        connection.execute(attribute())
        found = {row.file: row for row in connection.rows(attributions(len(objects) + 1))}
        if found.keys() == {item.path for item in objects} and all(map(_is_whole, found.values())):
            return None
        connection.execute(landed_lines.delete())
        return "a line of the portion does not say which object it is of"


def supports(connection: WarehouseConnection, zone: LandingZone) -> LineLoads | None:
    """The connection, if its engine can read this zone by itself."""
    return connection if zone.is_bucket and isinstance(connection, LineLoads) else None


def attribute() -> sa.Insert:
    """Texts into `landed_lines`, as what they say they are."""
    members = js.json_texts(landed_texts.c.text, "object", "line").label("members")
    read = sa.select(landed_texts.c.text, members).cte("read_members")
    values: dict[str, sa.ColumnElement[Any]] = {
        "file": js.text_at(read.c.members, 1),
        "line": fn.integer_of_text(js.text_at(read.c.members, 2)),
        # a line has its end, as when it is read here
        "text": read.c.text + "\n",
    }
    return landed_lines.insert().from_select(list(values), sa.select(*values.values()))


def attributions(limit: int) -> sa.Select[Any]:
    """By file: `lines`, how many different numbers they have, the `first` and the `last`."""
    lines = landed_lines.c
    return (
        sa.select(
            lines.file,
            sa.func.count().label("lines"),
            sa.func.count(sa.distinct(lines.line)).label("numbers"),
            sa.func.min(lines.line).label("first"),
            sa.func.max(lines.line).label("last"),
        )
        .group_by(lines.file)
        .limit(limit)
    )


def _is_whole(row: sa.Row[Any]) -> bool:
    return row.first == 1 and row.lines == row.numbers == row.last
