"""From landed lines to events, set-based: the statements of a load, and the tables they pass rows through."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from cio_pipelines.landing.manifest import LOADED
from cio_pipelines.landing.recording import staged_entries
from cio_pipelines.warehouse import conversions
from cio_pipelines.warehouse import functions as fn
from cio_pipelines.warehouse import json_functions as js
from cio_pipelines.warehouse.functions import UtcTimestamp
from cio_pipelines.warehouse.merge import Merge
from cio_pipelines.warehouse.pruning import on_days
from cio_pipelines.webhooks.tables import webhook_events, webhook_quarantine

Column = sa.ColumnElement[Any]

_LATEST_SECOND = 253_402_300_799
"""9999-12-31T23:59:59Z; a present time in milliseconds is beyond it."""

_PATHS = {
    "event_id": "event_id",
    "object_type": "object_type",
    "metric": "metric",
    "timestamp": "timestamp",
    "id": "data.identifiers.id",
    "customer_id": "data.customer_id",
    "cio_id": "data.identifiers.cio_id",
    "delivery_id": "data.delivery_id",
    "transactional_message_id": "data.transactional_message_id",
    "journey_id": "data.journey_id",
}
_NUMBERS = ("campaign_id", "action_id", "broadcast_id", "trigger_id", "newsletter_id", "content_id")
_DEMANDED = ("event_id", "object_type", "metric")
_MEMBERS = [*_PATHS.values(), *(f"data.{name}" for name in _NUMBERS)]

_temporary = sa.MetaData()

landed_lines = sa.Table(
    "landed_lines",
    _temporary,
    sa.Column("file", sa.String),
    sa.Column("line", sa.BigInteger),
    sa.Column("text", sa.String),
    sa.Column("fault", sa.String),
    prefixes=["TEMPORARY"],
)

parsed_lines = sa.Table(
    "parsed_lines",
    _temporary,
    sa.Column("file", sa.String),
    sa.Column("line", sa.BigInteger),
    # why the line is no event, and the line itself; NULL for one that is
    sa.Column("reason", sa.String),
    sa.Column("text", sa.String),
    sa.Column("received_at", UtcTimestamp),
    sa.Column("event", sa.String),
    sa.Column("seconds", sa.BigInteger),
    *(sa.Column(name, sa.String) for name in _PATHS if name != "timestamp"),
    *(sa.Column(name, sa.BigInteger) for name in _NUMBERS),
    prefixes=["TEMPORARY"],
)

new_events = sa.Table(
    "new_events",
    _temporary,
    *(sa.Column(c.name, c.type) for c in webhook_events.columns if c.name not in ("loaded_at", "run_id")),
    prefixes=["TEMPORARY"],
)


def parse() -> sa.Insert:
    """Lines, each read once, into `parsed_lines`, with the reason of those that are no event."""
    lines = landed_lines
    members = js.json_texts(lines.c.text, "received_at", "body")
    outer = fn.evaluated_once(sa.select(lines, members.label("members"))).cte("outer_json")
    body = js.text_at(outer.c.members, 2).label("event")
    bodies = sa.select(outer, body).cte("bodies")
    inner = js.json_texts(bodies.c.event, *_MEMBERS).label("found")
    found = fn.evaluated_once(sa.select(bodies, inner)).cte("found_members")

    def member(position: int) -> Column:
        return js.text_at(found.c.found, position + 1)

    texts: dict[str, Column] = {
        name: sa.func.nullif(member(position), "") for position, name in enumerate(_PATHS)
    }
    numbers = {
        name: conversions.integer_of_text(member(len(_PATHS) + position))
        for position, name in enumerate(_NUMBERS)
    }
    received_at = conversions.timestamp_of_text(js.text_at(found.c.members, 1))
    seconds = conversions.integer_of_text(texts.pop("timestamp"))
    # the costly questions are only asked of lines in which nothing was found
    reason = sa.case(
        (found.c.fault.is_not(None), found.c.fault),
        (sa.and_(found.c.event.is_(None), sa.not_(js.is_json(found.c.text))), "the line is not JSON"),
        (found.c.event.is_(None), "the line has no body"),
        (received_at.is_(None), "the line has no received_at"),
        (
            sa.and_(texts["event_id"].is_(None), sa.not_(js.is_json_object(found.c.event))),
            "the body is not a JSON object",
        ),
        *((texts[name].is_(None), f"the event has no {name}") for name in _DEMANDED),
        (seconds.is_(None), "the event has no timestamp in whole seconds"),
        (sa.not_(seconds.between(0, _LATEST_SECOND)), "the event's timestamp is not in seconds since 1970"),
    )
    values: dict[str, Column] = {
        "file": found.c.file,
        "line": found.c.line,
        "text": sa.case((reason.is_not(None), found.c.text)),
        "reason": reason,
        "received_at": received_at,
        "event": found.c.event,
        "seconds": seconds,
        **texts,
        **numbers,
    }
    return parsed_lines.insert().from_select(list(values), sa.select(*values.values()))


def event_days() -> sa.Select[Any]:
    """The days `event_date` on which the staged events happened: what the table need be read of."""
    at = conversions.timestamp_of_seconds(parsed_lines.c.seconds)
    days = sa.select(sa.cast(at, sa.Date).label("event_date")).where(parsed_lines.c.reason.is_(None))
    return days.distinct()


def find_new(days: Iterable[date]) -> sa.Insert:
    """Events that the table has not, into `new_events`; of several lines of one event the first received.

    `days` are those of `event_days`. An id that came with another day before is not seen: Customer.io never
    gives an event another time, and the check `unique_events` would tell.
    """
    lines = parsed_lines
    order = [lines.c.received_at, lines.c.file, lines.c.line]
    place = sa.func.row_number().over(partition_by=lines.c.event_id, order_by=order)
    known = sa.select(webhook_events.c.event_id).where(
        webhook_events.c.event_id == lines.c.event_id, on_days(webhook_events.c.event_date, days)
    )
    first = (
        sa.select(lines, place.label("place"))
        .where(lines.c.reason.is_(None), sa.not_(known.exists()))
        .cte("first_lines")
    )
    at = conversions.timestamp_of_seconds(first.c.seconds)
    values: dict[str, Column] = {
        "event_at": at,
        "event_date": sa.cast(at, sa.Date),
        "person_id": sa.func.coalesce(first.c.id, first.c.customer_id),
    }
    values |= {c.name: first.c[c.name] for c in new_events.columns if c.name not in values}
    return new_events.insert().from_select(
        list(values), sa.select(*values.values()).where(first.c.place == 1)
    )


def insert_new(run_id: str, loaded_at: datetime, days: Iterable[date]) -> Merge:
    """`new_events` into the table of events, but for those that it has got since they were found."""
    rows = sa.select(
        new_events,
        sa.literal(loaded_at, UtcTimestamp).label("loaded_at"),
        sa.literal(run_id).label("run_id"),
    )
    scope = on_days(webhook_events.c.event_date, days)
    return Merge(webhook_events, rows, ["event_id", "event_date"], scope=scope, replaces=False)


def forget_quarantined() -> sa.Delete:
    """What was quarantined of the staged files when they were read before."""
    entries = staged_entries.c
    # of an object that cannot be read now stays what was known of it
    read = sa.select(entries.path).where(entries.status == LOADED)
    return webhook_quarantine.delete().where(webhook_quarantine.c.file.in_(read))


def quarantine(run_id: str, at: datetime) -> sa.Insert:
    """Lines that are no event into the quarantine."""
    lines = parsed_lines
    rows = sa.select(
        lines.c.file,
        lines.c.line,
        lines.c.reason,
        lines.c.text,
        sa.literal(run_id),
        sa.literal(at, UtcTimestamp),
    ).where(lines.c.reason.is_not(None))
    names = ["file", "line", "reason", "text", "run_id", "quarantined_at"]
    return webhook_quarantine.insert().from_select(names, rows)


def counts() -> sa.Select[Any]:
    """By file: `rows`, `quarantined`, `newest_receipt`, and `inserted` of this load."""
    lines = parsed_lines
    inserted = (
        sa.select(new_events.c.file, sa.func.count().label("inserted")).group_by(new_events.c.file).subquery()
    )
    read = (
        sa.select(
            lines.c.file,
            sa.func.count().label("rows"),
            sa.func.count(lines.c.reason).label("quarantined"),
            sa.func.max(lines.c.received_at).label("newest_receipt"),
        )
        .group_by(lines.c.file)
        .subquery()
    )
    new = sa.func.coalesce(inserted.c.inserted, 0).label("inserted")
    joined = read.outerjoin(inserted, read.c.file == inserted.c.file)
    return sa.select(*read.columns, new).select_from(joined)


def reasons() -> sa.Select[Any]:
    """`lines` by `reason` of those that are no event."""
    reason = parsed_lines.c.reason
    return sa.select(reason, sa.func.count().label("lines")).where(reason.is_not(None)).group_by(reason)


def present(days: Iterable[date]) -> sa.Select[Any]:
    """By file: how many events of the table came in it first, of the staged files and days."""
    table = webhook_events.c
    return (
        sa.select(table.file, sa.func.count().label("inserted"))
        .where(on_days(table.event_date, days), table.file.in_(sa.select(parsed_lines.c.file)))
        .group_by(table.file)
    )
