"""Lines that the warehouse reads from a bucket by itself: thousands of objects by one job.

A load job does not tell which object a line is of, so each line says it (`layout.py`). That is believed only
when the lines of a whole portion fit its objects: each object has as many as they say, numbered from 1
without a gap, and no line is of another one. Otherwise, and when the job is refused, nothing was staged, and
the portion is read here object by object, which finds out what is wrong with which.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from cio_pipelines.landing import LandedObject, LandingZone
from cio_pipelines.warehouse import LineLoads, LoadRefused, WarehouseConnection, conversions
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
        found = {row.file: row for row in connection.rows(attributions(len(objects) + 1))}
        if found.keys() != {item.path for item in objects} or not all(map(_is_whole, found.values())):
            return "the lines of the portion do not say which objects they are of"
        connection.execute(attribute())
        return None


def supports(connection: WarehouseConnection, zone: LandingZone) -> LineLoads | None:
    """The connection, if its engine can read this zone by itself."""
    return connection if zone.is_bucket and isinstance(connection, LineLoads) else None


def attributions(limit: int) -> sa.Select[Any]:
    """By file, as the texts say: `lines`, the `numbers` that they have, the `first`, the `last`, and how many
    they say there are at the `least` and at the `most`.
    """
    said = _said()
    return (
        sa.select(
            said.c.file,
            sa.func.count().label("lines"),
            sa.func.count(sa.distinct(said.c.line)).label("numbers"),
            sa.func.min(said.c.line).label("first"),
            sa.func.max(said.c.line).label("last"),
            sa.func.min(said.c.lines).label("least"),
            sa.func.max(said.c.lines).label("most"),
        )
        .group_by(said.c.file)
        .limit(limit)
    )


def attribute() -> sa.Insert:
    """Texts into `landed_lines`, as lines of what they say they are of."""
    said = _said()
    # a line has its end, as when it is read here
    rows = sa.select(said.c.file, said.c.line, said.c.text + "\n")
    return landed_lines.insert().from_select(["file", "line", "text"], rows)


def _said() -> sa.CTE:
    """What each text says of itself: `file`, `line` and `lines`."""
    members = js.json_texts(landed_texts.c.text, "object", "line", "lines").label("members")
    read = sa.select(landed_texts.c.text, members).cte("read_members")
    return sa.select(
        read.c.text,
        js.text_at(read.c.members, 1).label("file"),
        conversions.integer_of_text(js.text_at(read.c.members, 2)).label("line"),
        conversions.integer_of_text(js.text_at(read.c.members, 3)).label("lines"),
    ).cte("said")


def _is_whole(row: sa.Row[Any]) -> bool:
    return row.first == 1 and row.lines == row.numbers == row.last == row.least == row.most
