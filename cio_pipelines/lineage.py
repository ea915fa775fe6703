"""Which upstream columns each column of a dbt model is made from, read off the compiled SQL.

Only values count: a column that merely filters, joins or orders is no origin. Models are looked at one by
one, so the answer names direct parents; follow the parents to reach the sources.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.lineage import Node, lineage

log = logging.getLogger(__name__)

Origin = tuple[str, str]
"""Unique id of the dbt node, and the column there (lower case)."""

_Table = tuple[str, str, str]
_Relations = tuple[tuple[_Table, str, tuple[str, ...]], ...]


class LineageError(ValueError):
    """A model that cannot be traced at all: unknown, not compiled, or no SELECT that sqlglot understands."""


@dataclass(frozen=True, slots=True)
class ModelLineage:
    """Where the columns of one model come from.

    Attributes:
        columns: for each column the model selects (lower case, in its order), its origins, sorted. Empty when
            the column is made from no column at all (a constant, `count(*)`) or could not be traced.
        untraced: for each column that could not be traced to its end, why. A column that the manifest
            declares and the SQL does not select is named here too.
    """

    columns: Mapping[str, tuple[Origin, ...]]
    untraced: Mapping[str, str]


def column_lineage(
    manifest: Mapping[str, Any], model_unique_id: str, dialect: str = "duckdb"
) -> dict[str, list[Origin]]:
    """For each column of a model, the columns of its direct parents that it is made from.

    Columns that cannot be traced are logged as a warning; `trace_model` returns them with the reason.

    Args:
        manifest: dbt's `manifest.json`, by a command that compiles (`build`, `run`, `compile`; not `parse`).
        model_unique_id: such as `model.cio_pipelines.customerio_people`, or a snapshot's.
        dialect: sqlglot's name of the warehouse's SQL (`duckdb`, `postgres`, `bigquery`).

    Raises:
        LineageError: the model is unknown, not compiled, or its SQL cannot be read.
    """
    traced = trace_model(manifest, model_unique_id, dialect)
    if traced.untraced:
        log.warning(
            "Column lineage of %s is incomplete: %s",
            model_unique_id,
            "; ".join(f"{column}: {reason}" for column, reason in traced.untraced.items()),
        )
    return {column: list(origins) for column, origins in traced.columns.items()}


def trace_model(manifest: Mapping[str, Any], model_unique_id: str, dialect: str = "duckdb") -> ModelLineage:
    """As `column_lineage`, with what could not be traced as a value instead of a warning."""
    model = manifest.get("nodes", {}).get(model_unique_id)
    if model is None:
        raise LineageError(f"The manifest has no model {model_unique_id}.")
    # dbt itself adds columns to a snapshot, made from none
    is_snapshot = model.get("resource_type") == "snapshot"
    sql = model.get("compiled_code")
    if not sql:
        raise LineageError(
            f"{model_unique_id} has no compiled SQL: the manifest must come from dbt build, run or compile."
        )
    try:
        traced = _trace(sql, _relations(manifest, dialect), dialect)
    except SqlglotError as error:
        raise LineageError(f"The SQL of {model_unique_id} cannot be read as {dialect}.") from error
    undeclared = {
        column: "declared in the manifest, but the SQL does not select it"
        for column in _declared(model)
        if column not in traced.columns and not (is_snapshot and column.startswith("dbt_"))
    }
    return ModelLineage(traced.columns, {**traced.untraced, **undeclared})


def _declared(node: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(name.lower() for name in node.get("columns", {}))


def _relations(manifest: Mapping[str, Any], dialect: str) -> _Relations:
    """Every relation of the manifest: its name in parts, the node it belongs to, its declared columns."""
    found: list[tuple[_Table, str, tuple[str, ...]]] = []
    for kind in ("sources", "nodes"):
        for unique_id, node in manifest.get(kind, {}).items():
            if node.get("relation_name") and node.get("resource_type") != "test":
                table = _parts(exp.to_table(node["relation_name"], dialect=dialect))
                found.append((table, unique_id, _declared(node)))
    return tuple(found)


def _parts(table: exp.Table) -> _Table:
    return (table.catalog.lower(), table.db.lower(), table.name.lower())


@lru_cache(maxsize=256)
def _trace(sql: str, relations: _Relations, dialect: str) -> ModelLineage:
    schema: dict[str, Any] = {}
    owners: dict[_Table, str] = {}
    for (catalog, database, name), unique_id, declared in relations:
        owners[catalog, database, name] = unique_id
        if declared:
            tables = schema.setdefault(catalog, {}).setdefault(database, {})
            # lineage needs the names; the types are of no consequence
            tables[name] = dict.fromkeys(declared, "text")
    columns: dict[str, tuple[Origin, ...]] = {}
    untraced: dict[str, str] = {}
    graph = lineage(None, sql, schema, dialect=dialect, trim_selects=False, allow_partial_qualification=True)
    for column, root in graph.items():
        origins: set[Origin] = set()
        pending = [root]
        seen: set[int] = set()
        while pending:
            node = pending.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            if isinstance(node.expression, exp.Select | exp.SetOperation):
                # for a column that it does not find, sqlglot answers with the whole query: all its columns
                untraced[column.lower()] = f"no column {_column(node)} in the query it is taken from"
                continue
            pending.extend(node.downstream)
            origin, fault = _origin(node, owners)
            if origin:
                origins.add(origin)
            if fault:
                untraced[column.lower()] = fault
        columns[column.lower()] = tuple(sorted(origins))
    return ModelLineage(columns, untraced)


def _origin(leaf: Node, owners: Mapping[_Table, str]) -> tuple[Origin | None, str | None]:
    """The upstream column that a node of the lineage graph stands for, or why it stands for none."""
    column = _column(leaf)
    if isinstance(leaf.expression, exp.Star) or column == "*":
        return None, "a * over a relation whose columns the manifest does not declare"
    if isinstance(leaf.expression, exp.Placeholder):
        return None, f"column {column} belongs to no relation that could be told"
    if not isinstance(leaf.expression, exp.Table):
        return None, None
    owner = owners.get(_parts(leaf.expression))
    if owner is None:
        return None, f"relation {leaf.expression.name} is not in the manifest"
    return (owner, column), None


def _column(node: Node) -> str:
    return node.name.rpartition(".")[2].strip('"`').lower()
