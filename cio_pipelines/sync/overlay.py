"""What an application says of people, laid over the mart: rows of the same columns, for the same planner."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from cio_pipelines.sync.candidates import Mart
from cio_pipelines.sync.given import Given, Types, moment_text
from cio_pipelines.sync.mapping import DOCUMENT, UNSUBSCRIBED, kind_of
from cio_pipelines.warehouse import functions as fn
from cio_pipelines.warehouse import json_functions as js
from cio_pipelines.warehouse.functions import UtcTimestamp

Column = sa.ColumnElement[Any]
_JUDGED = ("marketing_opt_in",)
"""Columns that the mart has as false for whoever unsubscribed in Customer.io."""


def lay_over(mart: Mart, types: Types, given: Sequence[Given]) -> Mart:
    """The people of `given` with what was said of them, all else as in the mart, if they are there.

    The most restrictive word on consent holds: that somebody unsubscribed in Customer.io only the mart can
    take back, which knows when.
    """
    spec = mart.spec
    names = sorted({name for person in given for name in person.texts})
    keys = {name: f"c{number}" for number, name in enumerate(names)}
    documents = [
        {
            "id": person.person_id,
            "at": moment_text(person.updated_at, types[spec.updated_at]),
            **{keys[name]: text for name, text in person.texts.items()},
            **{f"{keys[name]}_given": "1" for name in person.texts},
        }
        for person in given
    ]
    some = [name for name in names if any(name not in person.texts for person in given)]
    said = _rows(documents, ["id", "at", *keys.values(), *(f"{keys[name]}_given" for name in some)])
    ids = [person.person_id for person in given]
    is_known = sa.and_(mart.person_id == said.c.id, mart.person_id.in_(ids))

    def column(name: str) -> Column:
        theirs = mart.table.c[name]
        if name not in keys:
            return theirs
        ours = _as(said.c[keys[name]], types[name])
        if name in _JUDGED or name == UNSUBSCRIBED:
            ours = _restricted(mart, name, ours)
        if name not in some:
            return ours
        return sa.case((said.c[f"{keys[name]}_given"].is_not(None), ours), else_=theirs)

    own: dict[str, Column] = {
        spec.person_id: _as(said.c.id, types[spec.person_id]),
        spec.updated_at: _as(said.c.at, types[spec.updated_at]),
    }
    if spec.deleted_at in mart.mapping.controls:
        own[spec.deleted_at] = sa.cast(sa.null(), types[spec.deleted_at])
    rows = sa.select(
        *(
            sa.type_coerce(own[name] if name in own else column(name), sa.types.NULLTYPE).label(name)
            for name in (column.name for column in mart.table.c)
        )
    ).select_from(said.outerjoin(mart.table, is_known))
    return replace(mart, over=rows.subquery("given"), beneath=mart)


def lay_tombstones(mart: Mart, people: Sequence[str], deleted_at: datetime) -> Mart:
    """Rows with a tombstone of that moment, for these people: nothing but what an erasure asks for."""
    spec = mart.spec
    said = _rows([{"id": person} for person in people], ["id"])
    moment = sa.literal(deleted_at, UtcTimestamp)
    rows = sa.select(
        said.c.id.label(spec.person_id), moment.label(spec.updated_at), moment.label(spec.deleted_at)
    )
    controls = mart.mapping.controls | {spec.deleted_at}
    return replace(
        mart,
        mapping=replace(mart.mapping, controls=controls),
        updated_at_has_zone=False,
        person_id_is_text=True,
        deleted_at_is_time=False,
        over=rows.subquery("given"),
        beneath=mart,
    )


def _rows(documents: Sequence[Mapping[str, str | None]], names: Sequence[str]) -> sa.Subquery:
    """Objects as rows of texts, passed as one parameter whatever their number."""
    text = sa.literal(json.dumps(documents, ensure_ascii=False), sa.String)
    items = js.json_items(text).table_valued("item", name="items")
    parsed = fn.evaluated_once(sa.select(js.json_texts(items.c.item, *names).label("texts"))).subquery(
        "parsed"
    )
    columns = [js.text_at(parsed.c.texts, place).label(name) for place, name in enumerate(names, 1)]
    return sa.select(*columns).subquery("said")


def _as(text: Column, column_type: sa.types.TypeEngine[Any]) -> Column:
    if kind_of(column_type) == DOCUMENT:
        return sa.cast(js.json_of_text(text), column_type)
    # of a type with a length a cast would cut what does not fit
    return text if isinstance(column_type, sa.String) else sa.cast(text, column_type)


def _restricted(mart: Mart, name: str, said: Column) -> Column:
    if UNSUBSCRIBED not in mart.table.c:
        return said
    wins = sa.true() if name == UNSUBSCRIBED else sa.false()
    return sa.case((mart.table.c[UNSUBSCRIBED] == sa.true(), wins), else_=said)
