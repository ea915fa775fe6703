"""MERGE, which SQLAlchemy does not have; DuckDB, PostgreSQL and BigQuery write it alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import ClauseElement, Executable


class Merge(Executable, ClauseElement):
    """Bring the rows of a query into a table: those whose key is there replace it, the others are added.

    Args:
        table: the target.
        rows: a query whose columns are all of the table's, by name, and those of `key` unique in it.
        key: names of the columns that tell rows apart.
        scope: a condition on the target with constants only, from which the engine can see which part of
            the table to read; rows outside are never matched.
        replaces: whether a row that is there is replaced; else it stays.
    """

    inherit_cache = False

    def __init__(
        self,
        table: sa.Table,
        rows: sa.Select[Any],
        key: Sequence[str],
        *,
        scope: sa.ColumnElement[bool] | None = None,
        replaces: bool = True,
    ) -> None:
        self.table = table
        self.rows = rows.subquery("source")
        self.key = list(key)
        self.scope = scope
        self.replaces = replaces


@compiles(Merge)
def _compile(merge: Merge, compiler: Any, **options: Any) -> str:
    quote = compiler.preparer.quote
    names = [column.name for column in merge.table.columns]
    target, alias = compiler.preparer.format_table(merge.table), quote(merge.table.name)

    def of_source(name: str) -> str:
        return f"source.{quote(name)}"

    matches = [f"{alias}.{quote(name)} = {of_source(name)}" for name in merge.key]
    if merge.scope is not None:
        matches.append(f"({compiler.process(merge.scope, **options)})")
    source = compiler.process(merge.rows.element, **options)
    lines = [f"MERGE INTO {target} USING ({source}) AS source ON {' AND '.join(matches)}"]
    if merge.replaces:
        updated = [name for name in names if name not in merge.key]
        assigned = ", ".join(f"{quote(name)} = {of_source(name)}" for name in updated)
        lines.append(f"WHEN MATCHED THEN UPDATE SET {assigned}")
    columns, values = ", ".join(map(quote, names)), ", ".join(map(of_source, names))
    added = f"INSERT ({columns}) VALUES ({values})"  # noqa: S608  # names, quoted
    lines.append(f"WHEN NOT MATCHED THEN {added}")
    return "\n".join(lines)
